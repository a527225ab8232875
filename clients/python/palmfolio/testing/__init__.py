"""Integration tests against palmfolio in a few lines; docs/testing.md shows how.

The pytest fixtures are in `palmfolio.testing.plugin`; they are made of the functions here.
"""

from palmfolio.testing.services import TRAITS, Services, local_services, services_at
from palmfolio.testing.tiny_model import write_tiny_model

__all__ = ["TRAITS", "Services", "local_services", "services_at", "write_tiny_model"]
