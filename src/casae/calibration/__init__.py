"""What a pixel is in millimetres: the calibration file, how it is found, and how a lens is straightened."""
