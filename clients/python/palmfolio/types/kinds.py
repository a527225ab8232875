"""Marks the fields that hold a value of one of several classes."""

KINDS = "kinds"
"""Key in a field's metadata: the field holds a value of one of several classes, which the metadata
maps from the names that the protocol uses for them."""
