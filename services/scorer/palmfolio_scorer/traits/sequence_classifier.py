"""Reward models and classifiers of the Transformers library as traits."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import model_validator

from palmfolio_runtime.identity import Neutral
from palmfolio_scorer.models.classifiers import RENDERED, ClassifierModel, ClassifierOptions
from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.model import ModelInput, Output
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import EmptyResponse, Sample, SampleError, TextField
from palmfolio_scorer.traits.kind import ModelTrait
from palmfolio_scorer.traits.templates import TurnTemplates, fields_of, mentions, render

_TRIAL = Sample("How do I bake bread?", "Knead, wait, bake.", "Knead, wait, bake.")
"""A sample that every trait is tried on when it is loaded."""


class SequenceClassifierOptions(ClassifierOptions):
    """Options of `sequence_classifier`."""

    template: str | tuple[str, str] | None = None
    """The text with `{prompt}`, `{response}` and `{reference}`; two of them make a pair input."""
    turns: Annotated[TurnTemplates | None, Neutral(None)] = None
    """How `{prompt}` writes each turn; None writes a text as it is, and several turns as
    `role: content` lines."""
    strip: Annotated[bool, Neutral(False)] = False
    """Whether `{response}` leaves out the white space around the response."""
    chat_template: bool = False
    """Writes the prompt's messages and the response with the tokeniser's chat template instead."""
    head: Annotated[Literal["logits", "rewards"], Neutral("logits")] = "logits"
    """The output that is read: `rewards` are the objectives of a reward model such as ArmoRM."""
    label: int | str | None = None
    """The value of the head, by position or, for logits, by name; required where there are
    several."""
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    """The raw reward: the logit itself, its sigmoid, or the label's probability."""
    negate: bool = False
    """For costs: the sign of the raw reward is turned."""

    @model_validator(mode="after")
    def _one_input_format(self) -> "SequenceClassifierOptions":
        if (self.template is not None) == self.chat_template:
            raise ValueError("set either template or chat_template")
        texts = [self.template] if isinstance(self.template, str) else list(self.template or ())
        if texts and not any(mentions(text, "response") for text in texts):
            raise ValueError("template must hold {response}")
        if self.chat_template and (self.turns or self.strip):
            raise ValueError("turns and strip belong to a template, not to chat_template")
        return self


class SequenceClassifier(ModelTrait[SequenceClassifierOptions]):
    """Raw reward: one logit of a model, or a probability.

    Example:
        In the trait file; a reward model for chats, in a folder:

            - name: helpful
              kind: sequence_classifier
              model: models/reward-model
              chat_template: true
              normalisation: {kind: sigmoid}

        A classifier with several labels:

            - name: joyful
              kind: sequence_classifier
              model: models/emotions
              template: "{response}"
              label: joy
              activation: softmax
              normalisation: {kind: identity}

        A reward model with several objectives; traits of the same model share its forward passes:

            - name: complex
              kind: sequence_classifier
              model: models/armorm
              trust_remote_code: true
              chat_template: true
              head: rewards
              label: 17
              normalisation: {kind: sigmoid}
    """

    kind = "sequence_classifier"
    code_version = 2
    options_type = SequenceClassifierOptions
    model: ClassifierModel

    def __init__(self, options: SequenceClassifierOptions) -> None:
        super().__init__(options)
        template = options.template or ()
        self._template: tuple[str, ...] = (template,) if isinstance(template, str) else template
        self._turns = options.turns

    def load(self, models: ModelStore) -> None:
        """Loads the model and finds the label."""
        shared = self.options.shared()
        self.model = models.get(
            ClassifierModel, shared, lambda device: ClassifierModel(shared, device)
        )
        self._label = self._find_label()
        tokeniser = self.model.tokeniser
        if self.options.chat_template and not tokeniser.tokenizer.chat_template:
            raise TraitLoadError(f"the tokeniser of {self.options.model} has no chat template")
        self._template = tuple(tokeniser.written(text) for text in self._template)
        if turns := self.options.turns:
            written = {
                k: tokeniser.written(v) for k, v in turns.model_dump(exclude_none=True).items()
            }
            self._turns = TurnTemplates(**written)
        self._try(_TRIAL)

    def identity(self) -> dict[str, Any]:
        """As for every model, and the label by its position: its name does not matter."""
        return super().identity() | {"label": self._label}

    def fields(self) -> frozenset[TextField]:
        """What the template holds; a chat template takes prompt and response."""
        return fields_of(*self._template) if self._template else super().fields()

    def empty_response(self) -> EmptyResponse:
        """The model judges it next to its prompt; without one, it would have nothing to read."""
        return "unscorable" if self.fields() == {"response"} else "judged"

    def inputs(self, sample: Sample) -> Sequence[ModelInput]:
        """One input: a text, a pair, or a rendered chat."""
        if self._template:
            texts = self._texts(sample)
            return [tuple(render(part, texts) for part in self._template)]
        messages = [
            *({"role": turn.role, "content": turn.content} for turn in sample.messages),
            {"role": "assistant", "content": sample.response},
        ]
        return [(RENDERED, self.model.tokeniser.chat(messages), "")]

    def _texts(self, sample: Sample) -> Sample:
        """The sample with its texts as the template takes them."""
        if self._turns:
            sample = dataclasses.replace(sample, prompt=self._turns.write(sample.messages))
        if self.options.strip:
            sample = dataclasses.replace(sample, response=sample.response.strip())
        return sample

    def reward_from(self, sample: Sample, outputs: Sequence[Output]) -> float:
        """The label's logit or probability."""
        logits = outputs[0][self.model.heads[self.options.head]].astype(np.float64)
        value = logits[self._label]
        if self.options.activation == "sigmoid":
            value = 0.5 * (1.0 + np.tanh(value / 2.0))  # exp would overflow
        elif self.options.activation == "softmax":
            shifted = np.exp(logits - logits.max())
            value = shifted[self._label] / shifted.sum()
        return float(-value if self.options.negate else value)

    def _try(self, sample: Sample) -> None:
        """Scores a sample as it will be served.

        Raises:
            TraitLoadError: it has no reward.
        """
        try:
            outputs = self.model.forward(self.model.encode(self.inputs(sample)))
            reward = self.reward_from(sample, list(outputs))
        except SampleError as error:
            if self.options.overflow == "fail":  # this sample may be longer than those to come
                return
            raise TraitLoadError(f"a sample {error.failure.message}") from error
        except Exception as error:
            raise TraitLoadError(
                f"a sample cannot be scored: {type(error).__name__}: {error}"
            ) from error
        if not np.isfinite(reward):
            raise TraitLoadError(f"a sample's reward is {reward}, not a number")

    def _find_label(self) -> int:
        label, head = self.options.label, self.options.head
        if head not in self.model.heads:
            raise TraitLoadError(f"the model {self.options.model} has no head `{head}`")
        values = self.model.heads[head]
        count = values.stop - values.start
        known = self.model.labels if head == "logits" else {}
        names = ", ".join(known) or "without names"
        if label is None:
            if count == 1:
                return 0
            raise TraitLoadError(f"label is required: the model has {count} ({names})")
        if isinstance(label, str):
            if label not in known:
                raise TraitLoadError(f"unknown label {label!r}; the model's: {names}")
            return known[label]
        if not 0 <= label < count:
            raise TraitLoadError(f"label {label} is not in 0..{count - 1} ({names})")
        return label
