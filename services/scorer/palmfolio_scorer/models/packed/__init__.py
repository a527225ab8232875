"""Models without padding: the sequences of a batch in one row."""
