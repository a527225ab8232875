"""Readers and writers of the files that commands take and make."""
