"""The plan of a build: the next actions, a pure function of the facts in the database.

The plan does not remember earlier actions. An action changes the facts, the loop reads them again,
and the next plan follows from them; so a crash at any moment costs only the work in flight.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from palmfolio_selector.store.tables import TrainingState


@dataclass(frozen=True)
class Training:
    """A training that the build wants.

    Attributes:
        position: from 1.
        initial: the position of the training it starts from; 0 for the base model.
        policy: the name of the policy; empty until ready.
    """

    position: int
    initial: int
    state: TrainingState
    policy: str = ""


@dataclass(frozen=True)
class Measured:
    """The responses and rewards that a policy has under the build's measurement.

    Attributes:
        rewards: failed ones included.
        failed: rewards that are missing.
    """

    responses: int = 0
    rewards: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Facts:
    """The facts about a build that its plan depends on.

    Attributes:
        prepared: the traits' versions and the base model's policy are known.
        base_policy: name of the base model's policy; empty when it is not a candidate.
        trainings: in order of position.
        exploring: the strategy may want further trainings once these are evaluated.
        measured: by policy name.
        responses: that every policy needs.
        traits: rewards that every response needs.
        excluded: evaluated policies that lack too many rewards to be compared; known once all
            candidates are evaluated.
    """

    prepared: bool
    base_policy: str
    trainings: tuple[Training, ...]
    exploring: bool
    measured: Mapping[str, Measured]
    responses: int
    traits: int
    excluded: frozenset[str] = frozenset()

    @property
    def candidates(self) -> tuple[str, ...]:
        """The policies that can be evaluated: the base model first, each once."""
        # Trainings with the same settings give the same policy, which is evaluated once.
        ready = [t.policy for t in self.trainings if t.state is TrainingState.READY]
        base = [self.base_policy] if self.base_policy else []
        return tuple(dict.fromkeys(base + ready))

    def of(self, policy: str) -> Measured:
        """The responses and rewards that a policy has."""
        return self.measured.get(policy, Measured())

    def evaluated(self, policy: str) -> bool:
        """Whether a policy has all its responses and rewards."""
        measured = self.of(policy)
        return (
            measured.responses >= self.responses
            and measured.rewards >= self.responses * self.traits
        )

    @property
    def candidates_done(self) -> int:
        """Policies that are trained and evaluated."""
        return sum(map(self.evaluated, self.candidates))

    @property
    def candidates_total(self) -> int:
        """Policies that the build wants trained and evaluated."""
        pending = {TrainingState.WANTED, TrainingState.RUNNING}
        # The base model's policy is counted before its name is known, or the total would grow.
        unknown_base = not self.prepared
        return unknown_base + len(self.candidates) + sum(t.state in pending for t in self.trainings)


@dataclass(frozen=True)
class Prepare:
    """Ask the scorer for the traits' versions and the trainer for the base model's policy."""

    needs: ClassVar[tuple[str, ...]] = ("scorer", "trainer")
    lane: ClassVar[str] = "prepare"


@dataclass(frozen=True)
class Submit:
    """Submit a training to the trainer."""

    needs: ClassVar[tuple[str, ...]] = ("trainer",)
    # One at a time: the trainer queues the trainings in the order of their positions.
    lane: ClassVar[str] = "submit"
    position: int


@dataclass(frozen=True)
class GiveUp:
    """Give up a training whose starting point failed."""

    needs: ClassVar[tuple[str, ...]] = ()
    lane: ClassVar[str] = "submit"
    position: int


@dataclass(frozen=True)
class Follow:
    """Pass on the progress of a training until it ends."""

    needs: ClassVar[tuple[str, ...]] = ("trainer",)
    position: int

    @property
    def lane(self) -> str:
        """A lane of its own: trainings are followed at the same time."""
        return f"follow {self.position}"


@dataclass(frozen=True)
class Sample:
    """Sample a policy's missing responses."""

    needs: ClassVar[tuple[str, ...]] = ("trainer",)
    lane: ClassVar[str] = "sample"
    policy: str


@dataclass(frozen=True)
class Score:
    """Score a policy's responses that lack rewards."""

    needs: ClassVar[tuple[str, ...]] = ("scorer",)
    lane: ClassVar[str] = "score"
    policy: str


@dataclass(frozen=True)
class Drop:
    """Take a policy that lacks too many rewards out of the candidates."""

    needs: ClassVar[tuple[str, ...]] = ()
    # Scoring's lane: what a policy lacks is clear only after scoring.
    lane: ClassVar[str] = "score"
    policy: str


@dataclass(frozen=True)
class Explore:
    """Decide which trainings the strategy wants next, if any."""

    needs: ClassVar[tuple[str, ...]] = ()
    lane: ClassVar[str] = "select"


@dataclass(frozen=True)
class Select:
    """Select and certify the portfolio; the last action of a build."""

    # For the embeddings of the members' answers.
    needs: ClassVar[tuple[str, ...]] = ("scorer",)
    # Exploring's lane: an exploration that is still running may add trainings.
    lane: ClassVar[str] = "select"


Action: TypeAlias = Prepare | Submit | GiveUp | Follow | Sample | Score | Drop | Explore | Select


def next_actions(facts: Facts) -> tuple[Action, ...]:
    """Every action that can be done now, the most wanted first. Never empty.

    Actions are idempotent. They may be performed in any order and at the same time, but only one
    at a time in each lane.
    """
    if not facts.prepared:
        return (Prepare(),)
    actions = (*_trainings(facts), *_evaluations(facts))
    if actions:
        return actions
    # Only now: which policies lack too much follows from what all of them have.
    drops = tuple(Drop(policy) for policy in facts.candidates if policy in facts.excluded)
    if drops:
        return drops
    return (Explore(),) if facts.exploring else (Select(),)


def _trainings(facts: Facts) -> Iterator[Action]:
    states = {training.position: training.state for training in facts.trainings}
    for training in facts.trainings:
        if training.state is TrainingState.RUNNING:
            yield Follow(training.position)
        elif training.state is TrainingState.WANTED:
            start = states[training.initial] if training.initial else TrainingState.READY
            if start is TrainingState.READY:
                yield Submit(training.position)
            elif start is TrainingState.FAILED:
                yield GiveUp(training.position)


def _evaluations(facts: Facts) -> Iterator[Action]:
    for policy in facts.candidates:
        measured = facts.of(policy)
        if measured.responses < facts.responses:
            yield Sample(policy)
        # Responses are scored as they come in, while the rest are sampled.
        if measured.rewards < measured.responses * facts.traits:
            yield Score(policy)
