"""Traits that are plain functions of the texts, in processes that can be killed.

A text can make a pattern, a library or a plugin run for ever, or end its process. So their code
never runs in the scorer itself: `pool` hands samples to workers, `process` is one of them as the
scorer sees it, and `worker` is the program that it runs.
"""

from palmfolio_scorer.engine.texts.pool import TextWorkers

__all__ = ["TextWorkers"]
