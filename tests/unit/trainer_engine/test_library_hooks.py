"""Every place where we rely on the inside of TRL, PEFT or Transformers, by name.

`training/methods/grpo`, `training/adapters` and `sampling/transformers` override or call these. If
another version of a library lacks one or gives it other parameters, the test of that hook says so.
Then adapt our code, run all tests of this folder, and raise the range in pyproject.toml.
"""

import dataclasses
import importlib
import inspect
from dataclasses import dataclass
from typing import Any

import pytest

_TRAINER = "trl.trainer.grpo_trainer:GRPOTrainer"
_LORA = "peft.tuners.lora:LoraLayer"
_CACHE = "transformers:DynamicCache"


@dataclass(frozen=True)
class Hook:
    """A function or method of a library.

    Attributes:
        where: module and, after a colon, the name in it.
        used_by: our module that calls or overrides it.
        parameters: the parameters that we pass by name, or that our override must take.
        leading: the parameters that are passed by position, in their order.
        source: text that must be in the source, for what a signature cannot tell.
    """

    where: str
    used_by: str
    parameters: tuple[str, ...] = ()
    leading: tuple[str, ...] = ()
    source: tuple[str, ...] = ()


HOOKS = [
    Hook(
        f"{_TRAINER}._get_per_token_logps_and_entropies",
        "training.methods.grpo.trl_trainer",
        parameters=("batch_size", "compute_entropy"),
        leading=("self", "model", "input_ids", "attention_mask", "logits_to_keep"),
        source=("-> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]",),
    ),
    Hook(
        f"{_TRAINER}.__init__",
        "training.methods.grpo.method",
        parameters=(
            "model",
            "reward_funcs",
            "args",
            "train_dataset",
            "processing_class",
            "rollout_func",
            "callbacks",
        ),
        source=("self.temperature = ",),
    ),
    Hook(
        f"{_TRAINER}._generate",
        "training.methods.grpo.method",
        source=(
            "output = self.rollout_func(prompts, self)",
            'required_keys = {"prompt_ids", "completion_ids", "logprobs"}',
            "extra_fields = ",
            'tool_mask = extra_fields.pop("env_mask", None)',
        ),
    ),
    Hook(
        f"{_TRAINER}._compute_loss",
        "training.methods.grpo.method",
        source=(
            'completion_mask * inputs["tool_mask"]',
            "(per_token_loss * mask).sum() / (per_token_loss.size(0) * self.max_completion_length)",
        ),
    ),
    Hook(f"{_TRAINER}.remove_callback", "training.methods.grpo.method", leading=("self",)),
    Hook(
        "transformers:TrainerCallback.on_log",
        "training.methods.grpo.method",
        leading=("self", "args", "state", "control"),
    ),
    Hook("transformers:PrinterCallback", "training.methods.grpo.method"),
    Hook("peft:get_peft_model", "training.adapters", leading=("model", "peft_config")),
    Hook(
        "peft:PeftModel.from_pretrained",
        "models.loading",
        parameters=("is_trainable",),
        leading=("model", "model_id"),
    ),
    Hook(
        "peft:PeftModel.save_pretrained",
        "training.adapters",
        parameters=("selected_adapters", "save_embedding_layers"),
        leading=("self", "save_directory"),
    ),
    Hook("peft.tuners.tuners_utils:BaseTuner.unload", "sampling.transformers.sampler"),
    Hook(f"{_LORA}.get_base_layer", "sampling.transformers.merging", leading=("self",)),
    Hook(
        "peft.tuners.lora:Linear.get_delta_weight",
        "sampling.transformers.merging",
        leading=("self", "adapter"),
    ),
    Hook(f"{_LORA}.active_adapters", "sampling.transformers.merging"),
    Hook(
        f"{_LORA}.__init__",
        "sampling.transformers.merging",
        source=("self.lora_A = nn.ModuleDict", "self.merged_adapters = []"),
    ),
    Hook(f"{_CACHE}.__init__", "sampling.transformers.decoding", parameters=("config",)),
    Hook(
        f"{_CACHE}.batch_repeat_interleave",
        "sampling.transformers.decoding",
        leading=("self", "repeats"),
    ),
    Hook(
        f"{_CACHE}.batch_select_indices",
        "sampling.transformers.decoding",
        leading=("self", "indices"),
    ),
    Hook(
        "transformers:LlamaForCausalLM.forward",
        "sampling.transformers.decoding",
        parameters=(
            "input_ids",
            "attention_mask",
            "position_ids",
            "past_key_values",
            "use_cache",
            "logits_to_keep",
        ),
    ),
    Hook(
        "transformers:PreTrainedModel.set_attn_implementation",
        "training.adapters",
        leading=("self", "attn_implementation"),
    ),
    Hook(
        "transformers:PreTrainedTokenizerBase.apply_chat_template",
        "sampling.transformers.chat",
        parameters=("add_generation_prompt", "tokenize", "return_dict"),
        leading=("self", "conversation"),
    ),
]

# Settings of `trl.GRPOConfig` that `_trl_config` sets; a renamed one would fail at step 1.
TRL_SETTINGS = [
    "output_dir",
    "max_steps",
    "learning_rate",
    "lr_scheduler_type",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "steps_per_generation",
    "num_generations",
    "max_completion_length",
    "temperature",
    "beta",
    "loss_type",
    "scale_rewards",
    "multi_objective_aggregation",
    "reward_weights",
    "bf16",
    "fp16",
    "gradient_checkpointing",
    "dataloader_pin_memory",
    "remove_unused_columns",
    "seed",
    "save_strategy",
    "eval_strategy",
    "logging_steps",
    "report_to",
    "disable_tqdm",
]


def problem(hook: Hook) -> str:
    """What is wrong with a hook in the installed library; empty when it is as we need it."""
    module, _, path = hook.where.partition(":")
    use = f"palmfolio_trainer.{hook.used_by} needs {hook.where}"
    attribute: Any = importlib.import_module(module)
    for name in path.split("."):
        if not hasattr(attribute, name):
            return f"{use}, but the installed {module.split('.')[0]} has no {name!r} there"
        attribute = getattr(attribute, name)
    if hook.parameters or hook.leading:
        has = list(inspect.signature(attribute).parameters)
        missing = [name for name in hook.parameters if name not in has]
        if missing:
            return f"{use} to take {', '.join(missing)}; it takes {', '.join(has)}"
        # A bound method of a class hides its first parameter.
        leading = [name for name in hook.leading if name != "self"]
        first = [name for name in has if name != "self"][: len(leading)]
        if first != leading:
            return f"{use} to take first {', '.join(leading)}; it takes {', '.join(has)}"
    if hook.source:
        source = inspect.getsource(inspect.unwrap(attribute))
        missing = [text for text in hook.source if text not in source]
        if missing:
            return f"{use} to contain {missing[0]!r}, which its source no longer has"
    return ""


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.where)
def test_the_library_has_the_hook(hook: Hook) -> None:
    assert not problem(hook), problem(hook)


@pytest.mark.parametrize("name", TRL_SETTINGS)
def test_trl_has_the_setting(name: str) -> None:
    from trl.trainer.grpo_config import GRPOConfig

    assert name in {field.name for field in dataclasses.fields(GRPOConfig)}, (
        f"trl.GRPOConfig has no setting {name!r}, which training.methods.grpo.method sets"
    )


def test_our_override_takes_what_trl_passes() -> None:
    """TRL passes further arguments for models that see images; ours takes and ignores them."""
    from palmfolio_trainer.training.methods.grpo.trl_trainer import CompactGRPOTrainer

    override = inspect.signature(CompactGRPOTrainer._get_per_token_logps_and_entropies).parameters
    assert list(override)[:7] == [
        "self",
        "model",
        "input_ids",
        "attention_mask",
        "logits_to_keep",
        "batch_size",
        "compute_entropy",
    ]
    assert any(each.kind is inspect.Parameter.VAR_KEYWORD for each in override.values())


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (Hook(f"{_TRAINER}._gone", "x"), r"x needs .*_gone, but the installed trl has no '_gone'"),
        (Hook(f"{_TRAINER}.train", "x", parameters=("speed",)), "to take speed; it takes"),
        (Hook(f"{_CACHE}.batch_select_indices", "x", leading=("rows",)), "to take first rows"),
        (Hook(f"{_TRAINER}.train", "x", source=("no such text",)), "to contain 'no such text'"),
    ],
)
def test_a_hook_that_changed_is_described(hook: Hook, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        assert not problem(hook), problem(hook)
