"""Every option of every verb has its range, and what is out of it is refused in one sentence."""

import dataclasses
import inspect
import json
import math
import time
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colliderkit.cli import VERBS, generate, main, study
from colliderkit.cli import inspect as inspect_verb
from colliderkit.cli import serve as serve_verb
from colliderkit.errors import InputError
from colliderkit.generators import GENERATORS
from colliderkit.methods import METHODS
from colliderkit.methods.method import FORMAT
from colliderkit.networks import NETWORKS
from colliderkit.ranges import RANGES, Range, check
from colliderkit.serve.inference import Limits
from colliderkit.sources.datasets import catalogue
from colliderkit.sources.geant4 import gflash, shards
from colliderkit.tasks import TASKS
from colliderkit.tasks.runs import Run
from colliderkit.tasks.task import SUPPLIED
from contracts.cases import TASK_CASES

ABSENT = "absent"  # a folder with no files: what is in range ends there
MODELS = {"update", "apply", "evaluate", "export"}


def numbers(hint: Any) -> bool:
    return hint in (int, float) or any(map(numbers, get_args(hint)))


def several(hint: Any) -> bool:
    return any(get_args(part) for part in (hint, *get_args(hint)) if numbers(part)) and not (
        hint in (int, float) or int in get_args(hint) or float in get_args(hint)
    )


def parameters(taker: Any, prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield (owner, dotted name, type) of the numbers among the parameters of a taker."""
    function = taker.__init__ if inspect.isclass(taker) else taker
    for name, hint in get_type_hints(function).items():
        if name in (*SUPPLIED, "return"):
            continue
        if dataclasses.is_dataclass(hint):
            yield from parameters(hint, f"{prefix}{name}.")
        if numbers(hint):
            yield taker.__name__, f"{prefix}{name}", hint


def commands() -> list[tuple[tuple[str, ...], str, Range, bool]]:
    """List (words of a verb, dotted option, range, whether it takes a list)."""
    found = []

    def add(words: list[str], *takers: Any) -> None:
        for taker in takers:
            for owner, name, hint in parameters(taker):
                leaf = name.rpartition(".")[2]
                range_ = RANGES.get(f"{owner}.{leaf}") or RANGES[leaf]
                texts = str in get_args(hint) or "str" in str(hint)
                if not texts and "dict" not in str(hint) and "Mapping" not in str(hint):
                    found.append((tuple(words), name, range_, several(hint)))

    for name in TASKS:
        task, case = TASKS.load(name), TASK_CASES[name]
        if hasattr(task, "read"):
            for method in task.methods:
                around = [METHODS.load(task.around[method])] if method in task.around else []
                words = ["fit", name, "--method", method, *case.fit(ABSENT_PATH)]
                words += [*case.methods.get(method, ()), "--out", "out"]
                add(words, Run, task.read, METHODS.load(method), *around)
        for verb in MODELS & set(task.offers()):
            first = task.methods[0] if "method" in signature(task, verb) else name
            words = [verb, first, *getattr(case, verb)(ABSENT_PATH), "--out", "out"]
            add(words, getattr(task, verb))
        if hasattr(task, "page"):
            add(["report", task.methods[0] if task.methods else name], task.page)
    add(["generate", "nothing", "3", "--out", "out.parquet"], generate.generate)
    add(["generate", "photons-368", "3", "--out", "out.hdf5"], generate.shoot)
    add(
        ["generate", "photons-368", "3", "--simulation", "gflash", "--out", "o.h5"],
        generate.parametrise,
    )
    add(["study", "nothing", "--out", "out"], study.study)
    add(["inspect", f"{ABSENT}/x.root"], inspect_verb.inspect)
    add(["serve", f"{ABSENT}/x.onnx"], serve_verb.serve, Limits)
    return [(tuple(map(str, words)), *rest) for words, *rest in found]


def signature(task: Any, verb: str) -> Any:
    return inspect.signature(getattr(task, verb)).parameters


class AbsentPath:
    """Stands for the folder of a case: a name in it is a file that is not there."""

    def __truediv__(self, name: str) -> str:
        return f"{ABSENT}/{name}"


ABSENT_PATH: Any = AbsentPath()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with descriptions of every method, as far as a verb reads them before its files."""
    for name in METHODS:
        model = tmp_path / name
        model.mkdir()
        note = {"format": FORMAT, "method": name, "parameters": {}, "fitted": {}, "sha256": ""}
        (model / "method.json").write_text(json.dumps(note))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outside(range_: Range) -> st.SearchStrategy[Any]:
    """Numbers that are not in a range."""
    kinds: list[Any] = [st.sampled_from([math.nan, math.inf, -math.inf])]
    whole = range_.least == int(range_.least) if math.isfinite(range_.least) else False
    if math.isfinite(range_.least):
        below = st.floats(-1e30, range_.least, exclude_max=True)
        kinds.append(below if not whole else st.integers(-(2**70), int(range_.least) - 1))
    if math.isfinite(range_.most):
        kinds.append(st.integers(int(range_.most) + 1, 2**80))
    kinds += [st.just(end) for end in ("least", "most") if end in range_.open]
    return st.one_of(kinds).map(lambda x: getattr(range_, x) if isinstance(x, str) else x)


def refused(capsys, words: tuple[str, ...]) -> str:
    begin = time.perf_counter()
    code = main(list(words))
    printed = capsys.readouterr()
    assert code == 2, (words, printed)
    assert printed.err.startswith("colliderkit: "), words
    assert len(printed.err.strip().splitlines()) == 1, printed.err
    assert "Traceback" not in printed.err
    assert time.perf_counter() - begin < 60, words
    return printed.err


COMMANDS = commands()


def test_every_number_has_its_range() -> None:
    """Of verbs, tasks, methods, networks and generators."""
    takers = [Run, study.study, generate.generate, generate.shoot, generate.parametrise]
    takers += [generate.helices, generate.fire, generate.overlay]
    for name in TASKS:
        task = TASKS.load(name)
        takers += [getattr(task, verb) for verb in task.offers()]
    for registry in (METHODS, NETWORKS, GENERATORS):
        takers += [registry.load(name) for name in registry]
    lacking = {
        f"{owner}.{name}"
        for taker in takers
        for owner, name, _ in parameters(taker)
        if f"{owner}.{name.rpartition('.')[2]}" not in RANGES
        and name.rpartition(".")[2] not in RANGES
        and name not in NETWORKS_GIVE
    }
    assert not lacking


# What the package gives a network, not the user.
NETWORKS_GIVE = {name for r in (NETWORKS, GENERATORS) for name in r.supplied}


def test_every_default_is_in_its_range() -> None:
    for name in METHODS:
        kind = METHODS.load(name)
        defaults = {
            n: p.default
            for n, p in inspect.signature(kind).parameters.items()
            if p.default is not p.empty
        }
        check(defaults, owner=kind.__name__)


@pytest.mark.parametrize("command", range(len(COMMANDS)), ids=lambda i: "")
def test_what_is_out_of_range_is_refused(command: int, folder, capsys) -> None:
    """Each option of each verb, with a number below or above its range."""
    words, name, range_, many = COMMANDS[command]
    number = _first_outside(range_)
    text = f"[{number}]" if many else str(number)
    before = sorted(folder.iterdir())
    said = refused(capsys, (*words, f"--{name}={text}"))
    assert name.rpartition(".")[2] in said
    assert sorted(folder.iterdir()) == before


def _first_outside(range_: Range) -> float:
    if math.isfinite(range_.least):
        return range_.least - (0 if "least" in range_.open else 1)
    return math.inf


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_value_ends_in_a_traceback(data, folder, capsys) -> None:
    """Numbers out of range, and what is no number at all: exit 2, one sentence, nothing written."""
    words, name, range_, many = data.draw(st.sampled_from(COMMANDS))
    junk = st.sampled_from(
        [
            "",
            "a",
            "[",
            "{",
            "&a [*a]",
            "1e999",
            "-",
            "null",
            "[[]]",
            "{a: 1}",
            "9" * 5000,
            "[" * 1000,
            "\u2028",
            "[1, a]",
            "1:2",
            "0x10",
            "!!python/object:os.system x",
            "=",
            "~",
        ]
    )
    value = data.draw(
        st.one_of(outside(range_).map(lambda x: f"[{x}]" if many else str(x)), junk, st.text())
    )
    before = sorted(folder.iterdir())
    refused(capsys, (*words, f"--{name}={value}"))
    assert sorted(folder.iterdir()) == before


JUNK = [
    "",
    "-",
    "--",
    "a",
    "--x",
    "--out",
    "[",
    "{a: 1}",
    "null",
    "9" * 400,
    "\u2028",
    "\0",
    "é",
    "*",
]


@pytest.fixture
def without_work(monkeypatch):
    """Commands that would be in order end before they generate or download anything."""

    def refuse(*args, **kwargs):
        raise InputError("nothing is made in this test.")

    for place in (shards, gflash):
        monkeypatch.setattr(place, "generate_showers", refuse)
    monkeypatch.setattr(catalogue, "_download", refuse)


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_words_end_in_a_traceback(data, folder, capsys, without_work) -> None:
    """Words left out, given twice, exchanged and replaced, at every verb."""
    verb = data.draw(st.sampled_from(sorted(VERBS)))
    of_verb = [words for words, *_ in COMMANDS if words[0] == verb]
    words = list(data.draw(st.sampled_from(of_verb or [("fetch", "top-tagging", "--out", "out")])))
    for _ in range(data.draw(st.integers(1, 3))):
        i = data.draw(st.integers(1, len(words) - 1)) if len(words) > 1 else 0
        change = data.draw(st.sampled_from(["drop", "twice", "exchange", "replace", "add"]))
        junk = data.draw(st.one_of(st.sampled_from(JUNK), st.text(max_size=8)))
        if change == "drop" and i:
            del words[i]
        elif change == "exchange" and i:
            words[i], words[-1] = words[-1], words[i]
        elif change == "replace" and i:
            words[i] = junk
        else:
            words.insert(i + 1, words[i] if change == "twice" and i else junk)
    before = sorted(folder.rglob("*"))
    try:
        code = main(words)
    except SystemExit as done:  # of a help that was asked for
        code = done.code or 0
    printed = capsys.readouterr()
    assert code in (0, 2), words
    lines = [x for x in printed.err.strip().split("\n") if ": warning: " not in x]
    assert code == 0 or len(lines) == 1, (words, printed.err)
    assert "Traceback" not in printed.err
    assert code or not [path for path in folder.rglob("*") if path not in before], words


def test_every_verb_has_its_commands() -> None:
    assert {words[0] for words, *_ in COMMANDS} | {"fetch"} == set(VERBS)
    assert len(COMMANDS) + 300 + 250 >= 800


def test_a_range_says_what_it_is() -> None:
    """The sentences, and what each range holds."""
    for values, sentence in (
        ({"members": -3}, "members is -3; it must be at least 1 and at most 100000."),
        ({"validation": 1.0}, "validation is 1; it must be above 0 and below 1."),
        ({"seed": 2**64}, f"seed is {2**64}; it must be from 0 to 2^64 - 1."),
        ({"hidden": [8, 0]}, "hidden has 0; each must be at least 1 and at most 1e+06."),
        ({"options": {"dropout": 1.5}}, "options.dropout is 1.5; it must be at least 0 and below"),
        ({"index": math.nan}, "index is nan; it must be finite."),
    ):
        with pytest.raises(InputError) as error:
            check(values)
        assert str(error.value).startswith(sentence)
    check({"members": 1, "validation": 0.5, "seed": 2**64 - 1, "hidden": (8,), "patience": None})
