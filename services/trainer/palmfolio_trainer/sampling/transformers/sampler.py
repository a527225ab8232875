"""Sampling from many policies on one base model, one policy after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from palmfolio_runtime.prompts import Prompt
from palmfolio_trainer.models.loading import load_model, load_tokenizer
from palmfolio_trainer.sampling.backend import Completion
from palmfolio_trainer.sampling.transformers.chat import prompt_ids
from palmfolio_trainer.sampling.transformers.decoding import (
    DecodingSettings,
    end_token_ids,
    sample,
    uniforms,
)
from palmfolio_trainer.sampling.transformers.merging import merged_adapter


class Sampler:
    """Holds one base model in memory. Not safe for use from several threads at once."""

    def __init__(self, base_path: Path, *, device: str | None = None, dtype: Any = None) -> None:
        """
        Args:
            base_path: directory of the base model.
            device: default `loading.preferred_device()`.
            dtype: default `loading.preferred_dtype(device)`.
        """
        self._tokenizer = load_tokenizer(base_path)
        self._model = load_model(base_path, dtype=dtype, device=device)
        self._end_tokens = end_token_ids(self._model, self._tokenizer)

    def sample(
        self,
        policies: Mapping[str, Path | None],
        prompts: Sequence[Prompt],
        *,
        samples_per_prompt: int = 1,
        max_tokens: int = 64,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int = 0,
        batch_size: int = 96,
        cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[list[Completion]]:
        """Samples `samples_per_prompt` completions of each prompt from each policy.

        The random numbers of a completion depend only on the seed, its prompt's index and its
        sample's index: policies are compared on common random numbers.

        Args:
            policies: name -> adapter directory; None is the base model.
            prompts: what to answer; their references are not used.
            seed: >= 0.
            batch_size: completions decoded together, at most (at least one prompt's).
            cancelled: asked before each token.

        Yields:
            Batches of completions, policy by policy; within a policy in no particular order of
            prompts, since prompts of similar length share a batch.

        Raises:
            ValueError: naming the argument that is out of range.
            PromptRefused: the chat template does not take one of the prompts.
            SamplingCancelled: `cancelled` returned True.
        """
        settings = DecodingSettings(max_tokens, temperature, top_p)
        if samples_per_prompt < 1:
            raise ValueError("samples_per_prompt: must be at least 1")
        if seed < 0:
            raise ValueError("seed: must be at least 0")
        tokenised = [prompt_ids(self._tokenizer, prompt) for prompt in prompts]
        # Prompts of similar length share a batch, so that little of it is padding.
        by_length = sorted(range(len(prompts)), key=lambda index: len(tokenised[index]))
        per_batch = max(1, batch_size // samples_per_prompt)
        batches = [by_length[i : i + per_batch] for i in range(0, len(by_length), per_batch)]
        for policy, adapter in policies.items():
            with self._policy(adapter) as model:
                for batch in batches:
                    numbers = np.stack(
                        [
                            uniforms((seed, index, number), max_tokens)
                            for index in batch
                            for number in range(samples_per_prompt)
                        ]
                    )
                    sampled = sample(
                        model,
                        [tokenised[index] for index in batch],
                        numbers,
                        settings,
                        end_tokens=self._end_tokens,
                        pad_token=self._tokenizer.pad_token_id,
                        cancelled=cancelled,
                    )
                    yield self._completions(policy, batch, samples_per_prompt, sampled)

    @contextmanager
    def _policy(self, adapter: Path | None) -> Iterator[Any]:
        """The base model with an adapter merged into it; the base model afterwards."""
        if adapter is None:
            yield self._model
            return
        from peft import PeftModel

        policy = PeftModel.from_pretrained(self._model, str(adapter))
        try:
            with merged_adapter(policy):
                yield policy
        finally:
            # PEFT wraps layers of the base model in place; this takes them out again.
            self._model = policy.unload()

    def _completions(
        self,
        policy: str,
        batch: Sequence[int],
        samples_per_prompt: int,
        sampled: list[list[int]],
    ) -> list[Completion]:
        texts = self._tokenizer.batch_decode(sampled, skip_special_tokens=True)
        return [
            Completion(
                policy=policy,
                prompt_index=batch[row // samples_per_prompt],
                sample_index=row % samples_per_prompt,
                text=text,
                tokens=len(ids),
                finish_reason="stop" if ids[-1] in self._end_tokens else "length",
            )
            for row, (text, ids) in enumerate(zip(texts, sampled, strict=True))
        ]
