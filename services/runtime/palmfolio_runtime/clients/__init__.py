"""Clients of the scorer and the trainer, for the services that call them."""
