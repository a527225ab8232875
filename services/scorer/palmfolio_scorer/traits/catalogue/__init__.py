"""The traits that a scorer offers: the trait file, its presets, and the loaded set."""
