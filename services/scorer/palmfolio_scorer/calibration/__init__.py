"""Normalisation of rewards: functions, how they are fitted, and the stored calibrations."""
