"""What a model file is: the bundle, its card, its networks in OpenVINO; the shipped models lie here too."""
