"""Output in a terminal: tables and progress for people, JSON for machines."""
