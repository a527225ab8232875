"""Every format gives the same prompts, and says what is wrong with a file, all at once."""

import gzip
import io
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from palmfolio.errors import ConfigurationError
from palmfolio.files import SampleFile, read_prompts

TEXTS = [
    "hello",
    'with "quotes", commas and \\ backslashes',
    "line\u2028separator, paragraph\u2029separator, next\u0085line",
    "form\ffeed, vertical\vtab, unit\x1fseparator",
    "emoji 😀, an accent e\u0301, Ελληνικά",
    "a byte order mark \ufeff within",
]


def _parquet(texts: list[str]) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"prompt": texts}), buffer)
    return buffer.getvalue()


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _json_lines(texts: list[str]) -> bytes:
    return b"".join(
        json.dumps({"prompt": text}, ensure_ascii=False).encode() + b"\n" for text in texts
    )


WRITERS: dict[str, Callable[[list[str]], bytes]] = {
    "txt": lambda texts: "\n".join(texts).encode(),
    "jsonl": _json_lines,
    "json": lambda texts: json.dumps([{"prompt": text} for text in texts]).encode(),
    "csv": lambda texts: ("prompt\n" + "\n".join(map(_quoted, texts))).encode(),
    "tsv": lambda texts: ("prompt\tn\n" + "\n".join(f"{_quoted(t)}\t1" for t in texts)).encode(),
    "parquet": _parquet,
}


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("ending", ["{}", "{}.gz", "UPPER"])
def test_every_format_gives_the_same_prompts(tmp_path: Path, form: str, ending: str) -> None:
    content = WRITERS[form](TEXTS)
    name = f"p.{form.upper()}" if ending == "UPPER" else f"p.{ending.format(form)}"
    (tmp_path / name).write_bytes(gzip.compress(content) if ending == "{}.gz" else content)
    assert [prompt.text for prompt in read_prompts(tmp_path / name)] == TEXTS


@pytest.mark.parametrize("form", ["txt", "jsonl", "csv", "tsv"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_ends_of_lines_and_marks_are_no_part_of_texts(
    tmp_path: Path, form: str, bom: bytes, end: bytes
) -> None:
    content = WRITERS[form](["one", "two\u2028three"]).replace(b"\n", end)
    (tmp_path / f"p.{form}").write_bytes(bom + content + end + end)
    assert [p.text for p in read_prompts(tmp_path / f"p.{form}")] == ["one", "two\u2028three"]


def test_joined_files_keep_no_mark(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes(b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\rthree\n  \n\x0c\n")
    assert [p.text for p in read_prompts(tmp_path / "p.txt")] == ["one", "two", "three"]
    joined = b'\xef\xbb\xbf{"prompt": "one"}\n\xef\xbb\xbf{"prompt": "two"}'
    (tmp_path / "p.jsonl").write_bytes(joined)
    assert [p.text for p in read_prompts(tmp_path / "p.jsonl")] == ["one", "two"]


@pytest.mark.parametrize("form", ["jsonl", "csv.gz", ".parquet", "TXT"])
def test_standard_input_has_a_stated_format(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    plain = form.lower().removesuffix(".gz").removeprefix(".")
    content = WRITERS[plain](["one", "two"])
    content = gzip.compress(content) if form.endswith(".gz") else content
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert [prompt.text for prompt in read_prompts("-", format=form)] == ["one", "two"]


def test_standard_input_is_read_as_often_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b'{"prompt": "a", "response": "b"}\n' * 3
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    file = SampleFile("-", format="jsonl")
    assert (file.count(), len(list(file)), len(list(file))) == (3, 3, 3)


def test_a_pipe_is_read_as_often_as_needed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    line = b'{"prompt": "a", "response": "b"}\n'
    writer = threading.Thread(target=(tmp_path / "pipe.jsonl").write_bytes, args=(line,))
    writer.start()
    file = SampleFile(tmp_path / "pipe.jsonl")
    writer.join()
    assert (file.count(), len(list(file))) == (1, 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("p.yaml", r"the ending \.yaml of .*p\.yaml names no format; known: \.txt, \.jsonl"),
        ("p.jsonl.bz2", r"the ending \.bz2"),
        ("p.xlsx", r"the ending \.xlsx"),
        ("p", "p has no ending, which names no format"),
        (".gz", "has no ending, which names no format"),
        ("p.gz", "has no ending, which names no format"),
        ("p.md", "say its format with --format"),
    ],
)
def test_an_unknown_ending_is_never_taken_for_text(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_text("hello\n")
    with pytest.raises(ConfigurationError, match=message):
        read_prompts(tmp_path / name)
    assert read_prompts(tmp_path / name, format="txt")[0].text == "hello"


def test_formats_that_are_stated_wrongly_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="say the format of standard input with --format"):
        read_prompts("-")
    with pytest.raises(ConfigurationError, match="the format 'xml' is unknown; known: txt, jsonl"):
        read_prompts("-", format="xml")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.txt", b"good\n\xff\xfe\n", "line 2: not UTF-8 at byte 0"),
        ("p.txt", "schön".encode("latin-1"), "line 1: not UTF-8 at byte 3"),
        ("p.txt", "hello".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("p.csv", "prompt\nhi\n".encode("utf-16"), "is UTF-16 text"),
        ("p.txt", b"\xed\xa0\xbd\n", "line 1: not UTF-8 at byte 0"),
        ("p.jsonl", b'{"prompt": "\xe9"}', "line 1: not UTF-8 at byte 12"),
        ("p.json", b'[\n{"prompt": "\xe9"}]', "line 2: not UTF-8 at byte 14 of the file"),
        ("p.csv", b"prompt\nok\n\xe9t\xe9\n", "row 3: not UTF-8 in column prompt"),
        ("p.csv", b"pr\xe9mpt\nok\n", "row 1: the name of column 1 is not UTF-8"),
        ("p.jsonl", b"[" * 200_000, "line 1: not JSON: it is nested too deeply"),
        ("p.jsonl", b'{"a":' * 100_000, "line 1: not JSON: it is nested too deeply"),
        ("p.json", b"[" * 200_000, "nested too deeply"),
        ("p.json", b'[{"a":' + b"[" * 200_000, "nested too deeply"),
        ("p.jsonl", b'{"prompt": ' + b"1" * 5000 + b"}", "line 1: not JSON: Exceeds the limit"),
        ("p.jsonl", b'"hello"', "line 1: must be an object .*, not a text"),
        ("p.jsonl", b"null", "line 1: must be an object .*, not null"),
        ("p.jsonl", b"{'prompt': 'a'}", "line 1: not JSON"),
        (
            "p.json",
            b'{"prompt": "a"}',
            r"must hold a list of objects.*it holds an object with prompt",
        ),
        ("p.json", b'{"prompt": "a"}\n{"prompt": "b"}', r"line 2: not JSON.*name a file .*\.jsonl"),
        ("p.json", b"3", "it holds no list"),
        ("p.json", b"", "is empty"),
        ("p.json", b'[{"prompt": "a"} {"prompt": "b"}]', "a comma or ] must follow it"),
        ("p.json", b'[{"prompt": "a"},]', "line 1: not JSON"),
        ("p.json", b'[\n{"prompt": "a"},\n{"prompt": }]', "line 3: not JSON"),
        ("p.json", b'[{"prompt": "a"}] x', "goes on after the list"),
        ("p.json", b"[]", "holds no prompts"),
        ("p.json", b'[{"prompt": "a"}, 3]', r"item 2 \(line 1\): must be an object"),
        ("p.csv", b"", "is empty or starts with an empty line"),
        ("p.csv", b"\nprompt\n", "is empty or starts with an empty line"),
        ("p.csv", b"prompt\n", "holds no prompts"),
        ("p.csv", b"prompt,prompt\na,b\n", "column prompt is there twice"),
        ("p.csv", b'prompt\n"a', "line 2: not CSV"),
        ("p.csv", b'prompt\n"a"b\n', "line 2: not CSV"),
        ("p.tsv", b'prompt\n"a', "line 2: not TSV"),
        ("p.csv", b"prompt,n\na\n", "row 2 has 1 fields, but there are 2 columns"),
        ("p.csv", b"prompt;n\na;0,5\n", "separates its columns with semicolons"),
        ("p.parquet", b"PAR1", "is not a Parquet file that can be read"),
        ("p.parquet", b"", "is not a Parquet file that can be read"),
        ("p.txt.gz", b"hello", "is not a whole gzip file"),
        ("p.txt.gz", gzip.compress(b"hello\n" * 1000)[:-9], "is not a whole gzip file"),
        (
            "p.txt.gz",
            gzip.compress(os.urandom(999))[:99] + b"x" * 99,
            "not a whole gzip file|UTF-8",
        ),
        ("p.txt.gz", b"", "holds no prompts|is not a whole gzip file"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_prompts(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(ConfigurationError, match=r"cannot read .*folder\.txt: Is a directory"):
        read_prompts(tmp_path / "folder.txt")
    with pytest.raises(ConfigurationError, match=r"cannot read .*absent\.txt: No such file"):
        read_prompts(tmp_path / "absent.txt")
    long = tmp_path / ("x" * 300 + ".txt")
    with pytest.raises(ConfigurationError, match=r"cannot read .*: File name too long"):
        read_prompts(long)


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p.parquet").write_bytes(_parquet(["one"]))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'palmfolio\[parquet\]'"):
        read_prompts(tmp_path / "p.parquet")


def test_all_faults_of_a_file_are_one_report(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'{"prompt": "a"}\n{\n{"prompt": ""}\n[]\n{"prompt": "\xff"}\n{"x": 1}\n')
    with pytest.raises(ConfigurationError) as caught:
        read_prompts(path)
    head, *faults = str(caught.value).splitlines()
    assert head == f"{path} has 5 faults:"
    places = [fault.split(":")[0].strip() for fault in faults]
    assert places == ["line 2", "line 3", "line 4", "line 5", "line 6"]


def test_a_report_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(f'{{"column_{number}": 1}}\n' for number in range(400)))
    with pytest.raises(ConfigurationError) as caught:
        read_prompts(path)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("has 400 faults:") and lines[-1] == "  and 380 more"
    assert len(lines) == 22


def test_the_same_fault_in_many_rows_is_one_entry(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("question\n" + "why?\n" * 1000)
    with pytest.raises(ConfigurationError) as caught:
        read_prompts(path)
    message = str(caught.value)
    assert "row 2, row 3, row 4 and 997 more: needs a `prompt`" in message
    assert "columns: question" in message and "--field prompt=COLUMN" in message


def test_long_cells_are_read(tmp_path: Path) -> None:
    long = "word " * 100_000
    (tmp_path / "p.csv").write_text(f"prompt\n{long}\n")
    assert read_prompts(tmp_path / "p.csv")[0].text == long


def test_many_rows_are_all_read(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    rows = ({"prompt": f"question {n}", "response": f"answer {n}"} for n in range(20_000))
    path.write_text("\n".join(map(json.dumps, rows)))
    assert len(read_prompts(path)) == 20_000
    file = SampleFile(path)
    assert file.count() == 20_000
    assert [row.number for row in file] == list(range(1, 20_001))
