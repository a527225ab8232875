"""Trait kinds by name: the built-in ones, and plugins."""

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from palmfolio_scorer.traits.composite import Composite
from palmfolio_scorer.traits.embedding_similarity import EmbeddingSimilarity
from palmfolio_scorer.traits.kind import ModelTrait, TextTrait, Trait, TraitConfigError
from palmfolio_scorer.traits.language_model import LanguageModelTrait
from palmfolio_scorer.traits.sequence_classifier import SequenceClassifier
from palmfolio_scorer.traits.verifier import Verifier

PLUGIN_GROUP = "palmfolio.traits"
"""Entry points of this group name subclasses of `TextTrait` or `ModelTrait`."""

_BUILT_IN: tuple[type[Trait[Any]], ...] = (
    Composite,
    EmbeddingSimilarity,
    LanguageModelTrait,
    SequenceClassifier,
    Verifier,
)


# Cached, so a plugin that is installed later needs a restart.
@cache
def kinds() -> dict[str, type[Trait[Any]]]:
    """Every kind by name. A plugin may add a kind, but not replace one.

    Raises:
        TraitConfigError: a plugin cannot be imported or is not a trait kind.
    """
    known = {kind.kind: kind for kind in _BUILT_IN}
    for point in entry_points(group=PLUGIN_GROUP):
        try:
            plugin = point.load()
        except Exception as error:
            raise TraitConfigError(f"plugin {point.name} ({point.value}): {error}") from error
        if not (isinstance(plugin, type) and issubclass(plugin, TextTrait | ModelTrait)):
            raise TraitConfigError(
                f"plugin {point.name} ({point.value}) is not a subclass of TextTrait or ModelTrait"
            )
        if point.name in known:
            raise TraitConfigError(f"plugin {point.name} ({point.value}): the kind already exists")
        plugin.kind = point.name  # the name that users see is chosen where the plugin is packaged
        known[point.name] = plugin
    return known


def make_trait(kind: str, options: dict[str, Any]) -> Trait[Any]:
    """A trait of a kind, not loaded yet.

    Example:
        >>> make_trait("verifier", {"check": "length"}).kind
        'verifier'

    Raises:
        TraitConfigError: there is no such kind, or the options are wrong.
    """
    known = kinds()
    if kind not in known:
        raise TraitConfigError(f"unknown kind {kind!r}; known: {', '.join(sorted(known))}")
    trait_type = known[kind]
    try:
        return trait_type(trait_type.options_type(**options))
    except ValidationError as error:
        issues = [
            f"{'.'.join(str(part) for part in issue['loc']) or 'options'}: {issue['msg']}"
            for issue in error.errors()
        ]
        raise TraitConfigError("; ".join(issues)) from error
    except ValueError as error:
        raise TraitConfigError(str(error)) from error
