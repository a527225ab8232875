"""The traits that a configuration declares."""

from palmfolio_runtime.config import ConfigError
from palmfolio_scorer.config import ScorerConfig
from palmfolio_scorer.traits.catalogue.presets import preset_text
from palmfolio_scorer.traits.catalogue.spec import parse_traits, read_traits
from palmfolio_scorer.traits.catalogue.trait_set import TraitSet
from palmfolio_scorer.traits.kind import TraitConfigError


def declared_traits(config: ScorerConfig) -> TraitSet:
    """The traits of `traits`, `traits_file` and `preset`, in this order, not loaded yet.

    Raises:
        ConfigError: there are no traits, too many, or one is declared wrongly.
    """
    try:
        specs = list(config.traits)
        if config.traits_file:
            specs += read_traits(config.traits_file)
        if config.preset:
            specs += parse_traits(preset_text(config.preset), f"preset {config.preset}")
        if len(specs) > config.limits.max_traits:
            raise TraitConfigError(
                f"{len(specs)} traits; `limits.max_traits` allows {config.limits.max_traits}"
            )
        return TraitSet(specs)
    except TraitConfigError as error:
        raise ConfigError(str(error)) from error
