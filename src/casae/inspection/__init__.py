"""The road of an image, from pixels to a verdict. No torch, ever."""
