"""The command line: one file a verb, built from the typed signature of its function."""

import itertools
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from colliderkit.errors import InputError, Interrupted

__all__ = ["VERBS", "given", "main", "of_model", "run"]

VERBS = {
    "generate": "make collider events with Pythia 8, FastJet and a fast detector",
    "fit": "train a method on event files",
    "apply": "write a method's scores beside the events' own columns",
    "evaluate": "measure a method on events that it has not seen",
    "report": "draw an evaluation as one HTML file",
    "export": "write a fitted method for others: ONNX, a pyhf workspace, HEPData",
    "fetch": "download a public data set by name",
    "study": "reproduce a published result from data to report",
}
# Saved methods that give the probability of each class: one function of a verb serves them all.
TAGGERS = ("tagging", "decorrelated-tagging", "ensemble", "cross-fit")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0 done, 2 for an error that the user can mend."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Nothing heavy is imported before a verb is known: --help answers at once.
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if arguments[0] == "--version":
        from colliderkit import __version__

        print(f"colliderkit {__version__}")
        return 0
    verb, *rest = arguments
    if verb not in VERBS:
        print(f"colliderkit: '{verb}' is no verb; choose from {', '.join(VERBS)}.", file=sys.stderr)
        return 2
    try:
        import_module(f"colliderkit.cli.{verb}").main(rest)
    except (InputError, Interrupted) as error:
        print(f"colliderkit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("colliderkit: interrupted; what was complete is kept.", file=sys.stderr)
        return 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"colliderkit: {where}{error.strerror or error}.", file=sys.stderr)
        return 2
    return 0


def run(
    function: Callable[..., Any],
    argv: Sequence[str],
    prog: str,
    parts: dict[str, type] | None = None,
    positional: Sequence[str] = (),
) -> Any:
    """Parse `argv` by the signature of `function` and call it.

    `positional` names the options whose values may come first, without their names.
    `parts` maps parameters of the function to classes whose own parameters become options
    beside the others, except those that the function has itself. Options can come from a YAML
    file (``--config``) and be written to one (``--print_config``). A parameter named
    `configuration` receives that YAML, to be kept beside the output.
    """
    import inspect

    from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser

    parts = parts or {}
    description = (inspect.getdoc(function) or "").split("\n\n")[0]
    parser = ArgumentParser(prog=prog, description=description, exit_on_error=False)
    parser.add_argument("--config", action=ActionConfigFile, help="a YAML file of these options")
    parser.add_function_arguments(function, skip={"configuration", *parts})
    own = set(inspect.signature(function).parameters)
    for part in parts.values():
        parser.add_class_arguments(part, skip=own & set(inspect.signature(part).parameters))
    takers: list[Callable[..., Any]] = [function, *parts.values()]
    flags = [
        f"--{name}"
        for taker in takers
        for name, parameter in inspect.signature(taker).parameters.items()
        if parameter.annotation is bool
    ]
    try:
        parsed = parser.parse_args(_with_names(_with_values(argv, flags), positional))
    except ArgumentError as error:
        # jsonargparse explains in several lines what it tried; the first two say what is wrong.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputError(f"{' '.join(lines[:2])} (see {prog} --help)") from error
    keywords = vars(parser.instantiate_classes(parsed))
    keywords.pop("config", None)
    for name, part in parts.items():
        theirs = [key for key in inspect.signature(part).parameters if key in keywords]
        taken = {key: keywords.pop(key) for key in theirs if key not in own}
        keywords[name] = part(**taken)
    if "configuration" in inspect.signature(function).parameters:
        keywords["configuration"] = f"# {prog} --config THIS\n" + parser.dump(parsed)
    return function(**keywords)


def of_model(
    argv: Sequence[str], verb: str, functions: dict[str, Callable[..., Any]]
) -> Callable[..., Any]:
    """Choose from `functions` by the method of the model that the command line names.

    The options of a verb are those of the method that it works on; where no model is named, of
    the first. Raises `InputError` for a method that is not there.
    """
    model = given(argv, "model", ["model"])
    if model is None:
        return next(iter(functions.values()))
    from colliderkit.methods.method import saved_name

    name = saved_name(model)
    if name not in functions:
        raise InputError(
            f"{model}: holds the method '{name}', and {verb} is for {', '.join(functions)}."
        )
    return functions[name]


def given(argv: Sequence[str], option: str, positional: Sequence[str] = ()) -> str | None:
    """Return the value of an option on the command line, or else in its YAML file; None if none.

    A verb whose options depend on one of them looks at it first. An option without a value is "".
    """
    import argparse

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(f"--{option}", nargs="?", const="", dest="found")
    parser.add_argument("--config")
    try:
        known, _ = parser.parse_known_args(_with_names(argv, positional))
    except argparse.ArgumentError:
        return None  # the verb's own parser says what is wrong
    if known.found is None and known.config is not None and Path(known.config).is_file():
        import yaml

        try:
            written = yaml.safe_load(Path(known.config).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            return None
        found = written.get(option) if isinstance(written, dict) else None
        return None if found is None else str(found)
    return None if known.found is None else str(known.found)


def _with_values(argv: Sequence[str], flags: Sequence[str]) -> list[str]:
    """Let ``--force`` stand for ``--force true``, which is what the parser takes."""
    given = []
    for i, word in enumerate(argv):
        given.append(word)
        following = argv[i + 1].lower() if i + 1 < len(argv) else ""
        if word in flags and following not in ("true", "false"):
            given.append("true")
    return given


def _with_names(argv: Sequence[str], positional: Sequence[str]) -> list[str]:
    """Name the leading words: ``study top-tagging`` is ``study --name top-tagging``."""
    leading = list(itertools.takewhile(lambda word: not word.startswith("-"), argv))
    named = [
        x for name, word in zip(positional, leading, strict=False) for x in (f"--{name}", word)
    ]
    return [*named, *argv[min(len(leading), len(positional)) :]]


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {text}" for verb, text in VERBS.items()]
    return "\n".join(
        [
            "usage: colliderkit VERB [options]",
            "",
            "Machine learning for particle physics, from events to physics results.",
            "",
            *lines,
            "",
            "colliderkit VERB --help lists the options of a verb.",
        ]
    )
