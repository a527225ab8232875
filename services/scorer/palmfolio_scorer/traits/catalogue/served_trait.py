"""One declared trait, with its version and the normalisation in force."""

from dataclasses import dataclass
from typing import Any

from palmfolio_runtime.digest import digest
from palmfolio_runtime.logs import get_logger
from palmfolio_scorer.calibration.normalisation import Normalisation
from palmfolio_scorer.calibration.store import CalibrationStore
from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import EmptyResponse, Sample, TextField
from palmfolio_scorer.traits.catalogue.spec import TraitSpec
from palmfolio_scorer.traits.kind import TextTrait, Trait

_log = get_logger(__name__)


@dataclass
class ServedTrait:
    """A declared trait and its state: loaded, failed, calibrated."""

    spec: TraitSpec
    trait: Trait[Any]
    version: str = ""
    """16 hexadecimal digits; empty until loaded."""
    raw_identity: str = ""
    """Digest of what determines the raw rewards; empty until loaded."""
    failure: str = "is being loaded"
    """Why the trait cannot be scored; empty when it can."""
    fitted: Normalisation | None = None
    """The normalisation that `Calibrate` fitted; it takes precedence over the trait file's."""
    parts: "tuple[ServedTrait, ...]" = ()
    """The traits that a composite combines, in its order."""

    @property
    def name(self) -> str:
        """The name in the trait file."""
        return self.spec.name

    @property
    def normalisation(self) -> Normalisation:
        """From raw rewards to [0, 1]."""
        return self.fitted or self.spec.normalisation

    @property
    def fields(self) -> frozenset[TextField]:
        """What the trait reads of a sample; a composite reads what its parts read."""
        if self.parts:
            return frozenset().union(*(part.fields for part in self.parts))
        return self.trait.fields()

    @property
    def empty_response(self) -> EmptyResponse:
        """What a response that says nothing gets: as the trait file states it, or as the kind does.

        See `docs/missing-rewards.md`.
        """
        stated = self.spec.empty_response
        return self.trait.empty_response() if stated is None else stated

    def known_empty_response(self) -> EmptyResponse:
        """The same; where the trait judges by the response only, the reward that this gives.

        Call it after loading.
        """
        rule = self.empty_response
        text_only = isinstance(self.trait, TextTrait) and self.fields == {"response"}
        if rule != "judged" or not text_only:
            return rule
        assert isinstance(self.trait, TextTrait)
        rewards = self.trait.raw_rewards([Sample("", "")])
        return "unscorable" if rewards.failures else float(rewards.values[0])

    def load(self, models: ModelStore, calibrations: CalibrationStore | None = None) -> None:
        """Loads the trait and computes its version; a failure is kept, not raised.

        A composite's parts must be loaded first.
        """
        try:
            for part in self.parts:
                if part.failure:
                    raise TraitLoadError(f"its part {part.name}: {part.failure}")
            self.trait.load(models)
            self.apply_calibration(calibrations)
            self.failure = ""
        except BaseException as error:  # a library's `sys.exit` would end the scorer
            self.failure = str(error) or type(error).__name__
            _log.error("trait failed to load", trait=self.name, reason=self.failure)

    def apply_calibration(self, calibrations: CalibrationStore | None) -> None:
        """Takes the normalisation stored for today's raw rewards and updates the version.

        Call it after loading; a composite's parts come first, because their versions are in its
        own.
        """
        self.raw_identity = digest(self.provenance(), 16)
        # A normalisation fitted to other raw rewards (another model, template, ...) does not fit.
        self.fitted = calibrations.find(self.name, self.raw_identity) if calibrations else None
        self.version = self.version_with(self.normalisation)

    def version_with(self, normalisation: Normalisation) -> str:
        """The version that the trait has with this normalisation. After loading."""
        return digest({"raw": self.raw_identity, "normalisation": normalisation.identity()}, 16)

    def provenance(self) -> dict[str, Any]:
        """Everything in the version except the normalisation, as JSON. After loading."""
        parts = {part.name: part.version for part in self.parts}
        made_of: dict[str, Any] = {"trait": self.trait.identity(), "parts": parts}
        # Left out where the kind's own rule holds, which is a part of the kind's code.
        if self.spec.empty_response is not None:
            made_of["empty_response"] = self.spec.empty_response
        return made_of
