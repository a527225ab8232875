"""Rules that calls, builds and the store share: specs, strategies, measurements, values."""
