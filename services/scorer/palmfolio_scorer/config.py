"""The scorer's configuration file."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from palmfolio_runtime.config import ServerConfig
from palmfolio_runtime.limits import ScorerLimits
from palmfolio_runtime.logs import get_logger
from palmfolio_scorer.engine.settings import EngineSettings
from palmfolio_scorer.traits.catalogue.spec import TraitSpec

_log = get_logger(__name__)

_RELOADED = ("traits", "traits_file", "preset", "model_roots", "allow_hub")


class ScorerConfig(ServerConfig):
    """The keys of `palmfolio_scorer --config FILE`, in addition to those of every service."""

    service: ClassVar[str] = "scorer"

    limits: ScorerLimits = ScorerLimits()
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
    """Batches computed at the same time on a CPU, one core each, unless `engine.lanes` says
    otherwise; also torch's threads while models load. None means one per core."""
    engine: EngineSettings = EngineSettings()
    model_roots: tuple[Path, ...] | None = None
    """Folders that hold all models: a model outside of them, also through `..` or a link, is not
    loaded. None allows any folder that a trait names; installed model packages are always
    allowed."""
    allow_hub: bool = False
    """Whether a trait may name a model of the hub (`owner/name`), which is downloaded."""
    state_dir: Path | None = None
    """The folder that keeps calibrations; None turns `Calibrate` off."""
    stream_window: int = Field(default=2048, gt=0)
    """Samples of one `ScoreStream` at work at the same time."""

    def with_traits_of(self, newer: "ScorerConfig") -> "ScorerConfig":
        """This configuration with the keys that a reload takes from a newer one.

        These are the keys about traits: `traits`, `traits_file`, `preset`, `model_roots` and
        `allow_hub`. A change of any other key needs a restart; a warning names it.
        """
        reloaded = {name: getattr(newer, name) for name in _RELOADED}
        ignored = [
            name
            for name in type(self).model_fields
            if name not in _RELOADED and getattr(self, name) != getattr(newer, name)
        ]
        if ignored:
            _log.warning("these keys need a restart", keys=ignored)
        return self.model_copy(update=reloaded)
