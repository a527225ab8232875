"""Evaluations in files: one row per policy, or one per policy and prompt."""
