"""Settings that several services read: their ranges and their defaults, written once."""
