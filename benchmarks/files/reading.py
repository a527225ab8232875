"""How long reading prompts and samples takes on one core, format by format.

    python benchmarks/files/reading.py [--rows 20000]

Writes files of questions and answers like those of GSM8K, and reads each as prompts and as samples;
a file of samples is read twice, once to check it and once to use it. The last column
is the time of parsing alone: the library of the format, without a look at the rows.
"""

import argparse
import csv
import functools
import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet

from palmfolio.files import read_prompts, read_samples

QUESTION = "A shop sells {n} apples at {m} cents each. How much does it take, and what remains? "
ANSWER = "It sells {n} apples, so it takes {n} times {m} cents. 😀\n#### {n}"


def rows(count: int) -> list[dict[str, str]]:
    """Questions of about 250 characters with answers and references."""
    return [
        {
            "prompt": QUESTION.format(n=number, m=number % 7) * 3,
            "response": ANSWER.format(n=number, m=number % 7) * 3,
            "reference": str(number),
        }
        for number in range(count)
    ]


def write(folder: Path, content: list[dict[str, str]]) -> dict[str, Path]:
    """The rows in every format."""
    files = {form: folder / f"rows.{form}" for form in ("jsonl", "json", "csv", "parquet")}
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in content)
    files["jsonl"].write_text(lines)
    files["json"].write_text(json.dumps(content))
    with files["csv"].open("w", newline="") as file:
        writer = csv.DictWriter(file, list(content[0]))
        writer.writeheader()
        writer.writerows(content)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(content), files["parquet"])
    files["jsonl.gz"] = folder / "rows.jsonl.gz"
    files["jsonl.gz"].write_bytes(gzip.compress(lines.encode()))
    return files


def parse_lines(path: Path) -> None:
    """Every line as JSON."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for line in file:
            json.loads(line)


def parse_csv(path: Path) -> None:
    """Every row as a mapping."""
    with path.open(newline="") as file:
        list(csv.DictReader(file))


PARSERS: dict[str, Callable[[Path], object]] = {
    "jsonl": parse_lines,
    "jsonl.gz": parse_lines,
    "json": lambda path: json.loads(path.read_bytes()),
    "csv": parse_csv,
    "parquet": lambda path: pyarrow.parquet.read_table(path).to_pylist(),
}


def seconds(action: Callable[[], object]) -> float:
    """Seconds of one core: the best of three runs."""
    times = []
    for _ in range(3):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000)
    count = parser.parse_args().rows
    print(f"{count} rows  {'prompts':>12} {'samples':>12} {'parsed only':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for form, path in write(Path(folder), rows(count)).items():
            actions = (read_prompts, read_samples, PARSERS[form])
            times = [seconds(functools.partial(action, path)) for action in actions]
            print(f"{form:<10} " + " ".join(f"{taken:10.3f} s" for taken in times))


if __name__ == "__main__":
    main()
