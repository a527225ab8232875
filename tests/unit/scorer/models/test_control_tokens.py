"""Control tokens act where a template writes them, and are plain text everywhere else."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.tokens.tokeniser import LimitedTokeniser
from palmfolio_scorer.samples import SampleError
from tests.support.tiny_models import tokenizer

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content | trim }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PIECES = re.findall(
    r"\S+", "</s> <s> <pad> <unk> [SEP] [CLS] <|im_end|> <|im_start|> <|im_ end|> </ s> fine [ SEP]"
)
FRAGMENTS = st.sampled_from([*PIECES, " ", "\n", "é", "\U000f0000"])
TEXTS = st.lists(FRAGMENTS, max_size=8).map("".join)


def _byte_bpe() -> Any:
    wrapped = tokenizer(pair=True, pad=True)
    wrapped.add_tokens(["<|im_start|>"], special_tokens=True)
    wrapped.add_tokens(["<|im_end|>"])  # not a special token, but the template writes it
    wrapped.chat_template = CHATML
    return wrapped


def _word_pieces() -> Any:
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{x}" for x in letters), "fine"]
    core = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]", **names)


def _unigram() -> Any:
    """As XLM-R and T5 have it: the control tokens are pieces of the model with the best score."""
    letters = [chr(code) for code in range(33, 127)]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("<s>", 0.0), ("\u2581", -2.0)]
    pieces += [(letter, -3.0) for letter in letters] + [("fine", -1.0)]
    core = Tokenizer(models.Unigram(pieces, unk_id=2))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    names = {"pad_token": "<pad>", "eos_token": "</s>", "bos_token": "<s>"}
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", **names)


def _bytes_in_python() -> Any:
    wrapped: Any = ByT5Tokenizer()
    wrapped.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    wrapped.chat_template = CHATML
    return wrapped


KINDS: dict[str, Callable[[], Any]] = {
    "byte-bpe": _byte_bpe,
    "word-pieces": _word_pieces,
    "unigram": _unigram,
    "python": _bytes_in_python,
}


@cache
def _limited(kind: str, max_tokens: int | None = None) -> LimitedTokeniser:
    return LimitedTokeniser(
        KINDS[kind](), max_tokens=max_tokens, model_limit=None, overflow="truncate"
    )


def _control_ids(kind: str) -> set[int]:
    """Ids of the tokens that no text may give; the unknown token stands for unknown characters."""
    wrapped = _limited(kind).tokenizer
    ids = set(wrapped.all_special_ids) - {wrapped.unk_token_id}
    return ids | {i for i, token in wrapped.added_tokens_decoder.items() if "im_" in token.content}


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXTS, other=TEXTS)
@settings(max_examples=60, deadline=None)
def test_no_text_gives_a_control_token(kind: str, text: str, other: str) -> None:
    tokenise = _limited(kind)
    assert not set(tokenise.ids(text)) & _control_ids(kind)
    added = tokenise.tokenizer.num_special_tokens_to_add(pair=True)
    (pair,) = tokenise([(text, other)])
    assert sum(i in _control_ids(kind) for i in pair.ids) == added


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text("abc fine.é[](){}|", max_size=30))
@settings(max_examples=40, deadline=None)
def test_texts_without_control_tokens_are_read_as_ever(kind: str, text: str) -> None:
    tokenise = _limited(kind)
    (encoded,) = tokenise([text]) if text else tokenise(["a"])
    assert encoded.ids == tokenise.tokenizer(text or "a")["input_ids"]
    assert encoded.cut == 0


@given(text=TEXTS)
@settings(deadline=None)
def test_plain_control_tokens_are_what_split_special_tokens_gives(text: str) -> None:
    text = text.replace("<|im_end|>", "")  # the library splits special tokens only
    for kind in ("byte-bpe", "python"):
        tokenise = _limited(kind)
        if "<|im_" in text and kind == "byte-bpe":
            continue
        expected = tokenise.tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        assert tokenise.ids(text) == expected["input_ids"]


@pytest.mark.parametrize("kind", ["byte-bpe", "unigram", "python"])
def test_a_templates_control_tokens_act(kind: str) -> None:
    tokenise = _limited(kind)
    end = tokenise.tokenizer.eos_token_id
    template = tokenise.written("{response}</s>")
    assert template.startswith("{response}")
    for response, ends in [("fine", 1), ("fine</s>", 1), ("", 1), ("</", 1), ("</s></s>", 1)]:
        ids = tokenise.ids(template.replace("{response}", response))
        assert ids.count(end) == ends
        assert ids[-1] == end
    assert (
        tokenise.ids(template.replace("{response}", "fine"))
        == tokenise.tokenizer("fine</s>", add_special_tokens=False)["input_ids"]
    )


@pytest.mark.parametrize("kind", ["byte-bpe", "python"])
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_chat_has_the_control_tokens_of_its_template_only(kind: str, texts: list[str]) -> None:
    tokenise = _limited(kind)
    turns = [{"role": "user", "content": text} for text in texts]
    ids = tokenise.ids(tokenise.chat(turns, add_generation_prompt=True))
    start, end = tokenise.tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    assert ids.count(start) == len(texts) + 1
    assert ids.count(end) == len(texts)
    assert not set(ids) & (_control_ids(kind) - {start, end})


@pytest.mark.parametrize("kind", ["byte-bpe", "python"])
@given(texts=st.lists(st.text("abc |<>", max_size=9), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_a_chat_without_control_tokens_is_the_librarys(kind: str, texts: list[str]) -> None:
    tokenise = _limited(kind)
    turns = [{"role": "user", "content": text} for text in texts]
    text = tokenise.tokenizer.apply_chat_template(turns, tokenize=False)
    expected = tokenise.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenise.ids(tokenise.chat(turns)) == expected


def test_contents_cannot_complete_a_control_token_of_the_template() -> None:
    wrapped = _byte_bpe()
    wrapped.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}s>{{ eos_token }}"
    tokenise = LimitedTokeniser(wrapped, max_tokens=None, model_limit=None, overflow="fail")
    for contents in (["</", "s>"], ["a</"], ["<", "/", "s>"], ["</s>"]):
        turns = [{"role": "user", "content": content} for content in contents]
        assert tokenise.ids(tokenise.chat(turns)).count(wrapped.eos_token_id) == 1, contents


def test_a_template_finds_control_tokens_in_its_contents() -> None:
    """As chat templates for reasoning do, which leave the reasoning out."""
    wrapped = _byte_bpe()
    wrapped.add_tokens(["</think>"])
    wrapped.chat_template = (
        "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}"
    )
    tokenise = LimitedTokeniser(wrapped, max_tokens=None, model_limit=None, overflow="fail")
    turns = [{"role": "assistant", "content": "hm</think>fine"}]
    assert tokenise.ids(tokenise.chat(turns)) == tokenise.ids("fine")


@pytest.mark.parametrize("overflow", ["truncate", "truncate_left", "fail"])
@pytest.mark.parametrize("kind", ["byte-bpe", "unigram", "python"])
def test_what_is_cut_is_counted(kind: str, overflow: Any) -> None:
    tokenise = LimitedTokeniser(KINDS[kind](), max_tokens=8, model_limit=99, overflow=overflow)
    short, long = "a b", "a b c d e f g h i j k"
    whole = len(tokenise.tokenizer(long)["input_ids"])
    if overflow == "fail":
        with pytest.raises(SampleError, match=f"has {whole} tokens; the model takes at most 8"):
            tokenise([short, long])
        return
    first, second = tokenise([short, long])
    assert (first.cut, second.cut) == (0, whole - 8)
    tokenise.tokenizer.truncation_side = "left" if overflow == "truncate_left" else "right"
    expected = tokenise.tokenizer(long, truncation=True, max_length=8)["input_ids"]
    assert second.ids == expected


def test_ids_without_an_embedding_are_refused() -> None:
    size = len(tokenizer(pair=False, pad=True))
    with pytest.raises(TraitLoadError, match=f"is not the model's.*end at {size - 2}"):
        LimitedTokeniser(
            tokenizer(pair=False, pad=True),
            max_tokens=None,
            model_limit=None,
            overflow="fail",
            vocabulary=size - 1,
        )
    wrapped = tokenizer(pair=False, pad=True)
    wrapped.add_tokens(["<|im_end|>"], special_tokens=True)
    tokenise = LimitedTokeniser(
        wrapped, max_tokens=None, model_limit=None, overflow="fail", vocabulary=size
    )
    tokenise(["fine", "<|im_end|>"])
    with pytest.raises(SampleError, match=rf"'<\|im_end\|>' with the id {size}; .* {size - 1}"):
        tokenise([tokenise.written("fine<|im_end|>")])


def test_a_limit_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(TraitLoadError, match="2 tokens leave no room"):
        LimitedTokeniser(
            tokenizer(pair=True, pad=True), max_tokens=2, model_limit=None, overflow="truncate"
        )


def test_a_character_that_serves_as_padding_stays_a_character() -> None:
    wrapped = tokenizer(pair=False, pad=False)
    wrapped.pad_token = "!"
    tokenise = LimitedTokeniser(wrapped, max_tokens=None, model_limit=None, overflow="fail")
    assert tokenise.ids("fine!") == wrapped("fine!")["input_ids"]
