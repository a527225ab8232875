"""The calls of the scorer's protocol, one module each."""
