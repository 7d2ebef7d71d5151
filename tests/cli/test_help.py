"""The help of every verb: one screen, examples that parse, and errors in our own words."""

import inspect
import re
import shlex

import pytest

from colliderkit.cli import main
from colliderkit.cli.apply import Applied
from colliderkit.cli.evaluate import Evaluated
from colliderkit.cli.export import Exported
from colliderkit.cli.fetch import fetch
from colliderkit.cli.generate import generate, parametrise, shoot
from colliderkit.cli.help import examples
from colliderkit.cli.inspect import inspect as inspect_files
from colliderkit.cli.parsing import parse
from colliderkit.cli.report import Page
from colliderkit.cli.serve import serve
from colliderkit.cli.study import study
from colliderkit.cli.update import Updated
from colliderkit.methods import METHODS
from colliderkit.serve.inference import Limits
from colliderkit.tasks import TASKS
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.runs import Run
from colliderkit.tasks.task import SUPPLIED

FITS = [name for name in TASKS if hasattr(TASKS.load(name), "read")]
OF_VERB = {"page": "report"}
FUNCTIONS = {
    f"{OF_VERB.get(verb, verb)} {name}": (TASKS.load(name), verb)
    for name in TASKS
    for verb in ("update", "apply", "evaluate", "page", "export")
    if hasattr(TASKS.load(name), verb)
}
PLAIN = {
    "generate": generate,
    "generate photons-368": shoot,
    "generate photons-368 --simulation gflash": parametrise,
    "fetch": fetch,
    "study": study,
    "inspect": inspect_files,
    "serve": serve,
}


def helped(capsys, *words):
    with pytest.raises(SystemExit) as done:
        main(list(words))
    assert done.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", FITS)
def test_the_help_of_a_fit_is_one_screen_with_examples(name, capsys):
    screen = helped(capsys, "fit", name, "--help")
    assert len(screen.splitlines()) <= 50
    assert max(map(len, screen.splitlines())) <= 100
    assert "examples:\n  colliderkit fit " in screen
    assert "`" not in screen
    # Every option stands on the screen, by its name at least, or the dataclass that it is of.
    whole = helped(capsys, "fit", name, "--help-all")
    assert not re.search(r"^ *--[\w.]+( [A-Z.]+)? *\n *--", whole, re.M)  # each has its text
    for line in whole.splitlines():
        if line.startswith("  --"):
            option = line.split()[0]
            assert option in screen or option.partition(".")[0] + ".*" in screen, option


@pytest.mark.parametrize("name", PLAIN)
def test_the_help_of_other_verbs_is_one_screen(name, capsys):
    screen = helped(capsys, *name.split(), "--help")
    assert len(screen.splitlines()) <= 50
    assert "examples:\n  colliderkit" in screen


@pytest.mark.parametrize("name", FITS)
def test_examples_of_a_fit_are_taken_by_its_parser(name):
    task = TASKS.load(name)()
    commands = examples(task.read)
    assert commands
    for command in commands:
        words = shlex.split(command)
        assert words[:3] == ["colliderkit", "fit", name]
        method = task.methods[0]
        if "--method" in words:
            method = words.pop(words.index("--method") + 1)
            words.remove("--method")
        around = [METHODS.load(task.around[method])] if method in task.around else []
        positional = ["files"] if "files" in inspect.signature(task.read).parameters else []
        takers = [Run, task.read, METHODS.load(method), *around, Reading]
        parse("colliderkit", "", words[3:], takers, supplied=SUPPLIED, positional=positional)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples_of_the_other_verbs_are_taken_by_their_parsers(name):
    cls, attribute = FUNCTIONS[name]
    function = getattr(cls(), attribute)
    commands = examples(function)
    assert commands
    for command in commands:
        words = shlex.split(command)
        assert words[1] == name.split()[0]
        rest = words[2:]
        while rest and not rest[0].startswith("-") and attribute == "page":
            rest.pop(0)  # one folder, or two
        if attribute != "page":
            rest.pop(0)
        positional = ["files"] if "files" in inspect.signature(function).parameters else []
        own: dict[str, type] = {"apply": Applied, "evaluate": Evaluated, "export": Exported}
        own |= {"update": Updated, "page": Page}
        takers = [own[attribute], function, *([] if attribute == "page" else [Reading])]
        parse("colliderkit", "", rest, takers, supplied=SUPPLIED, positional=positional)


@pytest.mark.parametrize("name", PLAIN)
def test_examples_of_verbs_without_a_task_are_taken(name):
    for command in examples(PLAIN[name]):
        words = shlex.split(command)[2:]
        if words == ["--list"]:
            continue
        positional = {"generate": ["process", "count"], "inspect": ["files"], "serve": ["models"]}
        given = positional.get(name.split()[0], ["name"])
        takers = [serve, Limits] if name == "serve" else [PLAIN[name]]
        parse("colliderkit", "", words, takers, supplied=["limits"], positional=given)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("fit tagging --signal a", "--out is missing: the folder that the fitted method"),
        ("fit tagging --out m --seed x", "--seed is 'x'; it must be a whole number"),
        ("fit tagging --out m --epochs 3", "perhaps --training.epochs"),
        ("fit tagging --outt m", "--outt is no option here; perhaps --out"),
        ("fit tagging a b --out m", "'b' belongs to no option"),
        ("fit tagging --out m --objective Foo", "one of DisCo, MoDe, Adversary, Planing"),
        ("fit tagging --out m --training.schedule up", "one of constant, cosine"),
        ("fit regression --files a --out m --hidden x", "a list of whole numbers"),
        ("fit tagging --signal", "--signal has no value"),
        ("study top-tagging --scale huge", "one of smoke, laptop, night, paper"),
        ("generate top-qcd many --out a.parquet", "--count is 'many'; it must be a whole number"),
    ],
)
def test_what_is_wrong_is_said_in_our_words(words, said, capsys):
    assert main(words.split()) == 2
    sentence = capsys.readouterr().err
    assert said in sentence
    for riddle in ("Parser key", "<class", "typing.", "Subtypes", "Union"):
        assert riddle not in sentence


@pytest.mark.parametrize("verb", ["generate", "fetch", "study"])
def test_a_verb_lists_what_it_knows(verb, capsys):
    assert main([verb, "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 8
    assert all(len(line.split()) > 1 for line in lines if line)
