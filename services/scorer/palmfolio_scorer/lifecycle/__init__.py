"""From the configuration to running models: loading, reloading, unloading, readiness."""
