"""One trait's column of rewards: its model's inputs, and the rewards from the outputs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from palmfolio_scorer.engine.worker import Computed, Result
from palmfolio_scorer.models.model import ModelInput, Output
from palmfolio_scorer.samples import EmptyResponse, Sample, SampleError, SampleFailure
from palmfolio_scorer.traits.catalogue.served_trait import ServedTrait
from palmfolio_scorer.traits.composite import Composite
from palmfolio_scorer.traits.kind import ModelTrait, RawRewards, described


@dataclass(frozen=True)
class ColumnInputs:
    """The model inputs of one trait's column."""

    inputs: list[ModelInput]
    """The inputs of all samples, one sample after another."""
    spans: list[tuple[int, int] | SampleFailure]
    """By sample: the range of its inputs, or why it has none."""


def collect_inputs(samples: Sequence[Sample], trait: ModelTrait[Any]) -> ColumnInputs:
    """The inputs that the trait's model must compute; a sample that raises fails only itself."""
    inputs: list[ModelInput] = []
    spans: list[tuple[int, int] | SampleFailure] = []
    for sample in samples:
        try:
            own = list(trait.inputs(sample))
        except SampleError as error:
            spans.append(error.failure)
        except BaseException as error:
            spans.append(SampleFailure("INTERNAL", described(error)))
        else:
            spans.append((len(inputs), len(inputs) + len(own)))
            inputs.extend(own)
    return ColumnInputs(inputs, spans)


def distinct_inputs(columns: Sequence[ColumnInputs]) -> dict[ModelInput, int]:
    """Every input of the columns once, with its position among them."""
    positions: dict[ModelInput, int] = {}
    for column in columns:
        for parts in column.inputs:
            positions.setdefault(parts, len(positions))
    return positions


def rewards_of(
    samples: Sequence[Sample],
    trait: ModelTrait[Any],
    inputs: ColumnInputs,
    results: Sequence[Result | None],
) -> RawRewards:
    """The trait's rewards, from the model's results for `inputs.inputs`."""
    rewards: list[float | SampleFailure] = []
    cut: dict[int, int] = {}
    for i, (sample, span) in enumerate(zip(samples, inputs.spans, strict=True)):
        if isinstance(span, SampleFailure):
            rewards.append(span)
            continue
        own = results[slice(*span)]
        rewards.append(_reward(sample, trait, own))
        cut[i] = sum(result.cut for result in own if isinstance(result, Computed))
    return RawRewards.collect(rewards, cut)


def _reward(
    sample: Sample, trait: ModelTrait[Any], results: Sequence[Result | None]
) -> float | SampleFailure:
    outputs: list[Output] = []
    for result in results:
        if isinstance(result, SampleFailure):
            return result
        if result is not None:
            outputs.append(result.output)
    try:
        return float(trait.reward_from(sample, outputs))
    except SampleError as error:
        return error.failure
    except BaseException as error:
        return SampleFailure("INTERNAL", described(error))


def all_failed(count: int, failure: SampleFailure) -> RawRewards:
    """A column without rewards."""
    return RawRewards.collect([failure] * count)


def concatenated(parts: Sequence[RawRewards]) -> RawRewards:
    """The columns of consecutive pieces of a batch as one."""
    if not parts:
        return RawRewards(np.empty(0))
    failures: dict[int, SampleFailure] = {}
    cut: dict[int, int] = {}
    offset = 0
    for part in parts:
        failures.update({offset + i: failure for i, failure in part.failures.items()})
        cut.update({offset + i: tokens for i, tokens in part.cut.items()})
        offset += len(part.values)
    return RawRewards(np.concatenate([part.values for part in parts]), failures, cut)


_SAYS_NOTHING = SampleFailure(
    "INVALID_ARGUMENT", "is empty or shows nothing: the trait has no reward for that", "response"
)


def with_empty_responses(
    column: RawRewards, judged: Sequence[int], count: int, rule: EmptyResponse
) -> RawRewards:
    """A column of `count` samples from that of the judged ones; the others get the rule's reward.

    Args:
        judged: the positions of the column's samples, increasing.
        rule: for the responses that say nothing, not `judged`.
    """
    stated = _SAYS_NOTHING if isinstance(rule, str) else rule
    results: list[float | SampleFailure] = [stated] * count
    for i, (position, value) in enumerate(zip(judged, column.values, strict=True)):
        results[position] = column.failures.get(i, float(value))
    return RawRewards.collect(results, {judged[i]: tokens for i, tokens in column.cut.items()})


def parts_first(traits: Sequence[ServedTrait]) -> list[ServedTrait]:
    """These traits and all their parts, each once, parts before their composites."""
    ordered: dict[str, ServedTrait] = {}
    for served in traits:
        for needed in (*parts_first(served.parts), served):
            ordered.setdefault(needed.name, needed)
    return list(ordered.values())


def composite_column(
    served: ServedTrait, columns: Mapping[str, RawRewards], count: int
) -> RawRewards:
    """A composite's rewards, from its parts' columns; a sample that fails in a part fails here."""
    if served.failure:
        return all_failed(count, SampleFailure("UNAVAILABLE", served.failure))
    assert isinstance(served.trait, Composite)
    rewards = np.empty((count, len(served.parts)))
    failures: dict[int, SampleFailure] = {}
    cut: Counter[int] = Counter()
    for j, part in enumerate(served.parts):
        column = columns[part.name]
        cut.update(column.cut)
        raw = served.trait.options.rewards == "raw"
        rewards[:, j] = column.values if raw else part.normalisation.apply(column.values)
        for i, failure in column.failures.items():
            message = f"its part {part.name}: {failure.message}"
            # The first part's failure is enough to explain it.
            failures.setdefault(i, SampleFailure(failure.code, message, failure.field))
    combined = served.trait.combine(rewards)
    results = [failures.get(i, float(value)) for i, value in enumerate(combined)]
    return RawRewards.collect(results, cut)
