"""What people and machines see in a terminal: tables, progress, JSON."""
