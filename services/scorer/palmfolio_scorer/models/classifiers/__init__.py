"""Reward models and classifiers: from a text, or a pair of texts, to logits."""

from palmfolio_scorer.models.classifiers.loading import ClassifierOptions
from palmfolio_scorer.models.classifiers.model import RENDERED, ClassifierModel

__all__ = ["RENDERED", "ClassifierModel", "ClassifierOptions"]
