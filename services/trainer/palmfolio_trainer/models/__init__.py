"""Base models: where they are, which revision each is, how they are loaded."""
