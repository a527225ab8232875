"""What the command line runs on this machine: services, the quickstart, selection."""
