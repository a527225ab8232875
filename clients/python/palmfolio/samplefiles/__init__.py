"""Files of samples and of their rewards, for `palmfolio score` and `palmfolio traits calibrate`."""
