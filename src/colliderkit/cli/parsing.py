"""Parse a command line by the signatures of the functions and classes that take its options."""

import argparse
import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from functools import partial
from typing import Any, get_args, get_type_hints

from colliderkit.cli import help as screen
from colliderkit.cli.messages import is_list, is_number, sentence
from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.ranges import check

__all__ = ["Choice", "Parsed", "leading", "naming_options", "option", "parse", "run"]


MODE = "plain yaml"
OTHER_BASE = re.compile(r"[-+]?(\d[\d_]*(:[0-5]?\d)+(\.\d*)?|0[0-7_]+)")
LONGEST = 1_000_000  # bytes of a file of options
DEEPEST = 30


@dataclass(frozen=True)
class Choice:
    """Give an option one of several values: ``--method``, whose class has further options."""

    name: str
    values: Sequence[str]
    help: str


@dataclass(frozen=True)
class Parsed:
    """Hold what each taker was given: an instance of a class, a function with its keywords.

    `names` are the options that there were, `configuration` is the command line as YAML, which
    ``--config`` repeats.
    """

    taken: list[Any]
    names: Sequence[str]
    configuration: str


def parse(
    prog: str,
    description: str,
    argv: Sequence[str],
    takers: Sequence[Callable[..., Any]],
    *,
    supplied: Iterable[str] = (),
    positional: Sequence[str] = (),
    choice: Choice | None = None,
    examples: Sequence[str] = (),
) -> Parsed:
    """Parse `argv` into the parameters of the `takers`, functions and classes.

    Parameters called as in `supplied` are no options; a name that several takers have is that of
    the first. A class that lacks one of these is not built: what is returned takes it. `positional`
    names the options whose values may come first, without their names.
    Options can come from a YAML file (``--config``) and be written to one (``--print_config``).
    ``--help`` prints one screen, beginning with the `examples`, and ``--help-all`` every option;
    both exit. Raises `InputError` for what cannot be parsed.
    """
    from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, set_parsing_settings

    set_parsing_settings(subclasses_enabled=_chosen_by_name(takers))
    if (file := option(argv, "config")) is not None:
        read_configuration(file)
    _refuse_bombs(argv)
    _load_plain_yaml()
    parser = ArgumentParser(
        prog=prog, description=description, exit_on_error=False, parser_mode=MODE, add_help=False
    )
    parser.add_argument("--config", action=ActionConfigFile, help="a YAML file of these options")
    if choice is not None:
        parser.add_argument(
            f"--{choice.name}",
            choices=list(choice.values),
            default=choice.values[0],
            help=choice.help,
        )
    names: list[list[str]] = []
    flags: list[str] = []
    skip: set[str | int] = set(supplied)
    for taker in takers:
        parameters = inspect.signature(taker).parameters
        if inspect.isclass(taker):
            parser.add_class_arguments(taker, skip=skip & set(parameters))
        elif inspect.ismethod(taker):
            owner = type(taker.__self__)
            parser.add_method_arguments(owner, taker.__name__, skip=skip & set(parameters))
        else:
            parser.add_function_arguments(taker, skip=skip & set(parameters))
        names.append([name for name in parameters if name not in skip])
        flags += [f"--{n}" for n, p in parameters.items() if p.annotation is bool]
        skip |= set(parameters)
    if (whole := screen.asked(argv)) is not None:
        # What the verb's own function takes comes first: it is what a newcomer needs.
        order = sorted(range(len(takers)), key=lambda i: inspect.isclass(takers[i]))
        several = [names[order[0]], *([[choice.name]] if choice else [])]
        several += [*(names[i] for i in order[1:]), ["config"]]
        groups = [screen.entries(parser, group) for group in several]
        print(screen.page(prog, description, examples, groups, positional=positional, whole=whole))
        raise SystemExit(0)
    kinds = {
        action.dest: getattr(action, "_typehint", None)
        for action in parser._actions
        if screen.is_option(action)
    }
    try:
        named = _with_names(_with_values(_underscored(argv, kinds), flags), positional)
        words = _as_lists(named, kinds)
        _refuse_other_bases(words, kinds)
        parsed = parser.parse_args(words)
    except ArgumentError as error:
        # Only now: the texts name what registries hold, which has to be imported.
        shown = screen.entries(parser, {name.partition(".")[0] for name in kinds})
        texts = {entry.name: entry.text for entry in shown}
        raise InputError(sentence(str(error), kinds, texts, prog)) from error
    for taker, own in zip(takers, names, strict=True):
        values = {name: parsed[name] for name in own}
        check(values, owner=getattr(taker, "__name__", ""), prefix="--")
    keywords = vars(parser.instantiate_classes(parsed))
    every = [name for taken in names for name in taken]
    taken = []
    with naming_options(every):
        for taker, own in zip(takers, names, strict=True):
            call = partial(taker, **{name: keywords[name] for name in own})
            lacks = set(supplied) & set(inspect.signature(taker).parameters)
            taken.append(call() if inspect.isclass(taker) and not lacks else call)
    return Parsed(taken, every, f"# {prog} --config THIS\n" + parser.dump(parsed))


def run(
    function: Callable[..., Any], argv: Sequence[str], prog: str, positional: Sequence[str] = ()
) -> Any:
    """Parse `argv` by the signature of `function` and call it."""
    description = (inspect.getdoc(function) or "").split("\n\n")[0]
    shown = screen.examples(function)
    parsed = parse(prog, description, argv, [function], positional=positional, examples=shown)
    with naming_options(parsed.names):
        return parsed.taken[0]()


@contextmanager
def naming_options(names: Sequence[str]) -> Iterator[None]:
    """Give the names of options their dashes in the sentences that the library raises.

    The library names arguments, and begins with them: "members is 0; it must be at least 1."
    """
    try:
        yield
    except InputError as error:
        words = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
        pattern = rf"^({words})(?= (is|are|has|have|names|and|or) |[:,])"
        sentence = re.sub(pattern, r"--\1", str(error))
        if sentence == str(error):
            raise
        raise InputError(sentence) from error


def leading(argv: Sequence[str]) -> list[str]:
    """Return the words before the first option."""
    return list(itertools.takewhile(lambda word: not word.startswith("-"), argv))


def option(argv: Sequence[str], name: str) -> str | None:
    """Return the value of an option on the command line, or else in its YAML file; None if none.

    A verb whose options depend on one of them looks at it first.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config")
    if name != "config":
        parser.add_argument(f"--{name}", dest="value")
    try:
        known, _ = parser.parse_known_args(list(argv))
    except argparse.ArgumentError:
        return None  # the verb's own parser says what is wrong
    value = vars(known)[name if name == "config" else "value"]
    if value is None and known.config is not None:
        written = read_configuration(known.config)
        value = written.get(name) if isinstance(written, dict) else None
    return None if value is None else str(value)


def read_configuration(path: str) -> Any:
    """Read the YAML file of options; raise `InputError` where it is none, or not plain."""
    import yaml

    file = existing_file(path)
    if file.stat().st_size > LONGEST:
        raise InputError(f"{path}: has more than {LONGEST} bytes; a file of options has few.")
    try:
        return _plain_yaml(file.read_text(encoding="utf-8"), yaml.safe_load)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8; write it again as plain text.") from error
    except yaml.YAMLError as error:
        words = " ".join(str(error).split())
        raise InputError(f"{path}: is no YAML of options ({words}); mend it.") from error


def _load_plain_yaml() -> None:
    """Let the parser read options and files by its YAML, where that is plain."""
    import yaml
    from jsonargparse import get_loader, set_loader

    load = get_loader("yaml")
    set_loader(MODE, lambda text: _plain_yaml(text, load), (yaml.YAMLError,))


def _plain_yaml(text: str, load: Callable[[str], Any]) -> Any:
    """Load YAML that is plain; raise a `YAMLError` for any other."""
    import yaml

    if (reason := _not_plain(text)) is not None:
        raise yaml.YAMLError(reason)
    try:
        return load(text)
    except (ValueError, OverflowError) as error:  # of numbers that Python does not read
        raise yaml.YAMLError(str(error)) from error


def _not_plain(text: str) -> str | None:
    """Say why YAML is not plain, if it is not: by aliases it could grow without bound, or depth.

    Nor is a number that YAML reads in base 60 or 8: 1:30 would be 90, and 010 would be 8.
    """
    import yaml

    depth = 0
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.AliasEvent):
                return "an alias stands for a value; write the value itself"
            plain = isinstance(event, yaml.ScalarEvent) and event.implicit[0]
            if plain and OTHER_BASE.fullmatch(event.value):
                return f"{event.value} is no decimal number to YAML; write it in tens"
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                return f"brackets are nested more than {DEEPEST} deep"
    except yaml.YAMLError:
        return None  # no YAML, but perhaps a text
    return None


def _refuse_bombs(argv: Sequence[str]) -> None:
    """Raise `InputError` for an option whose value is not plain YAML."""
    for i, word in enumerate(argv):
        name, _, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if value.lstrip()[:1] in ("[", "{", "&") and (reason := _not_plain(value)) is not None:
            raise InputError(f"{name or argv[max(i - 1, 0)]}: {reason}.")


def _refuse_other_bases(words: Sequence[str], kinds: Mapping[str, Any]) -> None:
    """Raise `InputError` for 1:30 or 010 where an option takes numbers and no text."""
    for word, after in itertools.zip_longest(words, words[1:], fillvalue=""):
        name, equals, value = word.removeprefix("--").partition("=")
        value = value if equals else after
        number = word.startswith("--") and is_number(kinds.get(name))
        if number and OTHER_BASE.fullmatch(value):
            raise InputError(f"--{name}: {value} is no decimal number to YAML; write it in tens.")


def _chosen_by_name(takers: Sequence[Callable[..., Any]]) -> list[Any]:
    """Return the dataclasses that an option names one of, as ``--objective MoDe`` does.

    They are those of a union that derive from another dataclass. By their options alone the parser
    would take the first that has them.
    """
    kinds: list[type] = []
    for taker in takers:
        function: Any = taker.__init__ if inspect.isclass(taker) else taker
        for hint in get_type_hints(function).values():
            kinds += [kind for kind in get_args(hint) if isinstance(kind, type)]
    return [kind for kind in kinds if is_dataclass(kind) and any(map(is_dataclass, kind.__bases__))]


def _underscored(argv: Sequence[str], kinds: Mapping[str, Any]) -> list[str]:
    """Let ``--signal-region`` stand for ``--signal_region``, where the latter is an option."""
    words = []
    for word in argv:
        name, equals, value = word.partition("=")
        spelled = name[2:].replace("-", "_") if name.startswith("--") else ""
        words.append(f"--{spelled}{equals}{value}" if spelled in kinds else word)
    return words


def _with_values(argv: Sequence[str], flags: Sequence[str]) -> list[str]:
    """Let ``--force`` stand for ``--force true``, which is what the parser takes."""
    words = []
    for i, word in enumerate(argv):
        words.append(word)
        following = argv[i + 1].lower() if i + 1 < len(argv) else ""
        if word in flags and following not in ("true", "false"):
            words.append("true")
    return words


def _as_lists(argv: Sequence[str], kinds: Mapping[str, Any]) -> list[str]:
    """Let ``--hidden 64,64`` stand for ``--hidden [64,64]`` where an option takes lists alone."""
    words = list(argv)
    for i, word in enumerate(words):
        name, equals, value = word.partition("=")
        if not name.startswith("--") or not is_list(kinds.get(name[2:])):
            continue
        if equals and value[:1] != "[":
            words[i] = f"{name}=[{value}]"
        elif not equals and i + 1 < len(words) and words[i + 1][:1] not in ("[", "-", ""):
            # A file's value, or null, is no list of one.
            words[i + 1] = words[i + 1] if words[i + 1] == "null" else f"[{words[i + 1]}]"
    return words


def _with_names(argv: Sequence[str], positional: Sequence[str]) -> list[str]:
    """Name the leading words: ``study top-tagging`` is ``study --name top-tagging``."""
    words = leading(argv)
    named = [x for name, word in zip(positional, words, strict=False) for x in (f"--{name}", word)]
    return [*named, *argv[min(len(words), len(positional)) :]]
