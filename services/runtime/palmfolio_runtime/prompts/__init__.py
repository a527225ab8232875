"""Prompts: the checked values, and the checks of what clients send; responses without a text."""

from palmfolio_runtime.prompts.checks import check_prompts, prompt_problems, without_reference
from palmfolio_runtime.prompts.prompt import ChatMessage, Prompt, Role
from palmfolio_runtime.prompts.responses import says_nothing

__all__ = [
    "ChatMessage",
    "Prompt",
    "Role",
    "check_prompts",
    "prompt_problems",
    "says_nothing",
    "without_reference",
]
