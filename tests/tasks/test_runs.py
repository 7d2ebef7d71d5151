"""The folder of a run: one request, one process, and what a kill leaves."""

import os
import signal
import subprocess
import sys
import time

import pytest

from colliderkit.claims import claim
from colliderkit.cli import main
from colliderkit.errors import InputError
from colliderkit.files import alone
from colliderkit.tasks.runs import REQUEST, request_of
from contracts.cases import TASK_CASES


@pytest.fixture
def files(tmp_path):
    TASK_CASES["tagging"].write(tmp_path)
    return tmp_path


def words(folder, *more):
    given = TASK_CASES["tagging"].fit(folder)
    epochs = ("--training.epochs", "4", "--training.learning_rate", "0.01", "--seed", "1")
    return [str(word) for word in ("fit", "tagging", *given, *epochs, *more)]


def interrupted(monkeypatch, argv):
    """Run a fit that is interrupted after its first checkpoint."""
    from colliderkit.training.fit import Module

    def stop(self):
        if self.current_epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Module, "on_validation_epoch_start", stop, raising=False)
        assert main(argv) == 130


def test_another_request_is_not_gone_on_with(files, monkeypatch, capsys):
    """Seed, rate, network and the content of a file; the same request ends as if undisturbed."""
    whole, out = files / "whole", files / "out"
    assert main([*words(files), "--out", str(whole)]) == 0
    argv = [*words(files), "--out", str(out)]
    interrupted(monkeypatch, argv)
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
    assert "resume" in said
    assert (files / "out.training" / "last.ckpt").is_file()
    content = (files / "signal.parquet").read_bytes()
    for other, changed in (
        (["--seed", "2"], "seed"),
        (["--training.learning_rate", "0.02"], "training"),
        (["--network", "mlp"], "network"),
        (["--signal", str(files / "background.parquet")], "signal"),
        (["--validation", "0.3"], "validation"),
        (None, "signal.parquet"),
    ):
        if other is None:
            (files / "signal.parquet").write_bytes((files / "background.parquet").read_bytes())
        assert main([*argv, *(other or []), "--resume"]) == 2, changed
        said = capsys.readouterr().err
        assert "holds a training of another request" in said
        assert changed in said
    (files / "signal.parquet").write_bytes(content)
    assert main([*argv, "--resume"]) == 0
    first, second = (path / "weights.safetensors" for path in (whole, out))
    assert first.read_bytes() == second.read_bytes()
    assert not (files / "out.training").exists()


def claimed(folder, configuration):
    claim(folder, request_of(configuration), REQUEST, way_out="drop it")


def test_what_decides_nothing_may_differ(tmp_path):
    (tmp_path / "a").write_text("events")
    claimed(tmp_path / "work", f"out: x\nworkers: 1\nseed: 3\nfiles: [{tmp_path}/a]")
    (tmp_path / "work" / "last.ckpt").write_text("")
    claimed(tmp_path / "work", f"out: y\nworkers: 4\nseed: 3\nfiles: [{tmp_path}/a]")
    (tmp_path / "a").write_text("Events")
    with pytest.raises(InputError, match="another request") as error:
        claimed(tmp_path / "work", f"out: x\nseed: 3\nfiles: [{tmp_path}/a]")
    assert str(tmp_path / "a") in str(error.value)
    # Where nothing is kept yet, any request may begin.
    (tmp_path / "work" / "last.ckpt").unlink()
    claimed(tmp_path / "work", "seed: 4")


def test_checkpoints_of_no_known_request_are_refused(tmp_path):
    (tmp_path / "last.ckpt").write_text("")
    with pytest.raises(InputError, match="does not say of what request"):
        claimed(tmp_path, "seed: 1")


@pytest.mark.parametrize("more", [(), ("--resume",), ("--force",)])
def test_two_runs_in_one_folder(files, capsys, more):
    with alone(files / "out"):
        assert main([*words(files), "--out", str(files / "out"), *more]) == 2
    said = capsys.readouterr().err
    assert f"process {os.getpid()} is making it" in said
    assert not (files / "out").exists()


def test_a_lock_ends_with_its_process(tmp_path):
    code = (
        "import sys, time; from colliderkit.files import alone\n"
        "with alone(sys.argv[1]):\n print('held', flush=True); time.sleep(60)"
    )
    path = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {process.pid} "), alone(path):
            pass
        process.send_signal(signal.SIGKILL)
    with alone(path):
        pass
    assert not list(tmp_path.iterdir())


def test_no_folder_before_its_result_is_in_it(tmp_path):
    """`fit unfolding` is killed as soon as its folder could be seen; it is whole, or not there."""
    TASK_CASES["unfolding"].write(tmp_path)
    case = TASK_CASES["unfolding"]
    given = [str(w) for w in (*case.fit(tmp_path), *case.methods.get("omnifold", ()))]
    out = tmp_path / "out"
    command = [sys.executable, "-m", "colliderkit.cli", "fit", "unfolding", *given, "--out", out]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not any(tmp_path.glob(".out.part-*")) | out.exists():
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
    if out.exists():
        assert {"method.json", "weights.safetensors", "config.yaml", "unfolded.h5"} <= {
            path.name for path in out.iterdir()
        }
    else:
        assert (tmp_path / "out.training").exists()
        assert main(["fit", "unfolding", *given, "--out", str(out), "--resume"]) == 0
        assert (out / "unfolded.h5").is_file()
