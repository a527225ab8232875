"""Between protocol messages and the scorer's own values."""
