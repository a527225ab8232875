"""The selector's configuration."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator

from palmfolio_runtime.config import Endpoint, ServerConfig
from palmfolio_runtime.limits import SelectorLimits


class SelectorConfig(ServerConfig):
    """Keys of the selector's file; `PALMFOLIO_SELECTOR__…` in the environment."""

    service: ClassVar[str] = "selector"

    limits: SelectorLimits = SelectorLimits()
    state_dir: Path | None = None
    """The folder of the SQLite database; unused when `database_url` is set."""
    database_url: str | None = None
    """An SQLAlchemy URL, for example `postgresql://user:password@host/name`."""
    trainer: Endpoint
    scorer: Endpoint
    call_timeout_seconds: float = Field(default=60, gt=0)
    """Deadline of a call to which the trainer or the scorer should answer at once."""
    sampling_timeout_seconds: float = Field(default=3600, gt=0)
    """Deadline of sampling one policy's responses."""
    scoring_timeout_seconds: float = Field(default=600, gt=0)
    """Deadline of scoring one batch."""
    max_backoff_seconds: float = Field(default=10, gt=0)
    """The longest pause before the next call to a service that was away."""
    selection_seconds: float = Field(default=60, gt=0)
    """Time for proving that a portfolio is the smallest; then the best one so far is used."""

    @model_validator(mode="after")
    def _some_database(self) -> "SelectorConfig":
        if self.state_dir is None and self.database_url is None:
            raise ValueError("set `state_dir` (a folder for SQLite) or `database_url`")
        return self

    @property
    def url(self) -> str:
        """The database's SQLAlchemy URL."""
        if self.database_url is not None:
            return self.database_url
        assert self.state_dir is not None
        return f"sqlite:///{self.state_dir.resolve() / 'selector.db'}"
