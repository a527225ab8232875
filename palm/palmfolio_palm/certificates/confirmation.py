"""The confirmation of a certificate in a second way, before it is stored or shown.

Corner weights find the largest gap if none of them is lost; mixtures of members bound it from above
and share no step with them. A certificate that both agree on is confirmed; where mixtures find a
larger gap, the certificate is corrected (docs/algorithms.md, section 3).
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from palmfolio_palm.certificates.certificate import Certificate, certificate_at
from palmfolio_palm.certificates.mixtures import CONFIRMED, check_additive, check_multiplicative
from palmfolio_palm.validation import FloatArray, IntArray

# Seconds that a confirmation may take; a certificate that takes longer to confirm says so.
SECONDS = 1.0


def confirm(
    exact: Certificate, values: FloatArray, members: IntArray, seconds: float = SECONDS
) -> Certificate:
    """The certificate with `confirmed` set, corrected where a larger gap was found.

    Args:
        exact: of `members` among `values` (n, d).
        seconds: after which it is returned unconfirmed.

    Example:
        >>> V = np.array([[1, 0], [0, 1], [0.6, 0.6]])
        >>> from palmfolio_palm import certificate
        >>> confirm(certificate(V, [0, 1]), V, np.array([0, 1])).confirmed
        True
    """
    deadline = time.monotonic() + seconds
    rows = values[members]
    additive = check_additive(values, rows, exact.eps, exact.additive, deadline)
    found, uppers = [additive.weights], [additive.upper]
    if exact.multiplicative is not None:
        ratio = check_multiplicative(values, rows, exact.delta, exact.multiplicative, deadline)
        found.append(ratio.weights)
        uppers.append(ratio.upper)
    weights = np.concatenate(found)
    if len(weights):
        exact = _larger(exact, certificate_at(values, rows, weights, exact.eps, exact.delta))
    # Twice the slack: what was corrected above may have fallen short by it once more.
    slack = 2.0 * CONFIRMED
    allowed = [exact.additive + slack * float(np.abs(values).max())]
    if exact.multiplicative is not None:
        allowed.append(exact.multiplicative + slack)
    confirmed = all(upper <= most for upper, most in zip(uppers, allowed, strict=True))
    return replace(exact, confirmed=confirmed)


def _larger(first: Certificate, second: Certificate) -> Certificate:
    """The larger of both gaps, each with its weights."""
    larger = first
    if second.additive > first.additive:
        larger = replace(
            larger,
            additive=second.additive,
            worst_weights_additive=second.worst_weights_additive,
            method="lp",
        )
    both = first.multiplicative is not None and second.multiplicative is not None
    if both and second.multiplicative > first.multiplicative:  # type: ignore[operator]
        larger = replace(
            larger,
            multiplicative=second.multiplicative,
            worst_weights_multiplicative=second.worst_weights_multiplicative,
            method="lp",
        )
    return larger
