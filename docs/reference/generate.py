"""Writes the reference in this folder from the code: `make reference`.

- `cli.md`: every command with its options, as Typer's own `utils docs` writes them.
- `sdk.md`, `palm.md`, `files.md`, `testing.md`: the public names of a package with signatures and
  docstrings, which griffe reads from the source.

With `--check`, writes nothing and fails when a file is not what the code gives now.
"""

import inspect
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

import palmfolio

HERE = Path(__file__).parent
NOTE = "<!-- Written by `make reference` from the code: do not edit. -->\n"
# Characters of a line of code, as far as it can be split.
LINE = 88
# Kinds of docstring sections that list names, with the words above the list.
LISTS = {
    "parameters": "Arguments",
    "attributes": "Attributes",
    "raises": "Raises",
    "returns": "Returns",
    "yields": "Yields",
}


def command_line() -> str:
    """The reference of the command line."""
    typer = Path(sysconfig.get_path("scripts")) / "typer"
    command = [str(typer), "palmfolio.cli.app", "utils", "docs", "--name", "palmfolio"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Lists of commands hold shortened descriptions; the full ones stand below each heading.
    full = dict(re.findall(r"^#+ `(.+)`\n\n(.+)", text, re.MULTILINE))
    lines = []
    heading = ""
    for line in text.splitlines():
        if match := re.fullmatch(r"#+ `(.+)`", line):
            heading = match[1]
        if match := re.fullmatch(r"\* `([\w][\w-]*)`: .*", line):
            line = f"* `{match[1]}`: {full[f'{heading} {match[1]}']}"
        lines.append(line.rstrip())
    return NOTE + "\n".join(lines).strip() + "\n"


def sections(target: Any) -> Iterator[str]:
    """The docstring of a griffe object as paragraphs and lists of Markdown."""
    if target.docstring is None:
        return
    for section in target.docstring.parse("google", warnings=False):
        kind = section.kind.value
        if kind == "text":
            yield section.value
        elif kind == "examples":
            shown = [
                f"```pycon\n{text}\n```" if "code" not in k.value else f"```python\n{text}\n```"
                for k, text in section.value
            ]
            yield "Example:\n\n" + "\n\n".join(shown)
        elif kind == "admonition":
            text = inspect.cleandoc(section.value.description)
            yield f"{section.title or section.value.kind.title()}:\n\n```python\n{text}\n```"
        elif kind in LISTS:
            yield f"{LISTS[kind]}:\n\n" + "\n".join(map(item, section.value))


def item(element: Any) -> str:
    """A line of a list for an argument, an attribute, an exception or a result."""
    name = getattr(element, "name", "") or element.annotation
    text = " ".join(element.description.split())
    return f"- `{name}`: {text}" if name else f"- {text}"


def signature(function: Any, name: str) -> str:
    """A function's call, one argument a line where it is long."""
    parts = []
    keyword_only = False
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        kind = parameter.kind.value
        if kind == "keyword-only" and not keyword_only:
            keyword_only = True
            parts.append("*")
        star = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
        keyword_only = keyword_only or star == "*"
        text = star + parameter.name
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and not star:
            text += f" = {parameter.default}" if parameter.annotation else f"={parameter.default}"
        parts.append(text)
    returns = "" if function.returns in (None, "None") else f" -> {function.returns}"
    call = f"{name}({', '.join(parts)}){returns}"
    if len(call) > LINE:
        call = f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"
    return f"```python\n{call}\n```"


def is_public(member: Any) -> bool:
    """Whether a member of a class is for users."""
    return not member.name.startswith("_")


def is_described(field: Any) -> bool:
    """Whether there is more to say of a field than the expression that `__init__` gives it."""
    in_class = "instance-attribute" not in field.labels or "class-attribute" in field.labels
    return bool(field.annotation or field.docstring or in_class)


def members(cls: Any) -> Iterator[Any]:
    """The public members of a class, those of private bases included."""
    for member in cls.all_members.values():
        target = member.final_target if member.is_alias else member
        of_private_base = target.path.startswith("palmfolio") and target.parent.name.startswith("_")
        if is_public(target) and (target.parent.path == cls.path or of_private_base):
            yield target


def describe_class(cls: Any, name: str) -> Iterator[str]:
    """Blocks of Markdown for a class: its call, its docstring, its fields and its methods."""
    bases = ", ".join(str(base) for base in cls.bases)
    fields = [member for member in members(cls) if member.is_attribute and is_described(member)]
    methods = [member for member in members(cls) if member.is_function]
    constructor = cls.members.get("__init__")
    made_by_users = constructor is not None and "." not in name and "dataclass" not in cls.labels
    if made_by_users:
        yield signature(constructor, name)
    elif bases and "." not in name:
        yield f"```python\nclass {name}({bases})\n```"
    yield from sections(cls)
    documented = {
        element.name
        for section in (cls.docstring.parse("google", warnings=False) if cls.docstring else ())
        if section.kind.value == "attributes"
        for element in section.value
    }
    if listed := [field for field in fields if field.name not in documented]:
        yield "\n".join(map(describe_field, listed))
    for method in methods:
        yield f"#### `{name}.{method.name}`"
        yield signature(method, method.name)
        yield from sections(method)


def describe_field(field: Any) -> str:
    """A line for a field of a class: its type, its default and its docstring."""
    text = f"- `{field.name}"
    if field.annotation is not None:
        text += f": {field.annotation}"
    if field.value is not None and field.labels & {"class-attribute", "module-attribute"}:
        default = re.sub(r"field\(default_factory=(\w+)\)", r"\1()", str(field.value))
        text += " = " + re.sub(r"field\(default=(.+?)(, \w+=.*)?\)$", r"\1", default)
    described = " ".join(field.docstring.value.split()) if field.docstring else ""
    return f"{text}`" + (f": {described}" if described else "")


def describe(target: Any, name: str) -> Iterator[str]:
    """Blocks of Markdown for a public name."""
    yield f"### `{name}`"
    if target.is_class:
        yield from describe_class(target, name)
    elif target.is_function:
        yield signature(target, name)
        yield from sections(target)
    else:
        if len(value := str(target.value)) < LINE:
            yield f"```python\n{name} = {value}\n```"
        yield from sections(target)


def load(package: str) -> Any:
    """A package as griffe reads it, with names that other modules of it define resolved."""
    loader = griffe.GriffeLoader(docstring_parser=griffe.Parser.google)
    module = loader.load(package)
    loader.resolve_aliases(implicit=False, external=False)
    return module


def resolve(module: Any, name: str) -> Any:
    """What a public name of a module stands for."""
    member = module[name]
    target = member.final_target if member.is_alias else member
    # A submodule of the same name hides the function that the package imports from it.
    return target[name] if target.is_module else target


def service_classes() -> dict[str, str]:
    """The classes behind a client's `scorer`, `trainer` and `selector`: where they are defined."""
    services = ("scorer", "trainer", "selector")
    with palmfolio.Client(dict.fromkeys(services, "127.0.0.1:1")) as client:
        classes = {name: type(getattr(client, name)) for name in services}
    return {
        f"Client.{name}": f"{cls.__module__}.{cls.__qualname__}" for name, cls in classes.items()
    }


def sdk() -> str:
    """The reference of the SDK: clients with their services, errors, types."""
    module = load("palmfolio")
    targets = {name: resolve(module, name) for name in palmfolio.__all__}
    errors = [name for name, target in targets.items() if ".errors." in target.path]
    types = [name for name, target in targets.items() if ".types." in target.path]
    clients = [name for name in targets if name not in {*errors, *types}]
    clients.sort(key=lambda name: (name.startswith("Async"), name != "Client", name))
    blocks = ["# The SDK: `palmfolio`", module.docstring.value.strip(), "## Clients"]
    for name in clients:
        blocks += describe(targets[name], name)
        if name == "Client":
            for attribute, path in service_classes().items():
                blocks += describe(module[path.removeprefix("palmfolio.")], attribute)
        if name == "AsyncClient":
            blocks.append(
                "Its `scorer`, `trainer` and `selector` have the same methods as those of `Client`,"
                " as coroutines and asynchronous iterators."
            )
    for title, names in (("## Errors", errors), ("## Types", types)):
        blocks.append(title)
        for name in names:
            blocks += describe(targets[name], name)
    return page(blocks)


def package(name: str, title: str) -> str:
    """The reference of a package: the names in its `__all__`, in that order."""
    module = load(name.split(".")[0])
    for part in name.split(".")[1:]:
        module = module[part]
    blocks = [f"# {title}: `{name}`", module.docstring.value.strip()]
    for public in module.exports or ():
        blocks += describe(resolve(module, str(public)), str(public))
    return page(blocks)


def page(blocks: list[str]) -> str:
    """A page of Markdown from its blocks."""
    text = "\n\n".join(block.rstrip() for block in blocks)
    return NOTE + "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def reference() -> dict[str, str]:
    """The text of every file of the reference."""
    return {
        "cli.md": command_line(),
        "sdk.md": sdk(),
        "palm.md": package("palmfolio_palm", "The mathematics"),
        "files.md": package("palmfolio.files", "Prompts and samples from files"),
        "testing.md": package("palmfolio.testing", "Integration tests"),
    }


def main(check: bool) -> None:
    """Writes the reference, or compares it with what is there."""
    pages = reference()
    if check:
        stale = [name for name, text in pages.items() if (HERE / name).read_text() != text]
        if stale:
            sys.exit(f"docs/reference is out of date: {', '.join(stale)}. Run `make reference`.")
        return
    for name, text in pages.items():
        (HERE / name).write_text(text)


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
