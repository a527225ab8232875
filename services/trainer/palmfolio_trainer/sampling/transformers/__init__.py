"""Sampling with Transformers, on the trainer's own device."""
