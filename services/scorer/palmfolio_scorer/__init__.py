"""The scorer: rewards of responses by trait."""
