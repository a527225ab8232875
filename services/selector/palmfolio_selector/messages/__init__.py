"""Rows and results as protocol messages."""
