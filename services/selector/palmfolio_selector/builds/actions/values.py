"""The values of a build's candidates."""

from collections.abc import Mapping

import numpy as np
from google.rpc import code_pb2, status_pb2
from sqlalchemy.orm import Session

from palmfolio.v1 import selector_pb2
from palmfolio_palm import selection
from palmfolio_palm.validation import FloatArray
from palmfolio_selector.builds import state
from palmfolio_selector.builds.actions import evaluate
from palmfolio_selector.builds.context import BuildContext
from palmfolio_selector.builds.events import Happening
from palmfolio_selector.messages.certificates import Values
from palmfolio_selector.store import portfolios
from palmfolio_selector.store import values as stored_values
from palmfolio_selector.store.values import Mean

# A mean over fewer of a policy's responses than this share says too little about the policy.
MIN_SCORED_SHARE = 0.9


def read_values(session: Session, context: BuildContext) -> Values:
    """The candidates' values; those whose responses could not be scored are dropped."""
    row = portfolios.get(session, context.portfolio)
    how = state.measurement(session, row)
    candidates = state.read(session, context.portfolio).candidates
    means = stored_values.means(session, how, candidates)
    kept: list[str] = []
    for name in candidates:
        problem = _unscored(means[name], list(how.traits), how.responses)
        if problem is None:
            kept.append(name)
            continue
        evaluate.drop_candidate(session, context.portfolio, name, problem)
        message = f"the policy is no candidate: {problem.message}"
        context.append(session, Happening(selector_pb2.BUILD_STAGE_SELECTING, message, name))
    V = np.array([[means[name][trait].value for trait in how.traits] for name in kept])
    base = kept.index(row.base_policy) if row.base_policy in kept else None
    return Values(tuple(kept), tuple(how.traits), V.reshape(len(kept), len(how.traits)), base)


def _unscored(
    means: Mapping[str, Mean], traits: list[str], responses: int
) -> status_pb2.Status | None:
    for trait in traits:
        scored = (
            means[trait].count / (means[trait].count + means[trait].failed)
            if (trait in means)
            else 0.0
        )
        if scored < MIN_SCORED_SHARE:
            message = (
                f"trait {trait} scored {scored:.0%} of its {responses} responses; "
                f"at least {MIN_SCORED_SHARE:.0%} are needed"
            )
            return status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message=message)
    return None


def rewards_by_prompt(session: Session, context: BuildContext, values: Values) -> FloatArray | None:
    """Mean rewards (n, N, d) of the candidates by prompt; None when the candidates are many."""
    if len(values.names) > selection.MAX_CONFIDENCE_POLICIES:
        return None
    how = state.measurement(session, portfolios.get(session, context.portfolio))
    return stored_values.by_prompt(session, how, values.names)
