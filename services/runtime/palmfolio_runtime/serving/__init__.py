"""What runs a service: the server, what surrounds each call, metrics."""
