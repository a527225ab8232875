"""The trainer: trains policies, and samples responses from them."""
