"""Say in one sentence what is wrong with an option."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

__all__ = ["described", "sentence"]


def sentence(words: str, kinds: Mapping[str, Any], texts: Mapping[str, str], prog: str) -> str:
    """Return what jsonargparse found wrong, in the terms of who typed it.

    `kinds` are the types of the options by name, `texts` what they are for.
    """
    words = " ".join(words.split())
    end = f" (see {prog} --help)"
    if found := re.search(r"arguments are required: (.+)$", words):
        names = [name.strip().lstrip("-") for name in found[1].split(",")]
        dashed = " and ".join(f"--{name}" for name in names)
        each = "; ".join(_lower(texts.get(name, "")).rstrip(".") for name in names)
        return f"{dashed} {'is' if len(names) == 1 else 'are'} missing: {each}{end}"
    if found := re.search(r"unrecognized arguments: (.+)$", words):
        return _unknown(found[1].split(), list(kinds)) + end
    if found := re.search(r"argument (?:-\w/)?--([\w.]+).*: expected .*argument", words):
        return f"--{found[1]} has no value; give {described(kinds.get(found[1]))} after it{end}"
    if found := re.search(r'[Kk]ey [\'"]([\w.]+)[\'"] is not expected', words):
        return _unknown([f"--{found[1]}"], list(kinds)) + end
    keys = re.findall(r'Parser key "([\w.]+)"', words)
    name = keys[-1] if keys else ""
    if name == "config" or name not in kinds:
        return words + end
    value = re.search(r"Got value: (.*?)(?: Subtypes| Problem|$)", words)
    given = f"is '{value[1].strip()}'" if value else "is not understood"
    return f"--{name} {given}; it must be {described(kinds[name])}{end}"


def _unknown(words: Sequence[str], names: Sequence[str]) -> str:
    """Say which words are no options, and which option may be meant."""
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    if not options:
        shown = ", ".join(f"'{word}'" for word in words)
        return (
            f"{shown} belong{'s' if len(words) == 1 else ''} to no option; write an option's name"
            " before its value, and quote values with spaces"
        )
    near = difflib.get_close_matches(options[0].lstrip("-"), names, 1, 0.6)
    ends = [name for name in names if name.endswith("." + options[0].lstrip("-"))]
    meant = f"; perhaps --{(ends or near)[0]}" if ends or near else ""
    return f"{options[0]} is no option here{meant}"


def described(kind: Any) -> str:
    """Describe the values of a type: "a whole number", "one of a, b"."""
    origin, inner = get_origin(kind), [k for k in get_args(kind) if k is not type(None)]
    plain = {
        int: "a whole number", float: "a number", bool: "true or false", str: "a text",
        Path: "a path",
    }  # fmt: skip
    if kind in plain:
        return plain[kind]
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}" if len(inner) > 1 else str(inner[0])
    if "Union" in str(origin):
        classes = [k.__name__ for k in inner if is_dataclass(k) and isinstance(k, type)]
        if str in inner and any(map(is_list, inner)):
            inner = [k for k in inner if k is not str]  # a name alone is a list of one
        others = list(dict.fromkeys(described(k) for k in inner if not is_dataclass(k)))
        return " or ".join([*([f"one of {', '.join(classes)}"] if classes else []), *others])
    if origin is tuple and Ellipsis not in inner:
        each = "numbers" if set(inner) <= {int, float} else "values"
        return f"{len(inner)} {each}, such as [{', '.join('12345'[: len(inner)])}]"
    if is_list(kind):
        element = next((k for k in inner if k is not Ellipsis), str)
        samples = {int: ("whole numbers", "[64, 64]"), float: ("numbers", "[0.5, 2]")}
        noun, sample = samples.get(element, ("names", "a,b"))
        return f"a list of {noun}, such as {sample}"
    if origin is not None and issubclass(origin, Mapping):
        return "names with their values, such as '{a: 1, b: 2}'"
    if is_dataclass(kind) and isinstance(kind, type):
        return f"options of {kind.__name__}"
    return "a value"


def is_list(kind: Any) -> bool:
    """Return whether a type is of lists alone, or of None."""
    inner = [k for k in get_args(kind) if k is not type(None)]
    if "Union" in str(get_origin(kind)):
        return bool(inner) and all(map(is_list, inner))
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Sequence)


def is_number(kind: Any) -> bool:
    """Return whether a type is of numbers alone, or of None."""
    kinds = [k for k in get_args(kind) if k is not type(None)] or [kind]
    return all(k in (int, float) for k in kinds)


def _lower(text: str) -> str:
    """Begin a text as the middle of a sentence."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
