"""The fitted normalisations of a scorer, kept in one file."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from palmfolio_runtime.volumes import write_text
from palmfolio_scorer.calibration.normalisation import Normalisation

_REMEMBERED_REQUESTS = 1000
_NORMALISATION: TypeAdapter[Normalisation] = TypeAdapter(Normalisation)


class CalibrationStore:
    """Fitted normalisations in one JSON file, by trait and by the digest of its raw rewards."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            ValueError: the file is damaged.
        """
        self._path = path
        self._state: dict[str, Any] = {"normalisations": {}, "requests": {}}
        if path.exists():
            self._state = json.loads(path.read_text(encoding="utf-8"))

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
