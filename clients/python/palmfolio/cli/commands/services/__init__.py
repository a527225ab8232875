"""Commands that run services, or look at them."""
