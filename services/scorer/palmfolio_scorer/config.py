"""The scorer's configuration."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from palmfolio_runtime.config import ConfigError, ServerConfig
from palmfolio_runtime.logs import get_logger
from palmfolio_scorer.engine.settings import EngineSettings
from palmfolio_scorer.models.sources import ModelPlaces
from palmfolio_scorer.traits.catalogue.presets import preset_text
from palmfolio_scorer.traits.catalogue.trait_set import (
    TraitSet,
    TraitSpec,
    parse_traits,
    read_traits,
)
from palmfolio_scorer.traits.registry import TraitConfigError

_log = get_logger(__name__)

_RELOADED = ("traits", "traits_file", "preset", "model_roots", "allow_hub")


class ScorerConfig(ServerConfig):
    """What `palmfolio_scorer --config FILE` reads, beside what every service's file holds."""

    service: ClassVar[str] = "scorer"

    traits: tuple[TraitSpec, ...] = ()
    """The traits, here or in `traits_file`."""
    traits_file: Path | None = None
    """A YAML file with a list `traits`; relative to the working directory."""
    preset: str | None = None
    """A trait file that comes with the scorer: `helpful-assistants`, `safety-alignment` or
    `rlvr-gsm`."""
    device: str = "auto"
    """`cpu`, `cuda:0`, or `auto`: CUDA where it works."""
    threads: int | None = Field(default=None, gt=0)
    """Batches that are computed at once on a CPU, one core each, unless `engine.lanes` says another
    number; also torch's threads while models load. None means one per core."""
    engine: EngineSettings = EngineSettings()
    model_roots: tuple[Path, ...] | None = None
    """Folders that hold all models: one outside, also through `..` or a link, is not loaded. None
    allows any folder that a trait names; installed model packages are always allowed."""
    allow_hub: bool = False
    """Whether a trait may name a model of the hub (`owner/name`), which is downloaded."""
    state_dir: Path | None = None
    """Where calibrations are kept; None turns `Calibrate` off."""
    stream_window: int = Field(default=2048, gt=0)
    """Samples of one `ScoreStream` at work at once."""

    def model_places(self) -> ModelPlaces:
        """Where models may come from."""
        return ModelPlaces(self.model_roots, self.allow_hub)

    def with_traits_of(self, newer: "ScorerConfig") -> "ScorerConfig":
        """This configuration with what a reload takes from a newer one; the rest needs a restart.

        Every key that says something of traits is taken: `traits`, `traits_file`, `preset`,
        `model_roots` and `allow_hub`.
        """
        taken = {name: getattr(newer, name) for name in _RELOADED}
        ignored = [
            name
            for name in type(self).model_fields
            if name not in _RELOADED and getattr(self, name) != getattr(newer, name)
        ]
        if ignored:
            _log.warning("these keys need a restart", keys=ignored)
        return self.model_copy(update=taken)

    def trait_set(self) -> TraitSet:
        """The declared traits, not loaded yet.

        Raises:
            ConfigError: no traits, too many, or one that is declared wrongly.
        """
        try:
            specs = list(self.traits)
            if self.traits_file:
                specs += read_traits(self.traits_file)
            if self.preset:
                specs += parse_traits(preset_text(self.preset), f"preset {self.preset}")
            if len(specs) > self.limits.max_traits:
                raise TraitConfigError(
                    f"{len(specs)} traits; `limits.max_traits` allows {self.limits.max_traits}"
                )
            return TraitSet(specs)
        except TraitConfigError as error:
            raise ConfigError(str(error)) from error
