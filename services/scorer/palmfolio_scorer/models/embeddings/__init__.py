"""Sentence-transformers models: from a text to its embedding."""

from palmfolio_scorer.models.embeddings.model import EmbeddingModel

__all__ = ["EmbeddingModel"]
