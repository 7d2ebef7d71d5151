"""Write the help of a verb: one screen by --help, every option by --help-all."""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

__all__ = ["Entry", "asked", "entries", "examples", "page"]

SCREEN = 50  # lines
WIDTH = 100
COLUMN = 26  # where the texts of options begin
OF_PARSER = ("help", "print_config")


@dataclass(frozen=True)
class Entry:
    """Describe an option: its name with what it takes, and its text."""

    name: str
    takes: str
    text: str
    required: bool = False

    def lines(self, whole: bool) -> list[str]:
        """Return the lines of a page; without `whole`, of the first sentence alone."""
        text = self.text if whole else re.split(r"(?<=\w[.;]) ", self.text)[0].rstrip(".;")
        head = f"  --{self.name} {self.takes}".rstrip()
        body = textwrap.wrap(text, WIDTH - COLUMN, break_long_words=False) or [""]
        first = [f"{head:<{COLUMN}}{body.pop(0)}"] if len(head) < COLUMN - 1 else [head]
        return first + [" " * COLUMN + line for line in body]


def asked(argv: Sequence[str]) -> bool | None:
    """Return whether all of the help is asked for, or None where no help is."""
    if "--help-all" in argv:
        return True
    return False if "-h" in argv or "--help" in argv else None


def page(
    prog: str,
    description: str,
    shown: Sequence[str],
    groups: Sequence[Sequence[Entry]],
    *,
    positional: Sequence[str] = (),
    whole: bool,
) -> str:
    """Return the help: usage, `shown` examples, what is required, and options by their groups.

    Without `whole` it has at most `SCREEN` lines: what comes last is named without its text.
    """
    every = [entry for group in groups for entry in group]
    required = [e for e in every if e.required and e.name not in positional]
    words = [name.upper() if e.required else f"[{name.upper()}]"
             for name in positional for e in every if e.name == name]  # fmt: skip
    usage = ["usage:", prog, *words, *(f"--{e.name} {e.takes}" for e in required), "[options]"]
    lines = textwrap.wrap(" ".join(usage), WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    lines += ["", *textwrap.wrap(plain(description), WIDTH)]
    if shown:
        lines += ["", "examples:", *(line for example in shown for line in _broken(example))]
    first = [e for e in every if e.required]
    if first:
        lines += ["", "required:", *(line for e in first for line in e.lines(whole))]
    lines += ["", "options:"]
    left = [e for e in every if e not in first]
    while left:
        block = left[0].lines(whole)
        named = _named(left[1:])
        if not whole and len(lines) + len(block) + len(named) > SCREEN:
            break
        lines += block
        left.pop(0)
    return "\n".join([*lines, *(_named(left) if left else [])])


def _broken(command: str) -> list[str]:
    """Break a long command before an option, as a shell takes it."""
    lines = ["  " + command]
    while len(lines[-1]) > WIDTH - 2:
        at = lines[-1].rindex(" --", 0, WIDTH - 2)
        lines[-1:] = [lines[-1][:at] + " \\", "     " + lines[-1][at:]]
    return lines


def _named(entries: Sequence[Entry]) -> list[str]:
    """Name the options that --help-all explains; those of one dataclass as one."""
    if not entries:
        return []
    names = dict.fromkeys(
        f"--{e.name.partition('.')[0]}.*" if "." in e.name else f"--{e.name}" for e in entries
    )
    words = textwrap.wrap(
        ", ".join(names), WIDTH, initial_indent="  ", subsequent_indent="  ",
        break_on_hyphens=False,
    )  # fmt: skip
    return ["", "further options, which --help-all explains:", *words]


def entries(parser: Any, names: Iterable[str]) -> list[Entry]:
    """Return the options of a jsonargparse parser that are called, or begin, as in `names`."""
    wanted = set(names)
    found = []
    for action in parser._actions:
        name, kind = action.dest, getattr(action, "_typehint", None)
        if name.partition(".")[0] not in wanted or not is_option(action):
            continue
        text = plain(action.help or "")
        takes = metavar(name, kind)
        if action.choices is not None:
            takes, text = "NAME", f"{text}: {', '.join(map(str, action.choices))}"
        elif get_origin(kind) is Literal and takes == "NAME":
            text = f"{text.rstrip('.')}: {', '.join(map(str, get_args(kind)))}"
        default = action.default
        if (
            default is not False
            and default not in (None, "", (), "==SUPPRESS==")
            and not isinstance(default, Path)
        ):
            shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
            text = f"{text.rstrip('.')} (default {shown})"
        found.append(Entry(name, takes, text, bool(action.required)))
    return found


def is_option(action: Any) -> bool:
    """Return whether an action of a parser is an option of the verb.

    The parser has others: its own, and for each dataclass a file of its options.
    """
    if action.dest in OF_PARSER or action.dest.endswith(".help"):
        return False
    typed = getattr(action, "_typehint", None) is not None or action.choices is not None
    return typed or action.dest == "config"


def metavar(name: str, kind: Any) -> str:
    """Return what stands for the value of an option: nothing for one that is given or not."""
    kinds = [k for k in get_args(kind) if k is not type(None)] if _is_union(kind) else [kind]
    if kinds == [bool]:
        return ""
    if len(kinds) == 1 and get_origin(kinds[0]) is Literal:
        joined = "|".join(map(str, get_args(kinds[0])))
        return joined if len(joined) < 24 else "NAME"
    fixed = {int: "N", float: "X", Path: "PATH"}
    if len(kinds) == 1 and kinds[0] in fixed:
        return fixed[kinds[0]]
    return name.rpartition(".")[2].upper()


def plain(text: str) -> str:
    """Return a docstring's text without its marks, with the names that a registry holds.

    "a name of `networks.NETWORKS`" becomes "one of pfn, efn, ...".
    """
    text = " ".join(text.split())
    pattern = r"(a name of |names of |one of )?`(?:colliderkit\.)?([a-z_.]+)\.([A-Z_]+)`"
    text = re.sub(pattern, _listed, text)
    return re.sub(r"`+([^`]*)`+", r"\1", text)


def _listed(match: re.Match[str]) -> str:
    before, module, attribute = match.groups()
    try:
        known = getattr(import_module(f"colliderkit.{module}"), attribute)
    except (ImportError, AttributeError):
        return match.group()
    if not isinstance(known, Mapping):
        return match.group()
    word = {"a name of ": "one of ", "one of ": "one of "}.get(before or "", before or "")
    return word + ", ".join(map(str, known))


def _is_union(kind: Any) -> bool:
    return len(get_args(kind)) > 1 and "Union" in str(get_origin(kind))


def examples(function: Callable[..., Any]) -> list[str]:
    """Return the commands that stand under ``Examples:`` in a docstring."""
    found = re.search(r"^Examples:\n((?:[ ]+.*\n?)+)", inspect.getdoc(function) or "", re.M)
    if found is None:
        return []
    joined = re.sub(r"\\\n\s*", "", found.group(1))
    return [line.strip() for line in joined.splitlines() if line.strip()]
