"""Odd and damaged files, in each format, under the verbs that read: read, or one sentence.

Files are drawn: sound ones of odd content, and sound ones that are then cut, flipped or renamed.
None may end in exit code 1, in a traceback or with a part of an output.
"""

import shutil
import warnings
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import colliderkit.cli.fit as fit
from colliderkit.cli import main
from colliderkit.sources.files.formats import open_table
from colliderkit.tasks.task import Task

FORMATS = ("root", "rntuple", "h5", "compound", "parquet", "npz", "npy", "csv")
SUFFIX = {"rntuple": "root", "compound": "h5"}
NAMES = ("x", "px", "pt", "label", "weight", "event", "péta", "a b", "x[0]", "E_0", "E_1", "é" * 40)
DTYPES = ("f4", "f8", "f2", "i4", "i8", "u8", "i1", "?", "S3", "c8", "M8[s]")
VALUES = (0.0, 1.0, -1.0, np.nan, np.inf, -999.0, 1e300, 1e-300, 2.0**63, 0.5)
DAMAGE = ("none", "none", "cut", "half", "empty", "flipped", "garbage", "appended")


@st.composite
def columns(draw: Any) -> dict[str, Any]:
    """Draw columns of odd names, types, values and lengths, some of them lists."""
    rows = draw(st.sampled_from([0, 1, 3, 20]))
    found: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)):
        length = draw(st.sampled_from([rows, rows, rows, rows + 1]))
        size = draw(st.sampled_from([(), (), (4,), (3, 4)]))
        value = draw(st.sampled_from(VALUES))
        kind = draw(st.sampled_from(DTYPES))
        numbers = np.arange(length * int(np.prod(size))) % 3 + 0.25
        numbers = np.where(np.arange(numbers.size) % 7 == 1, value, numbers).reshape(length, *size)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if kind[0] in "iu" or kind[0] == "M":
                numbers = np.nan_to_num(numbers, nan=0, posinf=9, neginf=0)
                kind, numbers = kind, numbers.astype("i8") if kind[0] == "M" else numbers
            found[name] = numbers.astype(kind)
    return found


def stored(path: Path, form: str, table: dict[str, Any]) -> None:
    """Write columns as far as the format takes them; raises where it does not."""
    if form in ("root", "rntuple"):
        with uproot.recreate(path) as file:
            if form == "root":
                file.mktree("t", {n: np.dtype((x.dtype, x.shape[1:])) for n, x in table.items()})
                file["t"].extend(table)
            else:
                file["t"] = table
    elif form == "h5":
        with h5py.File(path, "w") as file:
            for name, values in table.items():
                file[name] = values
    elif form == "compound":
        length = min(map(len, table.values()))
        rows = np.zeros(length, [(n, x.dtype, x.shape[1:]) for n, x in table.items()])
        for name, values in table.items():
            rows[name] = values[:length]
        with h5py.File(path, "w") as file:
            file["rows"] = rows
    elif form == "parquet":
        ak.to_parquet(ak.Array({n: ak.Array(x) for n, x in table.items()}), path)
    elif form == "npz":
        np.savez(path, **table)
    elif form == "npy":
        np.save(path, next(iter(table.values())))
    else:
        lines = [",".join(table)]
        lines += [
            ",".join(
                str(np.ravel(x[i])[0]) if len(x) > i and x[i].size else "" for x in table.values()
            )
            for i in range(max(map(len, table.values())))
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def damage(path: Path, how: str, place: float) -> None:
    data = bytearray(path.read_bytes())
    at = int(place * max(len(data) - 1, 0))
    if how == "cut":
        data = data[:at]
    elif how == "half":
        data = data[: len(data) // 2]
    elif how == "empty":
        data = bytearray()
    elif how == "flipped" and data:
        data[at] ^= 255
    elif how == "garbage":
        data[at : at + 64] = bytes(range(64))
    elif how == "appended":
        data += b"\0" * 100
    path.write_bytes(bytes(data))


class Read(Exception):
    """All that the verb reads has been read."""


def verbs(path: Path, table: dict[str, Any], pick: int) -> list[list[str]]:
    """Return the words of inspect, fit tagging and fit ratio on a file."""
    names = list(table)
    name = names[pick % len(names)]
    other = names[(pick + 1) % len(names)]
    quoted = name if name.isidentifier() and name.isascii() else f"`{name}`"
    out = ["--out", str(path.with_name("out"))]
    flat = ["--label", other if other.isidentifier() else "label", "--features", quoted]
    ratio = ["fit", "ratio", "--numerator", str(path), "--denominator", str(path)]
    return [
        ["inspect", str(path)],
        ["fit", "tagging", "--files", str(path), *flat, "--network", "mlp", *out],
        [
            "fit",
            "tagging",
            "--signal",
            str(path),
            "--background",
            str(path.with_name(f"copy{path.suffix}")),
            *out,
        ],
        [*ratio, "--columns", quoted, *out],
        [*ratio, "--columns", f"{{constituents.{name}: {quoted}}}", "--network", "pfn", *out],
    ]


@pytest.fixture
def reading_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `fit` read its files to the end, and train nothing."""

    def read_all(self: Task, inputs: Any, **where: Any) -> None:
        for value in inputs.arguments.values():
            if hasattr(value, "__next__"):
                list(value)
        raise Read

    monkeypatch.setattr(Task, "fit", read_all)
    assert fit.main


CASES = 70  # files, under five verbs each


@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    table=columns(),
    form=st.sampled_from(FORMATS),
    how=st.sampled_from(DAMAGE),
    place=st.floats(0, 1),
    pick=st.integers(0, 3),
)
def test_a_file_is_read_or_refused(
    table, form, how, place, pick, tmp_path_factory, reading_alone, capsys
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    path = folder / f"file.{SUFFIX.get(form, form)}"
    try:
        stored(path, form, table)
    except Exception:
        path.unlink(missing_ok=True)
        path.write_bytes(b"")  # the format does not hold this: a file that was begun
    damage(path, how, place)
    shutil.copy(path, path.with_name(f"copy{path.suffix}"))
    before = sorted(x.name for x in folder.iterdir())
    for words in verbs(path, table, pick):
        words = [
            word.replace(f"{path}.copy", str(path.with_name(f"copy{path.suffix}")))
            for word in words
        ]
        try:
            code = main(words)
        except Read:
            code = 0
        printed = capsys.readouterr()
        assert code in (0, 2), (words, printed.err)
        said = [
            line
            for line in printed.err.strip().splitlines()
            if line and not line.startswith("colliderkit: warning: ")
        ]
        assert len(said) == (code == 2), (words, printed.err)
        assert "Traceback" not in printed.err
        assert all(line.startswith("colliderkit: ") for line in said), printed.err
        assert sorted(x.name for x in folder.iterdir()) == before
    shutil.rmtree(folder)


@pytest.mark.parametrize("form", FORMATS)
def test_the_files_that_are_drawn_can_be_read(form: str, tmp_path: Path) -> None:
    """So that what is tested above is not only what is refused."""
    path = tmp_path / f"file.{SUFFIX.get(form, form)}"
    stored(path, form, {"x": np.arange(4.0), "y": np.arange(4)})
    assert open_table(path).rows == 4
