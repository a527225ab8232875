"""Writes the prompts of this example from a file of GSM8K: JSON lines with `question`, `answer`.

    python examples/rlvr-gsm/prompts.py gsm8k_test.jsonl

OpenAI publishes the data: https://github.com/openai/grade-school-math, under the MIT licence.
By default the shortest problems of at most two steps are taken, which a model of 135 million
parameters sometimes solves. `--all` takes all of them.
"""

import argparse
import json
from pathlib import Path

INSTRUCTION = "Solve the problem. End with a line #### and the number."
# One worked problem shows the model the form of an answer.
EXAMPLE = ("Ann has 3 apples and buys 4 more. How many apples has she?", "3 + 4 = 7\n#### 7")
TRAINING, EVALUATION = 40, 40


def prompt(problem: dict[str, str]) -> dict[str, object]:
    """A problem as a prompt: the conversation so far, and the reference."""
    turns = [
        ("system", INSTRUCTION),
        ("user", EXAMPLE[0]),
        ("assistant", EXAMPLE[1]),
        ("user", problem["question"]),
    ]
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"messages": messages, "reference": problem["answer"]}


def easiest(problems: list[dict[str, str]]) -> list[dict[str, str]]:
    """The shortest problems of one or two steps: a solution marks each calculation by `<<...>>`."""
    short = [problem for problem in problems if problem["answer"].count("<<") in (1, 2)]
    return sorted(short, key=lambda p: len(p["question"]))[: TRAINING + EVALUATION]


def split(problems: list[dict[str, str]]) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Every second problem to train on, the others to evaluate on."""
    return problems[::2], problems[1::2]


def write(path: Path, problems: list[dict[str, str]]) -> None:
    """Writes the problems as prompts, one a line."""
    lines = (json.dumps(prompt(problem), ensure_ascii=False) for problem in problems)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(f"{path}: {len(problems)} prompts")


def main() -> None:
    """Reads the command line and writes the two files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("problems", type=Path, help="GSM8K as JSON lines")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="a folder")
    parser.add_argument("--all", action="store_true", help="all problems, not only the easiest")
    arguments = parser.parse_args()
    lines = arguments.problems.read_text(encoding="utf-8").splitlines()
    problems = [json.loads(line) for line in lines if line.strip()]
    if not arguments.all:
        problems = easiest(problems)
    training, evaluation = split(problems)
    write(arguments.output / "train_prompts.jsonl", training)
    write(arguments.output / "eval_prompts.jsonl", evaluation)


if __name__ == "__main__":
    main()
