"""Fitting normalisations to samples, and keeping them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from palmfolio_runtime.files import write_text
from palmfolio_scorer.calibration.normalisation import MinMax, Normalisation, Quantile, Sigmoid

FloatArray = npt.NDArray[np.float64]

MIN_SAMPLES = 8
_KNOTS = 101
_REMEMBERED_REQUESTS = 1000
_NORMALISATION: TypeAdapter[Normalisation] = TypeAdapter(Normalisation)


class CalibrationError(ValueError):
    """Raw rewards that no normalisation can be fitted to, and why."""


def fit_minmax(raw: FloatArray, *, falls: bool, tail: float = 0.0) -> MinMax:
    """Linear between the `tail` and `1 - tail` quantiles; `tail` in [0, 0.5)."""
    low, high = (float(value) for value in np.quantile(raw, [tail, 1.0 - tail]))
    if low == high:
        raise CalibrationError(f"the raw rewards, all {low:g} between the tails, do not differ")
    return MinMax(low=high, high=low) if falls else MinMax(low=low, high=high)


def fit_sigmoid(raw: FloatArray, *, falls: bool, tail: float = 0.0) -> Sigmoid:
    """The median becomes 0.5, and the quartiles' distance that from 0.25 to 0.75."""
    lower, centre, upper = (float(value) for value in np.quantile(raw, [0.25, 0.5, 0.75]))
    if lower == upper:
        raise CalibrationError(f"half of the raw rewards are {lower:g}: their quartiles are equal")
    scale = (upper - lower) / (2.0 * np.log(3.0))
    return Sigmoid(centre=centre, scale=float(-scale if falls else scale))


def fit_quantile(raw: FloatArray, *, falls: bool, tail: float = 0.0) -> Quantile:
    """The distribution function at up to 101 quantiles; equal rewards get their middle rank."""
    values = np.sort(raw)
    knots = np.unique(np.quantile(values, np.linspace(0.0, 1.0, _KNOTS)))
    if len(knots) < 2:
        raise CalibrationError(f"the raw rewards, all {knots[0]:g}, do not differ")
    below, up_to = (np.searchsorted(values, knots, side) for side in ("left", "right"))
    levels = np.clip((below + up_to) / (2.0 * len(values)), 0.0, 1.0)
    return Quantile(
        knots=tuple(knots.tolist()), levels=tuple((1.0 - levels if falls else levels).tolist())
    )


FITS: Mapping[str, Callable[..., Normalisation]] = {
    "MINMAX": fit_minmax,
    "QUANTILE": fit_quantile,
    "SIGMOID": fit_sigmoid,
}


class CalibrationStore:
    """Fitted normalisations in one JSON file, by trait and by what determines its raw rewards."""

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
        found: str | None = self._state["requests"].get(request_id)
        return found

    def save(
        self,
        trait: str,
        raw_identity: str,
        normalisation: Normalisation,
        request_id: str,
        body_digest: str,
    ) -> None:
        """Stores a normalisation and the request that made it. Blocking."""
        self._state["normalisations"][trait] = {
            "raw_identity": raw_identity,
            "normalisation": normalisation.model_dump(mode="json"),
        }
        requests = self._state["requests"]
        requests[request_id] = body_digest
        while len(requests) > _REMEMBERED_REQUESTS:
            del requests[next(iter(requests))]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self._path, json.dumps(self._state, indent=1))
