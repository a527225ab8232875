"""The trainer's configuration."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from palmfolio_runtime.config import Endpoint, ServerConfig
from palmfolio_runtime.limits import TrainerLimits


class TrainerConfig(ServerConfig):
    """Keys of the trainer's YAML file, in addition to those of every service."""

    service: ClassVar[str] = "trainer"

    limits: TrainerLimits = TrainerLimits()
    state_dir: Path
    """The folder of everything the trainer keeps; one trainer at a time may use it."""
    database_url: str | None = None
    """An SQLAlchemy URL; by default SQLite in `state_dir`."""
    artifact_root: str | None = None
    """Where adapters are kept, an fsspec URI such as `s3://bucket/prefix`; by default a folder in
    `state_dir`."""
    scorer: Endpoint
    """The scorer whose rewards are trained on."""
    base_models: dict[str, str] = Field(min_length=1)
    """Models by name: the path of a folder in Hugging Face's layout, or `packaged:` and the
    distribution of a packaged GGUF model."""

    slots: int = Field(default=1, ge=1, le=64)
    """Trainings at a time; slot i uses device i, modulo their number."""
    devices: tuple[str, ...] = ()
    """CUDA devices as `CUDA_VISIBLE_DEVICES` names them; empty leaves the choice to torch."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of torch in a training; None leaves the choice to torch."""
    sampling_threads: int | None = Field(default=None, ge=1)
    """Threads of torch for `Generate`; None leaves the choice to torch."""
    warm_spare: bool = True
    """Keeps one process ready which has loaded its libraries, so that a training starts at once."""
    cancel_grace_seconds: float = Field(default=10.0, ge=0)
    """How long a cancelled training may take to stop before it is killed."""
    lease_seconds: float = Field(default=30.0, gt=0)
    """How long a job stays with a trainer that no longer renews its lease."""

    score_timeout_seconds: float = Field(default=120.0, gt=0)
    """Deadline of one call to the scorer during a training."""
    scorer_patience_seconds: float = Field(default=600.0, ge=0)
    """How long a training waits for a scorer that cannot be reached before it fails."""
    max_queued_generations: int = Field(default=16, ge=1)
    """`Generate` calls that wait or run."""

    @property
    def resolved_database_url(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.state_dir.resolve() / 'trainer.db'}"

    @property
    def resolved_artifact_root(self) -> str:
        """The artifacts' root as a URI."""
        return self.artifact_root or (self.state_dir.resolve() / "policies").as_uri()
