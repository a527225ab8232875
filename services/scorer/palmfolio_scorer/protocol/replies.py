"""Rewards and failures as messages."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
from google.rpc import status_pb2

from palmfolio.v1 import errors_pb2, scorer_pb2, types_pb2
from palmfolio_runtime import names
from palmfolio_runtime.errors import ServiceError, invalid_argument
from palmfolio_scorer.engine import RewardTable
from palmfolio_scorer.samples import SampleFailure
from palmfolio_scorer.traits.catalogue.trait_set import ServedTrait


def trait_message(served: ServedTrait) -> scorer_pb2.Trait:
    """A trait as `ListTraits` and `Calibrate` answer it."""
    return scorer_pb2.Trait(
        name=names.TRAITS.name(served.name),
        kind=served.spec.kind,
        version=served.version,
        description=served.spec.description,
        normalisation=served.normalisation.describe(),
        failure=served.failure,
        model=str(served.spec.options.get("model", "")),
        provenance={} if served.failure else dict(_flat(served.provenance())),
    )


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Leaves by dotted name; the trait's own without a prefix."""
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, "" if name == "trait" else f"{prefix}{name}.")
        elif item is not None:
            yield prefix + name, item if isinstance(item, str) else json.dumps(item)


def reward_matrix(
    table: RewardTable, traits: Sequence[ServedTrait], first: int = 0
) -> types_pb2.RewardMatrix:
    """The rewards as they travel; `first` is the position of the first sample in the request."""
    by_sample: dict[int, dict[str, SampleFailure]] = {}
    for (i, j), failure in sorted(table.failures.items()):
        by_sample.setdefault(i, {})[traits[j].name] = failure
    scored = types_pb2.SampleStatus(status=status_pb2.Status())
    return types_pb2.RewardMatrix(
        traits=[trait.name for trait in traits],
        trait_versions=[trait.version for trait in traits],
        raw=table.raw.astype(np.float32).ravel().tolist(),
        normalised=table.normalised.astype(np.float32).ravel().tolist(),
        statuses=[
            _status(first + i, by_sample[i], len(traits)) if i in by_sample else scored
            for i in range(len(table.raw))
        ],
    )


def _status(
    position: int, failures: Mapping[str, SampleFailure], traits: int
) -> types_pb2.SampleStatus:
    """Why a sample failed: a field at fault is named like `samples[3].response`."""
    first = next(iter(failures.values()))
    if first.field:
        error = invalid_argument((f"samples[{position}].{first.field}", first.message))
    else:
        causes = dict.fromkeys(failure.message for failure in failures.values())
        named = {
            cause: ", ".join(name for name, f in failures.items() if f.message == cause)
            for cause in causes
        }
        everywhere = len(causes) == 1 and len(failures) == traits > 1
        message = "; ".join(
            cause if everywhere else f"{names}: {cause}" for cause, names in named.items()
        )
        error = ServiceError(
            grpc.StatusCode[first.code], errors_pb2.ERROR_REASON_SCORING_FAILED, message
        )
    return types_pb2.SampleStatus(status=error.to_status(), failed_traits=list(failures))
