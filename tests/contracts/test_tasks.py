"""What every task promises: each verb that it offers runs on small files, with every method."""

import inspect
import json

import pytest

from colliderkit.cli import main
from colliderkit.methods import METHODS
from colliderkit.methods.method import load
from colliderkit.report.results import read_results
from colliderkit.tasks import TASKS, task_of
from colliderkit.tasks.runs import CONFIGURATION, RESULTS
from colliderkit.tasks.task import Task
from contracts.cases import TASK_CASES

NAMES = [name for name in TASKS if name in TASK_CASES]
FITTED = [
    (name, method)
    for name in NAMES
    if hasattr(TASKS.load(name), "read")
    for method in TASKS.load(name).methods
]


def run(capsys, *words) -> str:
    """Run the command line, as a user does, and return what it prints."""
    code = main([str(word) for word in words])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out


def refused(capsys, *words) -> str:
    """Run what a user has to mend, and return the one sentence that says what is wrong."""
    assert main([str(word) for word in words]) == 2
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    return printed


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The folders with the files of each task, written once."""
    folders = {}
    for name in NAMES:
        folders[name] = tmp_path_factory.mktemp(name)
        TASK_CASES[name].write(folders[name])
    return folders


def test_every_task_has_a_case():
    assert sorted(TASK_CASES) == sorted(TASKS)


def test_every_method_belongs_to_one_task():
    tasks = [method for name in TASKS for method in TASKS.load(name).methods]
    assert sorted(tasks) == sorted(METHODS)
    for method in METHODS:
        assert method in TASKS.load(task_of(method)).methods


@pytest.mark.parametrize("name", TASKS)
def test_the_options_of_a_task_are_typed_and_explained(name):
    task = TASKS.load(name)
    assert issubclass(task, Task)
    assert task.offers()
    for verb in task.offers():
        function = getattr(task, verb)
        text = inspect.getdoc(function)
        assert text, verb
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY:
                assert parameter.annotation is not parameter.empty, (verb, parameter.name)
                assert f"{parameter.name}:" in text or parameter.name in ("out", "force"), (
                    verb,
                    parameter.name,
                )


@pytest.mark.parametrize("name", TASKS)
def test_the_help_of_each_verb_lists_its_options(name, capsys):
    task = TASKS.load(name)
    if "read" in task.offers():
        with pytest.raises(SystemExit) as done:
            main(["fit", name, "--help"])
        assert done.value.code == 0
        assert "--out" in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_a_case_has_words_for_each_verb_and_no_others(name):
    case = TASK_CASES[name]
    words = {verb for verb in ("update", "apply", "evaluate", "export") if getattr(case, verb)}
    words |= {"read"} if case.fit else set()
    assert words == set(TASKS.load(name).offers()) - {"page"}
    assert set(case.methods) <= set(TASKS.load(name).methods)


@pytest.mark.parametrize(("name", "method"), FITTED)
def test_each_verb_runs_on_small_files(name, method, files, tmp_path, capsys):
    case, task, folder = TASK_CASES[name], TASKS.load(name), files[name]
    model, evaluation = tmp_path / "model", tmp_path / "evaluation"
    own = [str(word).replace("FOLDER", str(folder)) for word in case.methods.get(method, ())]
    words = [*case.fit(folder), *own]
    run(capsys, "fit", name, "--method", method, *words, "--out", model, "--seed", "3")
    assert type(load(model)) is METHODS.load(method)
    assert load(model).seed_ == 3
    assert (model / CONFIGURATION).is_file()
    assert not model.with_name("model.training").exists()
    if case.apply:
        run(capsys, "apply", model, *case.apply(folder), "--out", tmp_path / case.applied)
        assert (tmp_path / case.applied).exists()
    if case.evaluate and "method" in inspect.signature(task.evaluate).parameters:
        run(capsys, "evaluate", model, *case.evaluate(folder), "--out", evaluation)
        judge(evaluation)
    if method != (case.on or task.methods[0]):
        return
    if hasattr(task, "page"):
        folders = [path for path in (model, evaluation) if path.exists()]
        run(capsys, "report", *folders[-1:], *case.page(folder))
        assert (folders[-1] / "report.html").stat().st_size > 1000
    if case.update:
        updated = tmp_path / "updated"
        run(capsys, "update", model, *case.update(folder), "--out", updated)
        assert type(load(updated)) is type(load(model))
        assert (updated / CONFIGURATION).read_text() == (model / CONFIGURATION).read_text()
    if case.export:
        printed = run(
            capsys, "export", model, *case.export(folder), "--out", tmp_path / case.exported
        )
        assert (tmp_path / case.exported).exists()
        assert "exported" in printed


@pytest.mark.parametrize("name", [n for n in NAMES if not hasattr(TASKS.load(n), "read")])
def test_a_task_without_a_fit_evaluates_files(name, files, tmp_path, capsys):
    case, evaluation = TASK_CASES[name], tmp_path / "evaluation"
    run(capsys, "evaluate", name, *case.evaluate(files[name]), "--out", evaluation)
    judge(evaluation)
    if hasattr(TASKS.load(name), "page"):
        run(capsys, "report", evaluation, *case.page(files[name]))
        assert (evaluation / "report.html").stat().st_size > 1000


def judge(evaluation):
    """An evaluation holds quantities, and says of which task and model they are."""
    assert read_results(evaluation / RESULTS)
    note = json.loads((evaluation / RESULTS).read_text())
    assert {"title", "task", "model", "command", "configuration"} <= set(note)


@pytest.mark.parametrize("name", sorted({name for name, _ in FITTED}))
def test_what_exists_is_not_overwritten(name, files, tmp_path, capsys):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("mine")
    case = TASK_CASES[name]
    words = [*case.fit(files[name]), "--out", tmp_path / "model"]
    assert "exists" in refused(capsys, "fit", name, *words)
    assert (tmp_path / "model" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", sorted({name for name, _ in FITTED}))
def test_a_file_that_is_missing_is_named(name, files, tmp_path, capsys):
    """Each file in turn: one sentence, exit code 2, and no folder is left."""
    words = [str(word) for word in TASK_CASES[name].fit(files[name])]
    here = [i for i, word in enumerate(words) if str(files[name]) in word]
    assert here
    for i in here:
        absent = [*words]
        absent[i] = words[i].replace(str(files[name]), str(tmp_path / "absent"))
        out = tmp_path / f"model{i}"
        assert "absent" in refused(capsys, "fit", name, *absent, "--out", out)
        assert not out.exists()
