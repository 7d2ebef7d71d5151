"""What every study promises: its smoke scale runs, and leaves results and a page."""

import importlib
import inspect

import pytest

from colliderkit.cli import main
from colliderkit.report.results import read_results
from colliderkit.studies import STUDIES


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_the_smoke_scale_runs_from_the_command_line(name, tmp_path, capsys):
    out = tmp_path / name
    code = main(["study", name, "--scale", "smoke", "--out", str(out)])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert read_results(out / "results.json")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"colliderkit study {name}" in page
    assert "smoke" in page
    # The folder is somebody's now: it is not overwritten.
    assert main(["study", name, "--scale", "smoke", "--out", str(out)]) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_says_what_it_reproduces(name):
    module = importlib.import_module(STUDIES[name].partition(":")[0])
    assert module.__doc__
    assert len(inspect.getsource(module).splitlines()) <= 300
