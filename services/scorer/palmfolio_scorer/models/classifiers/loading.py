"""Loads classifiers, whatever their configuration says or leaves out about their head."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from palmfolio_runtime.identity import Neutral
from palmfolio_scorer.models.classifiers.score_head import has_score_head, load_score_head_model
from palmfolio_scorer.models.device import torch_dtype
from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.model import ModelOptions


class ClassifierOptions(ModelOptions):
    """The source of a classifier and how it runs."""

    num_labels: Annotated[int | None, Field(gt=0), Neutral(None)] = None
    """The number of logits, for a model whose configuration does not state it."""

    def shared(self) -> "ClassifierOptions":
        """As for every model, and the size of the head."""
        names = ClassifierOptions.model_fields
        return ClassifierOptions(**{name: getattr(self, name) for name in names})


def load_classifier(source: str, options: ClassifierOptions, dtype: str) -> tuple[Any, Any]:
    """A classifier of Transformers, or a score model, and its tokeniser.

    Raises:
        TraitLoadError: they cannot be loaded, weights are missing, or the head has another size.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    hub = {"revision": options.revision, "trust_remote_code": options.trust_remote_code}
    size = {} if options.num_labels is None else {"num_labels": options.num_labels}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **hub)
        config = AutoConfig.from_pretrained(source, **hub, **size)
        if has_score_head(config):
            return load_score_head_model(source, config, torch_dtype(dtype), hub), tokenizer
        model, report = AutoModelForSequenceClassification.from_pretrained(
            source,
            config=config,
            dtype=torch_dtype(dtype),
            output_loading_info=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # the report says which, and they are refused below
            **hub,
        )
    except TraitLoadError:
        raise
    except Exception as error:
        raise TraitLoadError(f"cannot load the model {options.model}: {error}") from error
    _check(report, config, options, Path(source).name)
    return model, tokenizer


def _check(report: Any, config: Any, options: ClassifierOptions, folder: str) -> None:
    if missing := sorted(report["missing_keys"]):
        raise TraitLoadError(
            f"the model {options.model} has no {', '.join(missing[:3])}: it is not a "
            f"trained classifier or reward model, its rewards would be random ({folder})"
        )
    for name, saved, expected in sorted(report["mismatched_keys"], key=str):
        sizes = f"{tuple(saved)} in its files and {tuple(expected)} in its configuration"
        advice = ""
        if expected[0] == config.num_labels and saved[1:] == expected[1:]:
            advice = f": set `num_labels: {saved[0]}`"
        raise TraitLoadError(f"the model {options.model} has {name} of {sizes}{advice}")
