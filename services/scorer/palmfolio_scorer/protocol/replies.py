"""Traits, rewards and failures as protocol messages."""

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
from palmfolio_scorer.traits.catalogue.served_trait import ServedTrait


def trait_message(served: ServedTrait) -> scorer_pb2.Trait:
    """A trait as the answers of `ListTraits` and `Calibrate` hold it."""
    return scorer_pb2.Trait(
        name=names.TRAITS.name(served.name),
        kind=served.spec.kind,
        version=served.version,
        description=served.spec.description,
        normalisation=served.normalisation.describe(),
        failure=served.failure,
        model=str(served.spec.options.get("model", "")),
        provenance={} if served.failure else dict(_flat(served.provenance())),
        fields=[] if served.failure else sorted(served.fields),
        empty_response="" if served.failure else _empty_response(served),
    )


def _empty_response(served: ServedTrait) -> str:
    rule = served.known_empty_response()
    return rule if isinstance(rule, str) else f"{rule:g}"


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each leaf with its dotted name; names of the trait's own values have no prefix."""
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, "" if name == "trait" else f"{prefix}{name}.")
        elif item is not None:
            yield prefix + name, item if isinstance(item, str) else json.dumps(item)


def reward_matrix(table: RewardTable, traits: Sequence[ServedTrait]) -> types_pb2.RewardMatrix:
    """The rewards of N samples on d traits; matrices are row-major, samples by traits."""
    by_sample: dict[int, dict[str, SampleFailure]] = {}
    for (i, j), failure in sorted(table.failures.items()):
        by_sample.setdefault(i, {})[traits[j].name] = failure
    cut: dict[int, dict[str, int]] = {}
    for (i, j), tokens in table.cut.items():
        cut.setdefault(i, {})[traits[j].name] = tokens
    scored = types_pb2.SampleStatus(status=status_pb2.Status())
    return types_pb2.RewardMatrix(
        traits=[trait.name for trait in traits],
        trait_versions=[trait.version for trait in traits],
        raw=table.raw.astype(np.float32).ravel().tolist(),
        normalised=table.normalised.astype(np.float32).ravel().tolist(),
        statuses=[
            _status(i, by_sample.get(i, {}), cut.get(i, {}), len(traits))
            if i in by_sample or i in cut
            else scored
            for i in range(len(table.raw))
        ],
    )


def _status(
    position: int, failures: Mapping[str, SampleFailure], cut: Mapping[str, int], traits: int
) -> types_pb2.SampleStatus:
    """Why a sample failed, and how many of its tokens were cut off.

    A field at fault is named like `samples[3].response`. The reference is the prompt's:
    `samples[3].prompt.reference`.

    Equal causes are stated once. Their traits are named unless all traits failed for that cause.
    """
    if not failures:
        return types_pb2.SampleStatus(status=status_pb2.Status(), cut_tokens=cut)
    first = next(iter(failures.values()))
    if first.field:
        field = "prompt.reference" if first.field == "reference" else first.field
        error = invalid_argument((f"samples[{position}].{field}", first.message))
    else:
        traits_by_cause: dict[str, list[str]] = {}
        for name, failure in failures.items():
            traits_by_cause.setdefault(failure.message, []).append(name)
        everywhere = len(traits_by_cause) == 1 and len(failures) == traits > 1
        message = "; ".join(
            cause if everywhere else f"{', '.join(names)}: {cause}"
            for cause, names in traits_by_cause.items()
        )
        reason = errors_pb2.ERROR_REASON_SCORING_FAILED
        if first.timed_out:
            reason = errors_pb2.ERROR_REASON_SCORING_TIMED_OUT
        error = ServiceError(grpc.StatusCode[first.code], reason, message)
    return types_pb2.SampleStatus(
        status=error.to_status(), failed_traits=list(failures), cut_tokens=cut
    )
