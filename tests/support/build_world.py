"""A world in which a plan's actions have their effects, one at a time, in any order."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from palmfolio_selector.builds import plan
from palmfolio_selector.builds.plan import Facts, Measured, Training
from palmfolio_selector.store.tables import TrainingState

BASE = "policies/base"


class World:
    """The facts of a build, which its actions change.

    Args:
        starts: for each training, the position it starts from (0 for the base model).
        failing: positions of the trainings that the trainer fails.
        same: position of a training -> position of an earlier one that is the same policy.
        responses: each policy needs.
        traits: rewards each response needs.
        rounds: times that the strategy adds a training before it wants no more.
        unscorable: policies of which no response can be scored on one of the traits.
    """

    def __init__(
        self,
        starts: Sequence[int],
        failing: Set[int],
        same: Mapping[int, int],
        responses: int,
        traits: int,
        rounds: int = 0,
        unscorable: Set[str] = frozenset(),
    ) -> None:
        self.rounds = rounds
        self.unscorable = unscorable
        self.failing = failing
        self.same = same
        self.facts = Facts(
            prepared=False,
            base_policy="",
            trainings=tuple(
                Training(position, start, TrainingState.WANTED)
                for position, start in enumerate(starts, start=1)
            ),
            exploring=True,
            measured={},
            responses=responses,
            traits=traits,
        )

    def perform(self, action: plan.Action, share: float = 1.0) -> None:
        """Performs an action; of sampling and scoring only a share, as when a crash cuts in."""
        match action:
            case plan.Prepare():
                self.facts = replace(self.facts, prepared=True, base_policy=BASE)
            case plan.Submit(position):
                if self._training(position).state is TrainingState.WANTED:
                    self._change(position, state=TrainingState.RUNNING)
            case plan.GiveUp(position):
                self._change(position, state=TrainingState.FAILED)
            case plan.Follow(position) if position in self.failing:
                self._change(position, state=TrainingState.FAILED)
            case plan.Follow(position):
                policy = f"policies/{self.same.get(position, position)}"
                self._change(position, state=TrainingState.READY, policy=policy)
            case plan.Sample(policy):
                had = self.facts.of(policy)
                missing = self.facts.responses - had.responses
                self._measure(policy, replace(had, responses=had.responses + part(missing, share)))
            case plan.Explore():
                self._explore()
            case plan.Score(policy):
                had = self.facts.of(policy)
                missing = had.responses * self.facts.traits - had.rewards
                rewards = had.rewards + part(missing, share)
                failed = rewards // self.facts.traits if policy in self.unscorable else 0
                self._measure(policy, replace(had, rewards=rewards, failed=failed))
            case plan.Drop(policy):
                self._drop(policy)

    def _drop(self, policy: str) -> None:
        if policy == self.facts.base_policy:
            self.facts = replace(self.facts, base_policy="")
        for training in self.facts.trainings:
            if training.policy == policy:
                self._change(training.position, state=TrainingState.FAILED)

    def _explore(self) -> None:
        if self.rounds:
            added = Training(len(self.facts.trainings) + 1, 0, TrainingState.WANTED)
            self.facts = replace(self.facts, trainings=(*self.facts.trainings, added))
            self.rounds -= 1
        else:
            self.facts = replace(self.facts, exploring=False)

    def _training(self, position: int) -> Training:
        return self.facts.trainings[position - 1]

    def _change(self, position: int, **changes: Any) -> None:
        trainings = list(self.facts.trainings)
        trainings[position - 1] = replace(trainings[position - 1], **changes)
        self.facts = replace(self.facts, trainings=tuple(trainings))

    def _measure(self, policy: str, measured: Measured) -> None:
        self.facts = replace(self.facts, measured={**self.facts.measured, policy: measured})
        lost = {name for name in self.unscorable if self.facts.evaluated(name)}
        self.facts = replace(self.facts, excluded=frozenset(lost))


def part(missing: int, share: float) -> int:
    """A share of the missing number, at least one, so that every try makes progress."""
    return min(missing, max(1, int(missing * share)))
