"""Prompts and samples in the columns and the conversations that people's data have."""

import json
from pathlib import Path
from typing import Any

import pytest

from palmfolio import ChatMessage, Prompt, Sample
from palmfolio.errors import ConfigurationError
from palmfolio.files import SampleFile, read_prompts, read_samples

USER = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "Be brief."}
ASSISTANT = {"role": "assistant", "content": "yo"}
CHAT = (ChatMessage("system", "Be brief."), ChatMessage("user", "hi"))
DIALOGUE = "\n\nHuman: hi\n\nAssistant: yes?\n\nHuman: why:\nHuman: me\n\nAssistant:"


def _file(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": " keeps its blanks\n"}, Prompt(" keeps its blanks\n")),
        ({"prompt": "a", "reference": "b"}, Prompt("a", reference="b")),
        ({"prompt": "a", "reference": 4}, Prompt("a", reference="4")),
        ({"prompt": "a", "reference": 0}, Prompt("a", reference="0")),
        ({"prompt": "a", "reference": 0.5}, Prompt("a", reference="0.5")),
        ({"prompt": "a", "reference": None, "tags": None}, Prompt("a")),
        ({"prompt": "a", "reference": ""}, Prompt("a")),
        ({"prompt": "a", "tags": ["x", "y"]}, Prompt("a", tags=["x", "y"])),
        ({"prompt": "a", "tags": "x"}, Prompt("a", tags=["x"])),
        ({"prompt": "hi", "system": "Be brief."}, Prompt(messages=CHAT)),
        ({"prompt": "hi", "system": ""}, Prompt("hi")),
        ({"prompt": [USER]}, Prompt("hi")),
        ({"prompt": [SYSTEM, USER]}, Prompt(messages=CHAT)),
        ({"prompt": [USER], "system": "Be brief."}, Prompt(messages=CHAT)),
        ({"prompt": [SYSTEM, USER], "completion": [ASSISTANT]}, Prompt(messages=CHAT)),
        ({"messages": [SYSTEM, USER]}, Prompt(messages=CHAT)),
        ({"messages": [SYSTEM, USER, ASSISTANT]}, Prompt(messages=CHAT)),
        ({"messages": [SYSTEM, USER, ASSISTANT, ASSISTANT]}, Prompt(messages=CHAT)),
        ({"messages": [USER, ASSISTANT]}, Prompt("hi")),
        ({"conversations": [{"from": "human", "value": "hi"}]}, Prompt("hi")),
        (
            {
                "conversations": [
                    {"from": "system", "value": "Be brief."},
                    {"from": "human", "value": "hi"},
                    {"from": "gpt", "value": "yo"},
                ]
            },
            Prompt(messages=CHAT),
        ),
        (
            {"messages": [{"role": "developer", "content": "Be brief."}, USER]},
            Prompt(messages=CHAT),
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
            Prompt("hi"),
        ),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, Prompt("a")),
        ({"prompt": [USER], "chosen": [ASSISTANT], "rejected": [ASSISTANT]}, Prompt("hi")),
        ({"chosen": [USER, ASSISTANT], "rejected": [USER, ASSISTANT]}, Prompt("hi")),
        ({"chosen": "The sky is blue.", "rejected": "The sky is green."}, Prompt("The sky is")),
        (
            {"chosen": DIALOGUE + " yes", "rejected": DIALOGUE + " no"},
            Prompt(
                messages=[
                    ChatMessage("user", "hi"),
                    ChatMessage("assistant", "yes?"),
                    ChatMessage("user", "why:\nHuman: me"),
                ]
            ),
        ),
        ({"chosen": "\n\nHuman: hi\n\nAssistant: yo"}, Prompt("hi")),
    ],
)
def test_prompts_come_in_many_forms(tmp_path: Path, row: Any, prompt: Prompt) -> None:
    assert read_prompts(_file(tmp_path, row)) == (prompt,)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "  "}, "needs a `prompt` that is not empty"),
        ({"prompt": 3}, "needs a `prompt` that is a text or a list of messages"),
        ({"prompt": {"role": "user"}}, "needs a `prompt` that is a text or a list"),
        ({"prompt": []}, "`prompt` must be a list of messages that is not empty"),
        ({"prompt": None, "answer": "b"}, "needs a `prompt`, `messages` or `chosen`; columns: "),
        ({}, "columns: none"),
        ({f"c{n}": 1 for n in range(30)}, "c6, c7 and 22 more"),
        ({"prompt": [USER, ASSISTANT]}, "`prompt` must end with a message of the user"),
        ({"prompt": [USER, SYSTEM]}, r"`prompt\[1\]` is of the system"),
        ({"prompt": [{"role": "user", "content": " "}]}, r"`prompt\[0\]` is empty"),
        ({"prompt": ["hi"]}, r"`prompt\[0\]` must be an object with `role` and `content`"),
        (
            {"prompt": [{"role": "tool", "content": "x"}]},
            "must be system, user or assistant, not 'to",
        ),
        ({"prompt": [{"role": ["user"], "content": "x"}]}, "must be system, user or assistant"),
        ({"prompt": [{"content": "x"}]}, "must be system, user or assistant, not None"),
        ({"prompt": [{"role": "user", "content": None}]}, "content of `prompt.0.` must be a text"),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image"}]}]},
            "content of `prompt.0.` must be a text",
        ),
        ({"messages": "no list"}, "`messages` must be a list of messages, in JSON"),
        ({"messages": [ASSISTANT]}, "`messages` must end with a message of the user"),
        ({"chosen": "blue", "rejected": "green"}, "`chosen` holds no prompt"),
        ({"chosen": "blue"}, "`chosen` holds no prompt"),
        ({"prompt": "a", "reference": []}, "`reference` must be a text or a number"),
        ({"prompt": "a", "reference": True}, "`reference` must be a text or a number"),
        ({"prompt": "a", "reference": float("nan")}, "`reference` must be .* finite"),
        ({"prompt": "a", "tags": 3}, "`tags` must be a list of texts"),
        ({"prompt": "a", "tags": [3]}, "`tags` must be a list of texts"),
        ({"prompt": "a", "system": 3}, "`system` must be a text"),
        ({"prompt": "a\0b"}, "the prompt holds a NUL character, at character 2"),
        ({"prompt": "cut \ud83d"}, "the prompt holds half a character .* at character 5"),
        ({"prompt": "\udc00"}, "the prompt holds half a character"),
        ({"prompt": [{"role": "user", "content": "\ud83d"}]}, "the prompt holds half a character"),
        ({"prompt": "a", "reference": "\ud83d"}, "the reference holds half a character"),
        ({"prompt": "a", "tags": ["x\0"]}, "the tag holds a NUL character"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"rows\.jsonl, line 2: .*{message}"):
        read_prompts(_file(tmp_path, {"prompt": "good"}, row))


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    rows = {"question": "a", "answers": {"text": "b", "start": 3}, "a.b": "c", "prompt": "no"}
    path = _file(tmp_path, rows)
    fields = {"prompt": "question", "reference": "answers.text", "tags": "a.b"}
    assert read_prompts(path, fields=fields) == (Prompt("a", reference="b", tags=["c"]),)
    with pytest.raises(ConfigurationError, match=r"line 1: there is no column answers\.end"):
        read_prompts(path, fields={"prompt": "question", "reference": "answers.end"})
    with pytest.raises(ConfigurationError, match="the field 'question' is unknown; known: prompt"):
        read_prompts(path, fields={"question": "prompt"})


def test_conversations_in_tables_are_json(tmp_path: Path) -> None:
    quoted = json.dumps([USER, ASSISTANT]).replace('"', '""')
    (tmp_path / "rows.csv").write_text(f'messages\n"{quoted}"\n')
    assert read_prompts(tmp_path / "rows.csv") == (Prompt("hi"),)
    assert read_samples(tmp_path / "rows.csv") == (Sample("hi", "yo"),)


def test_columns_without_a_name_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(",prompt,\n0,a,\n1,b,\n")
    assert read_prompts(tmp_path / "rows.csv") == (Prompt("a"), Prompt("b"))


@pytest.mark.parametrize(
    ("row", "sample"),
    [
        ({"prompt": "a", "response": "b"}, Sample("a", "b")),
        ({"prompt": "", "response": ""}, Sample("", "")),
        ({"prompt": "a", "response": "b", "reference": "c"}, Sample("a", "b", "c")),
        ({"prompt": "a", "completion": "b"}, Sample("a", "b")),
        ({"prompt": [USER], "completion": [ASSISTANT]}, Sample("hi", "yo")),
        (
            {"prompt": [SYSTEM, USER], "response": "b", "reference": "c"},
            Sample(Prompt(messages=CHAT, reference="c"), "b"),
        ),
        ({"messages": [USER, ASSISTANT]}, Sample("hi", "yo")),
        ({"conversations": [USER, ASSISTANT]}, Sample("hi", "yo")),
        ({"chosen": [USER, ASSISTANT], "response": "b"}, Sample("hi", "b")),
        ({"prompt": "a", "response": "b", "tags": ["x"]}, Sample(Prompt("a", tags=["x"]), "b")),
        ({"prompt": "a", "response": "cut \ud83d"}, Sample("a", "cut \ud83d")),
    ],
)
def test_samples_come_in_many_forms(tmp_path: Path, row: Any, sample: Sample) -> None:
    (read,) = SampleFile(_file(tmp_path, row), strict=False)
    assert read.sample == sample


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "a"}, "`response` is missing; columns: prompt"),
        ({"response": "a"}, "`prompt` is missing; columns: response"),
        ({"prompt": "a", "response": 3}, "`response` must be a text, not int"),
        ({"prompt": "a", "response": {}}, "`response` must be a text, not dict"),
        (
            {"prompt": "a", "response": [USER]},
            "`response` must end with a message of the assistant",
        ),
        ({"messages": [USER]}, "`messages` must end with a message of the assistant"),
        ({"messages": [ASSISTANT]}, "`messages` must end with a message of the user"),
        ({"prompt": "a", "response": "b", "policy": 3}, "`policy` must be a text"),
        ({"prompt": "a", "response": "b", "sample": -1}, "`sample` must be a whole number from 0"),
        ({"prompt": "a", "response": "b", "sample": "x"}, "`sample` must be a whole number"),
        ({"prompt": "a", "response": "b", "sample": True}, "`sample` must be a whole number"),
        ({"prompt": "a", "response": "cut \ud83d"}, "the response holds half a character"),
        ({"prompt": "a", "response": "\0"}, "the response holds a NUL"),
    ],
)
def test_wrong_samples_are_named(tmp_path: Path, row: Any, message: str) -> None:
    good = {"prompt": "a", "response": "b"}
    with pytest.raises(ConfigurationError, match=rf"rows\.jsonl, line 2: .*{message}"):
        read_samples(_file(tmp_path, good, row))


def test_samples_say_whose_they_are(tmp_path: Path) -> None:
    row = {"prompt": "a", "response": "b", "model": "kind", "sample": "2"}
    (read,) = SampleFile(_file(tmp_path, row), fields={"policy": "model"})
    assert (read.number, read.policy, read.index) == (1, "kind", 2)
