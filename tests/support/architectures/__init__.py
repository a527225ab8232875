"""Tiny models of each architecture."""
