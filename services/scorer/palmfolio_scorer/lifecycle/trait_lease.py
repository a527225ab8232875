"""Traits with their models, which stay loaded while a request uses them."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from palmfolio_scorer.models.model import DeviceModel
from palmfolio_scorer.models.store import LoadedModel
from palmfolio_scorer.traits.catalogue.trait_set import TraitSet


class TraitLease:
    """Traits that were loaded together, and a count of the requests that use them.

    A reload replaces the traits, but it unloads the old ones only when their last request has
    ended. Used from the event loop only, so the count needs no lock.

    Attributes:
        traits: the traits.
        models: their models; empty until they are loaded.
        unused: set while no request holds the traits.
    """

    def __init__(self, traits: TraitSet, models: Sequence[LoadedModel] = ()) -> None:
        self.traits = traits
        self.models = list(models)
        self.unused = asyncio.Event()
        self.unused.set()
        self._holders = 0

    @contextmanager
    def hold(self) -> Iterator[TraitSet]:
        """Keeps the traits loaded while a request uses them."""
        self._holders += 1
        self.unused.clear()
        try:
            yield self.traits
        finally:
            self._holders -= 1
            if not self._holders:
                self.unused.set()

    def traits_using(self, model: DeviceModel) -> list[str]:
        """Names of the traits that use a model."""
        return [
            served.name
            for served in self.traits
            if not served.failure and getattr(served.trait, "model", None) is model
        ]
