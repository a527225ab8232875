"""Normalisation of rewards: functions, their fitting, the Calibrate call."""
