"""The fitted normalisations of a scorer, kept in one file."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from palmfolio_runtime.config import ConfigError
from palmfolio_runtime.volumes import write_text
from palmfolio_scorer.calibration.normalisation import Normalisation

_REMEMBERED_REQUESTS = 1000
_NORMALISATION: TypeAdapter[Normalisation] = TypeAdapter(Normalisation)


class _Fitted(BaseModel):
    raw_identity: str
    normalisation: Normalisation


class _State(BaseModel):
    """What the file holds."""

    normalisations: dict[str, _Fitted]
    requests: dict[str, str]


_STATE: TypeAdapter[_State] = TypeAdapter(_State)


class CalibrationStore:
    """Fitted normalisations in one JSON file, by trait and by the digest of its raw rewards."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            ConfigError: the file cannot be read or is damaged.
        """
        self._path = path
        self._state: dict[str, Any] = {"normalisations": {}, "requests": {}}
        if not path.exists():
            return
        try:
            self._state = _STATE.validate_json(path.read_bytes()).model_dump(mode="json")
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
        except ValidationError as error:
            issue = error.errors()[0]
            where = ".".join(map(str, issue["loc"]))
            raise ConfigError(
                f"{path} is damaged: {where + ': ' if where else ''}{issue['msg']}; take it from a "
                "backup, or move it away and calibrate the traits again"
            ) from error

    def find(self, trait: str, raw_identity: str) -> Normalisation | None:
        """The normalisation fitted to this trait, unless its raw rewards have changed since."""
        stored = self._state["normalisations"].get(trait)
        if stored is None or stored["raw_identity"] != raw_identity:
            return None
        return _NORMALISATION.validate_python(stored["normalisation"])

    def request(self, request_id: str) -> str | None:
        """The digest of the body that a request id came with, or None."""
        body_digest: str | None = self._state["requests"].get(request_id)
        return body_digest

    def save(
        self,
        trait: str,
        raw_identity: str,
        normalisation: Normalisation,
        request_id: str,
        body_digest: str,
    ) -> None:
        """Stores a normalisation and the request that fitted it. Blocking."""
        self._state["normalisations"][trait] = {
            "raw_identity": raw_identity,
            "normalisation": normalisation.model_dump(mode="json"),
        }
        requests = self._state["requests"]
        requests[request_id] = body_digest
        # Dictionaries keep their order, so the first key is the oldest request.
        while len(requests) > _REMEMBERED_REQUESTS:
            del requests[next(iter(requests))]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self._path, json.dumps(self._state, indent=1))
