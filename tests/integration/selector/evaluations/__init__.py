"""Evaluations that were made elsewhere, over a real socket."""
