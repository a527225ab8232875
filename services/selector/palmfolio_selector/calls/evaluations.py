"""Calls that import and list evaluations."""

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from palmfolio.v1 import evaluations_pb2, prompts_pb2, selector_pb2, trainer_pb2
from palmfolio_runtime import names
from palmfolio_runtime.errors import invalid_argument
from palmfolio_runtime.limits import SelectorLimits
from palmfolio_runtime.prompts import Prompt, prompt_problems
from palmfolio_runtime.serving.rpc_types import Context
from palmfolio_runtime.settings.sampling import MAX_SAMPLES_PER_PROMPT
from palmfolio_selector.calls.call_group import CallGroup
from palmfolio_selector.domain.spec import source_settings
from palmfolio_selector.store import evaluations, imports, listing
from palmfolio_selector.store.imports import ImportedRow

IMPORTED_VERSION = "imported"
# Of a policy of which only the means are known, in the place of a prompt.
_NO_PROMPT = prompts_pb2.Prompt()
_UNKNOWN = Prompt.from_message(_NO_PROMPT)
# Violations that one error lists at most.
_MAX_VIOLATIONS = 20


@dataclass
class _Import:
    """The header of one stream and its content so far.

    Attributes:
        versions: version by trait.
        rows: the number of rows.
        prompts: by digest, in the order of their first row.
    """

    source: str = ""
    traits: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    policies: set[str] = field(default_factory=set)
    prompts: dict[str, Prompt] = field(default_factory=dict)


class EvaluationCalls(CallGroup):
    """`ImportEvaluations`, `ListEvaluations`."""

    async def ImportEvaluations(
        self,
        request_iterator: AsyncIterator[selector_pb2.ImportEvaluationsRequest],
        context: Context,
    ) -> selector_pb2.ImportEvaluationsResponse:
        """Stores the rows of each message as it comes."""
        self._state.check_ready()
        limits = self._server.config.limits
        received = _Import()
        async for request in request_iterator:
            _read_header(received, request, limits)
            rows = _checked_rows(received, request, limits)
            # A transaction for each message: a stream may hold more rows than the memory.
            await self._change(imports.add, received.source, received.versions, rows)
            received.rows += len(rows)
            received.policies.update(row.policy for row in rows)
            received.prompts |= {row.prompt.digest: row.prompt for row in rows}
        if not received.rows:
            raise invalid_argument(("evaluations", "is required: at least one row"))
        prompt_set = await self._change(
            imports.finish, received.source, received.versions, list(received.prompts.values())
        )
        return selector_pb2.ImportEvaluationsResponse(
            rows=received.rows,
            policies=len(received.policies),
            prompt_set=names.PROMPT_SETS.name(prompt_set.id),
        )

    async def ListEvaluations(
        self, request: selector_pb2.ListEvaluationsRequest, context: Context
    ) -> selector_pb2.ListEvaluationsResponse:
        """A page of stored rewards, in a fixed order."""
        self._state.check_ready()
        if request.policy:
            names.POLICIES.parse(request.policy, "policy")
        if request.source:
            names.check_chosen_id(request.source, "source")
        limits = self._server.config.limits
        shown, token = await self._database.run(_page, request, limits.max_message_bytes)
        return selector_pb2.ListEvaluationsResponse(evaluations=shown, next_page_token=token)


def _page(
    session: Session, request: selector_pb2.ListEvaluationsRequest, max_bytes: int
) -> tuple[list[evaluations_pb2.Evaluation], str]:
    sampling = None
    if request.source:
        sampling = evaluations.find_sampling(session, source_settings(request.source))
        if sampling is None:
            # Nothing was imported from this source.
            return [], ""
    trait = names.TRAITS.short(request.trait)
    wanted = listing.Filter(request.policy, trait, sampling)
    return listing.list_page(
        session, wanted, request.page_size, request.page_token, _message, max_bytes
    )


def _read_header(
    received: _Import, request: selector_pb2.ImportEvaluationsRequest, limits: SelectorLimits
) -> None:
    """Takes over the source, the traits and their versions, when the message has them."""
    if request.source or not received.source:
        received.source = names.check_chosen_id(request.source, "source")
    if request.traits or not received.traits:
        traits = tuple(names.TRAITS.short(trait) for trait in request.traits)
        most = limits.max_traits_per_selection
        if not 1 <= len(traits) <= most or len(set(traits)) < len(traits) or not all(traits):
            raise invalid_argument(
                ("traits", f"1 to {most} different names are required, the columns of the rewards")
            )
        received.traits = traits
    unknown = [trait for trait in request.trait_versions if trait not in received.traits]
    if unknown:
        raise invalid_argument(
            *((f"trait_versions[{trait}]", "is not one of `traits`") for trait in unknown)
        )
    given = {**received.versions, **request.trait_versions}
    received.versions = {trait: given.get(trait) or IMPORTED_VERSION for trait in received.traits}


def _checked_rows(
    received: _Import, request: selector_pb2.ImportEvaluationsRequest, limits: SelectorLimits
) -> list[ImportedRow]:
    """The rows of a message; a violation's index counts from the first row of the stream."""
    rows: list[ImportedRow] = []
    violations: list[tuple[str, str]] = []
    for index, row in enumerate(request.evaluations, received.rows):
        problems = _problems(row, len(received.traits), limits)
        violations += [(f"evaluations[{index}].{name}", text) for name, text in problems]
        if len(violations) >= _MAX_VIOLATIONS:
            break
        if not problems:
            prompt = Prompt.from_message(row.prompt)
            rows.append(ImportedRow(row.policy, prompt, row.sample, tuple(row.rewards)))
    if violations:
        raise invalid_argument(*violations)
    return rows


def _problems(
    row: evaluations_pb2.ImportedEvaluation, traits: int, limits: SelectorLimits
) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    problem = names.POLICIES.problem(row.policy)
    if problem:
        problems.append(("policy", problem))
    if row.prompt != _NO_PROMPT:
        found = prompt_problems(row.prompt, limits.max_characters)
        problems += [(f"prompt{path}", text) for path, text in found]
    if not 0 <= row.sample < MAX_SAMPLES_PER_PROMPT:
        problems.append(("sample", f"{row.sample} is not 0 to {MAX_SAMPLES_PER_PROMPT - 1}"))
    if len(row.rewards) != traits:
        problems.append(("rewards", f"{len(row.rewards)} rewards for {traits} traits"))
    problems += [
        (f"rewards[{index}]", f"{reward} is not a number in [0, 1]; normalise it first")
        for index, reward in enumerate(row.rewards)
        if not (0 <= reward <= 1 or math.isnan(reward))
    ]
    return problems


def _message(reward: listing.StoredReward) -> evaluations_pb2.Evaluation:
    source = str(reward.settings.get("source", ""))
    message = evaluations_pb2.Evaluation(
        policy=reward.policy,
        prompt=None if reward.prompt == _UNKNOWN else reward.prompt.to_message(),
        sample=reward.sample,
        trait=reward.trait,
        trait_version=reward.trait_version,
        raw=math.nan if reward.raw is None else reward.raw,
        normalised=math.nan if reward.normalised is None else reward.normalised,
        failure=reward.failure,
        source=source,
        response=reward.response or "",
    )
    if not source:
        message.sampling.CopyFrom(
            trainer_pb2.SamplingConfig(
                max_tokens=int(reward.settings["max_tokens"]),
                temperature=float(reward.settings["temperature"]),
                top_p=float(reward.settings["top_p"]),
                seed=int(reward.settings["seed"]),
            )
        )
    return message
