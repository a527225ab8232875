"""Work that the command line does on this machine: services, the quickstart, selection."""
