"""Fitting normalisations to the raw rewards of a sample."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from palmfolio_scorer.calibration.normalisation import MinMax, Normalisation, Quantile, Sigmoid

FloatArray = npt.NDArray[np.float64]

MIN_SAMPLES = 8
"""Fewer scored samples than this are not fitted to."""
_KNOTS = 101
"""One knot per percent."""


class CalibrationError(ValueError):
    """No normalisation can be fitted to these raw rewards; the message says why."""


def fit_minmax(raw: FloatArray, *, falls: bool, tail: float = 0.0) -> MinMax:
    """Linear between the `tail` and `1 - tail` quantiles; `tail` in [0, 0.5).

    Args:
        raw: raw rewards (N,), finite.
        falls: whether a higher raw reward is worse.
        tail: the share of the sample at each end that is clipped.

    Raises:
        CalibrationError: the two quantiles are equal.

    Example:
        >>> fit_minmax(np.array([0.0, 10.0, 20.0]), falls=True).describe()
        'minmax(20, 0)'
    """
    low, high = (float(value) for value in np.quantile(raw, [tail, 1.0 - tail]))
    if low == high:
        raise CalibrationError(f"all raw rewards between the tails are {low:g}")
    return MinMax(low=high, high=low) if falls else MinMax(low=low, high=high)


def fit_sigmoid(raw: FloatArray, *, falls: bool, tail: float = 0.0) -> Sigmoid:
    """The median becomes 0.5; the distance between the quartiles becomes that from 0.25 to 0.75.

    `tail` is ignored: quartiles do not depend on the extremes.

    Raises:
        CalibrationError: the quartiles are equal.
    """
    lower, centre, upper = (float(value) for value in np.quantile(raw, [0.25, 0.5, 0.75]))
    if lower == upper:
        raise CalibrationError(f"half of the raw rewards are {lower:g}: their quartiles are equal")
    # The logistic function is 0.75 at log(3): the quartiles lie 2 log(3) scales apart.
    scale = (upper - lower) / (2.0 * np.log(3.0))
    return Sigmoid(centre=centre, scale=float(-scale if falls else scale))


def fit_quantile(raw: FloatArray, *, falls: bool, tail: float = 0.0) -> Quantile:
    """The distribution function at up to 101 quantiles; equal rewards get their middle rank.

    `tail` is ignored.

    Raises:
        CalibrationError: all raw rewards are equal.
    """
    values = np.sort(raw)
    knots = np.unique(np.quantile(values, np.linspace(0.0, 1.0, _KNOTS)))
    if len(knots) < 2:
        raise CalibrationError(f"all raw rewards are {knots[0]:g}")
    # A knot is as high as the share below it plus half of the share equal to it.
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
"""By the name of the protocol's `CalibrationMethod`, without its prefix."""
