"""casae finds, outlines, crops, classifies and measures defects on surfaces (Tao et al. 2018)."""
