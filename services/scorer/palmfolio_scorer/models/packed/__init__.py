"""Models without padding: all sequences of a batch lie in one row."""
