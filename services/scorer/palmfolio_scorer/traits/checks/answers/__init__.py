"""How final answers are read from texts and compared."""
