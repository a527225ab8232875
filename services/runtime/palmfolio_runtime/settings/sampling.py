"""Ranges and defaults of the settings of sampling, for the selector and the trainer."""

from palmfolio.v1 import trainer_pb2
from palmfolio_runtime.settings.ranges import Range, Ranges

MAX_SAMPLES_PER_PROMPT = 1024

SAMPLING_RANGES: Ranges = {
    "samples_per_prompt": Range(1, MAX_SAMPLES_PER_PROMPT),
    "max_tokens": Range(1, 4096),
    "temperature": Range(0, 10),
    "top_p": Range(0, 1, above_low=True),
    "seed": Range(0),
}
"""By field of `SamplingConfig`; protos/palmfolio/v1/trainer.proto states them, too."""

SAMPLING_DEFAULTS = trainer_pb2.SamplingConfig(
    samples_per_prompt=1, max_tokens=64, temperature=1.0, top_p=1.0, seed=0
)


def full_sampling(sampling: trainer_pb2.SamplingConfig) -> trainer_pb2.SamplingConfig:
    """A copy of the settings in which every field is set."""
    full = trainer_pb2.SamplingConfig()
    full.CopyFrom(SAMPLING_DEFAULTS)
    full.MergeFrom(sampling)
    return full
