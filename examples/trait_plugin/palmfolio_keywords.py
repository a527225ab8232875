"""A trait kind of your own: the share of the wanted keywords that a response holds.

In the trait file:

    - name: on_topic
      kind: keywords
      words: [flour, yeast, oven]
      normalisation: {kind: identity}
"""

from pydantic import Field

from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.kind import TextTrait, TraitOptions


class KeywordsOptions(TraitOptions):
    """Keys of the trait file in addition to `name`, `kind`, `description` and `normalisation`."""

    words: tuple[str, ...] = Field(min_length=1)


class Keywords(TextTrait[KeywordsOptions]):
    """Raw reward: the share of `words` in the response, in [0, 1]."""

    options_type = KeywordsOptions
    # Raise it whenever the same options would give another reward: it changes the trait's version.
    code_version = 1

    def reward(self, sample: Sample) -> float:
        """A function of the sample only: no state, no clock, no randomness."""
        if not sample.response.strip():
            # This becomes the sample's status: it has no reward, and the other samples are scored.
            raise SampleError("is empty", field="response")
        text = sample.response.casefold()
        found = sum(word.casefold() in text for word in self.options.words)
        return found / len(self.options.words)
