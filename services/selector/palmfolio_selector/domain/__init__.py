"""What calls, builds and the store share: specs, strategies, measurements."""
