"""Inputs that were made to do harm, or are damaged: one sentence, little time and memory."""

import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import pytest

import colliderkit.cli as cli
from colliderkit.cli import main
from colliderkit.methods.method import DESCRIPTION, FORMAT
from colliderkit.sources import write

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{c}: &{c} [{','.join([f'*{p}'] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)


def refused(capsys, *words) -> str:
    begin = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert main([str(word) for word in words]) == 2
    printed = capsys.readouterr().err
    assert len(printed.strip().splitlines()) == 1, printed
    assert len(printed) < 1000
    assert time.perf_counter() - begin < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2_000_000  # kB
    return printed


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (LAUGHS + "signal: *i\n", "an alias stands for a value"),
        ("signal: " + "[" * 100_000, "nested more than"),
        ("signal: " + "{a: " * 1_000, "nested more than"),
        ("signal: [a", "is no YAML of options"),
        (b"signal: \xff\xfe\n", "is not UTF-8"),
        ("a: b\n" * 300_000, "has more than 1000000 bytes"),
        ("signal: !!python/object/apply:os.system [true]", "is no YAML of options"),
        ("seed: 1:30", "1:30 is no decimal number"),
        ("seed: 010", "010 is no decimal number"),
    ],
)
def test_a_file_of_options_that_is_none(tmp_path, capsys, content, sentence):
    path = tmp_path / "options.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = refused(capsys, "fit", "tagging", "--config", path, "--out", tmp_path / "out")
    assert str(path) in said
    assert sentence in said
    assert [p.name for p in tmp_path.iterdir()] == ["options.yaml"]


@pytest.mark.parametrize("words", [("--seed", "1:30"), ("--seed=010",), ("--validation", "0:10")])
def test_numbers_of_another_base(tmp_path, capsys, words):
    said = refused(capsys, "fit", "tagging", *words, "--out", tmp_path / "out")
    assert "is no decimal number" in said
    assert words[0].partition("=")[0] in said


@pytest.mark.parametrize("words", [("--columns", "{}"), ("--columns={}",)])
def test_a_bomb_in_an_option(tmp_path, capsys, words):
    bomb = LAUGHS.replace("\n", ", ").replace("a: ", "{a: ", 1) + "z: *i}"
    for value, sentence in ((bomb, "an alias stands for"), ("[" * 5000, "nested more than")):
        given = [word.replace("{}", value) for word in words]
        said = refused(capsys, "fit", "tagging", *given, "--out", tmp_path / "out")
        assert said.startswith("colliderkit: --columns: ")
        assert sentence in said


GOOD = {"format": FORMAT, "method": "tagging", "parameters": {}, "fitted": {}, "sha256": "0"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[" * 100_000, "damaged"),
        ("[]", "damaged"),
        ("{}", "damaged"),
        ("7", "damaged"),
        ('"text"', "damaged"),
        (b"\xff\xfe", "damaged"),
        *(
            (json.dumps({k: v for k, v in GOOD.items() if k != name}), f"(it has no {name})")
            for name in ("method", "parameters", "fitted", "sha256")
        ),
        (json.dumps(GOOD | {"method": ["x"]}), "unknown method"),
    ],
)
def test_a_description_that_is_none(tmp_path, capsys, content, sentence):
    model = tmp_path / "model"
    model.mkdir()
    data = content if isinstance(content, bytes) else content.encode()
    (model / DESCRIPTION).write_bytes(data)
    said = refused(capsys, "apply", model, "--files", "x.root", "--out", tmp_path / "o.root")
    assert DESCRIPTION in said
    assert sentence in said


@pytest.mark.parametrize("parameters", [[], 7, {"hidden": 3}, {"training": {"epochs": -1}}])
@pytest.mark.parametrize("fitted", [{}, [], {"model_": {"module": "x"}}, {"range_": 5}])
def test_a_description_of_other_things(tmp_path, capsys, parameters, fitted):
    import hashlib

    from safetensors.torch import save

    model = tmp_path / "model"
    model.mkdir()
    weights = save({})
    (model / "weights.safetensors").write_bytes(weights)
    note = GOOD | {"parameters": parameters, "fitted": fitted}
    note["sha256"] = hashlib.sha256(weights).hexdigest()
    (model / DESCRIPTION).write_text(json.dumps(note))
    assert str(model) in refused(
        capsys, "apply", model, "--files", "x.root", "--out", tmp_path / "o.root"
    )


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "{}", "7"])
def test_an_evaluation_that_is_none(tmp_path, capsys, content):
    (tmp_path / "results.json").write_text(content)
    assert "results.json" in refused(capsys, "report", tmp_path)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_an_infinite_weight_is_named(tmp_path, capsys, value):
    random = np.random.default_rng(0)
    for name in ("one", "two"):
        weight = np.ones(200)
        weight[7] = value if name == "one" else 1.0
        write(tmp_path / f"{name}.root", {"x": random.normal(size=200), "w": weight})
    said = refused(
        capsys, "fit", "ratio", "--numerator", tmp_path / "one.root",
        "--denominator", tmp_path / "two.root", "--columns", "x", "--weight", "w",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert "7" in said
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.training").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 3.2 TiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA out of memory. Tried to allocate 20 GiB"),
        ValueError("array is too big; `arr.size * arr.dtype.itemsize` is larger than the maximum"),
        OverflowError("Python int too large to convert to C long"),
        RecursionError("maximum recursion depth exceeded"),
    ],
)
def test_what_is_too_large_is_said(monkeypatch, capsys, error):
    def fails(argv):
        raise error

    monkeypatch.setattr(cli.import_module("colliderkit.cli.fetch"), "main", fails)
    said = refused(capsys, "fetch", "x")
    assert "memory" in said or "nested" in said


def test_an_error_of_ours_is_not_hidden(monkeypatch):
    def fails(argv):
        raise RuntimeError("a mistake in the package")

    monkeypatch.setattr(cli.import_module("colliderkit.cli.fetch"), "main", fails)
    with pytest.raises(RuntimeError, match="a mistake"):
        main(["fetch", "x"])


def test_ctrl_c_prints_one_line(tmp_path):
    """Of a program that was interrupted at any moment after its imports."""
    code = (
        "import os, signal, sys, threading\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import colliderkit.sources.geant4.gflash as gflash\n"
        "from colliderkit.cli import main\n"
        "draw = gflash.showers\n"
        "def showers(*args, **options):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return draw(*args, **options)\n"
        "gflash.showers = showers\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    words = ["generate", "photons-368", "3", "--simulation", "gflash", "--out"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words, tmp_path / "o.hdf5"],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert done.returncode == 130
    assert done.stderr == "colliderkit: interrupted; what was complete is kept.\n"
    assert not list(tmp_path.iterdir())
