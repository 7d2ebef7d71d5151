"""Monitors of lumi sections in files: Parquet, ROOT trees and ROOT histograms; run-wise scores."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.monitors import MonitorRuns, check_order
from colliderkit.events.tables import Floats, Ints
from colliderkit.files import atomic_file, existing_file
from colliderkit.sources.files.columns import missing, readable, shorten
from colliderkit.sources.files.formats import Paths, paths_of

__all__ = ["ScoreTable", "read_monitors", "read_run_scores", "write_monitors"]

# What a column is usually called, tried in this order.
RUN = ("run", "run_number", "runnumber", "run_id")
SECTION = ("section", "lumi_section", "ls", "ls_number", "lumi", "luminosityblock")
DAY = ("date", "day", "start_time")
LUMINOSITY = ("luminosity", "recorded_luminosity", "lumi_recorded")
LABEL = ("good", "label", "quality", "is_good")
MEANS = ("time", "timing", "mean_time")
# How people write that a run is good, or not.
WORDS = {
    **dict.fromkeys(("good", "true", "yes", "ok", "pass", "golden"), True),
    **dict.fromkeys(("bad", "false", "no", "not ok", "fail"), False),
}
FOLDER = re.compile(r"(?:run)?[ _]*0*(\d+)$", re.IGNORECASE)
STRETCH = re.compile(r"(?:ls|section|lumi)?[ _]*0*(\d+)$", re.IGNORECASE)
SHORT = 6  # columns that are named in a line


@dataclass(frozen=True)
class ScoreTable:
    """Hold run-wise scores in the order of time.

    - `run` (N,) int64, rising; `values` (N, C) of `names` (C,), finite;
    - `good` (N,), the label of a run, or None; `said`: in words, what was taken for what.
    """

    run: Ints
    values: Floats
    names: tuple[str, ...]
    good: NDArray[np.bool_] | None
    said: str

    def __len__(self) -> int:
        return len(self.run)

    def at(self, rows: Any) -> "ScoreTable":
        """Return some of the runs."""
        good = None if self.good is None else self.good[rows]
        return ScoreTable(self.run[rows], self.values[rows], self.names, good, self.said)


def read_monitors(
    path: Paths,
    *,
    monitors: Sequence[str] | None = None,
    means: Sequence[str] | None = None,
    good: str | float | None = None,
    tree: str | None = None,
) -> MonitorRuns:
    """Read maps and histograms of lumi sections, a row a section, from Parquet or ROOT.

    Columns are `run`, `section` and, where they are there, `date`, `luminosity` and a label of the
    run; each list of numbers (histograms) or of lists (maps) is a monitor. A ROOT file without a
    tree holds histograms in folders ``RUN/SECTION/NAME``, such as ``run_380001/ls_12/occupancy``.

    - `monitors`: those to be read, all if not given; `means`: those of them that are no counts but
      means in the bins of another ("time" is one if nothing is named);
    - `good`: the value of the label of a good run, where it is neither "good" nor "bad".

    Raises `InputError` for a file that is broken, a column that is absent, bins that change between
    sections, and as `MonitorRuns.checked` does.
    """
    parts: list[dict[str, Any]] = []
    paths = paths_of(path)
    for file in paths:
        columns = _columns(existing_file(file), tree)
        parts.append(_part(file, columns, monitors, good))
    what = ", ".join(map(str, paths[:3]))
    names = [name for name in parts[0]["monitors"]]
    for file, part in zip(paths, parts, strict=True):
        differ = sorted(set(part["monitors"]) ^ set(names))
        if differ:
            raise InputError(
                f"{paths[0]} and {file} differ in the monitors {shorten(differ)}; name those to be"
                " read with monitors."
            )
        for name in names:
            first, found = (x["monitors"][name].shape[1:] for x in (parts[0], part))
            if first != found:
                have, want = (" x ".join(map(str, shape)) for shape in (found, first))
                raise InputError(
                    f"{file}: monitor '{name}' has {have} bins, and {want} in {paths[0]}: its"
                    " binning changes between runs; read each binning by itself."
                )
    for key in ("day", "good", "luminosity"):
        if len({part[key] is None for part in parts}) > 1:
            lacking = next(f for f, p in zip(paths, parts, strict=True) if p[key] is None)
            raise InputError(
                f"{lacking}: has no {'date' if key == 'day' else key}, which others of the files"
                " have; read them apart."
            )
    joined: dict[str, Any] = {
        key: None if parts[0][key] is None else np.concatenate([part[key] for part in parts])
        for key in ("run", "section", "luminosity", "day", "good")
    }
    values = {name: np.concatenate([p["monitors"][name] for p in parts]) for name in names}
    if absent := [name for name in means or () if name not in values]:
        raise InputError(f"{what}: has no monitor '{absent[0]}', which means names.")
    averaged = set(means) if means is not None else {n for n in names if n.lower() in MEANS}
    return MonitorRuns.checked(
        joined["run"],
        joined["section"],
        {name: v for name, v in values.items() if name not in averaged},
        means={name: v for name, v in values.items() if name in averaged},
        luminosity=joined["luminosity"],
        day=joined["day"],
        good=joined["good"],
        what=what,
    )


def write_monitors(path: str | Path, runs: MonitorRuns, *, force: bool = False) -> Path:
    """Write runs as Parquet or ROOT, a row a lumi section, as `read_monitors` reads them."""
    each = np.diff(runs.offsets)
    columns: dict[str, NDArray[Any]] = {"run": np.repeat(runs.run, each), "section": runs.section}
    columns["luminosity"] = runs.luminosity
    if runs.day is not None:
        columns["date"] = np.repeat(runs.day, each)
    if runs.good is not None:
        columns["good"] = np.repeat(runs.good, each)
    columns |= {**runs.counts, **runs.means}
    path = Path(path)
    if path.suffix.lower() == ".root":
        import uproot

        with atomic_file(path, force) as part, uproot.recreate(part) as file:
            file.mktree("sections", {n: (v.dtype, v.shape[1:]) for n, v in columns.items()})
            file["sections"].extend(columns)
        return path
    if path.suffix.lower() not in (".parquet", ".pq"):
        raise InputError(f"{path}: unknown extension; monitors are written as .parquet or .root.")
    # Without regular types, other readers of Parquet see plain lists of lists.
    lists = {n: ak.from_regular(ak.from_numpy(v), axis=None) for n, v in columns.items()}
    with atomic_file(path, force) as part:
        ak.to_parquet(ak.zip(lists, depth_limit=1), part, extensionarray=False)
    return path


def read_run_scores(
    path: Paths,
    *,
    scores: Sequence[str] | None = None,
    run: str | None = None,
    label: str | None = None,
    good: str | float | None = None,
) -> ScoreTable:
    """Read a table with a run a row: its number, scores and perhaps a label, from CSV or Parquet.

    - `scores`: columns of numbers; if not given all but the run, the date, the luminosity and the
      label;
    - `run`, `label`: their columns, found by their usual names if not given;
    - `good`: the value of the label of a good run, where it says neither "good" nor "bad", and its
      column is not called so.

    Rows are put in the order of the run. Raises `InputError` for a run that is there twice, dates
    out of order, a label that cannot be told and a score that is not finite.
    """
    paths = paths_of(path)
    tables = [_texts(existing_file(file)) for file in paths]
    what = ", ".join(map(str, paths[:3]))
    for file, table in zip(paths, tables, strict=True):
        if differ := sorted(set(table) ^ set(tables[0])):
            raise InputError(f"{paths[0]} and {file} differ in the columns {shorten(differ)}.")
    columns = {name: [x for table in tables for x in table[name]] for name in tables[0]}
    number = _named(what, columns, run, RUN, "run")
    runs = _whole(what, number, columns[number])
    day = _named(what, columns, None, DAY, None)
    mark = _named(what, columns, label, LABEL, None)
    aside = {number, day, mark, _named(what, columns, None, LUMINOSITY, None)}
    chosen = list(scores or [n for n, v in columns.items() if n not in aside and _numeric(v)])
    for name in chosen:
        if name not in columns:
            raise missing(paths[0], name, columns)
        if not _numeric(columns[name]):
            raise InputError(f"{what}: column '{name}' holds no numbers; choose other scores.")
    if not chosen:
        raise InputError(f"{what}: has no column of numbers beside {number}; name the scores.")
    order = np.argsort(runs, kind="stable")
    runs = runs[order]
    days = None if day is None else _days(what, columns[day])[order]
    check_order(runs, days, what)
    values = np.array([columns[n] for n in chosen], dtype=np.float64).T[order]
    if (bad := ~np.isfinite(values)).any():
        i, j = (int(x) for x in np.argwhere(bad)[0])
        raise InputError(
            f"{what}: column '{chosen[j]}' is {values[i, j]} in run {runs[i]}; mend it or drop the"
            " run."
        )
    truth = None if mark is None else _good(what, mark, columns[mark], good)[order]
    if truth is None and good is not None:
        raise InputError(f"{what}: good is '{good}', and there is no label; name its column.")
    said = f"read {what}: {len(runs)} runs, {runs[0]} to {runs[-1]} ({number})"
    said += f"; scores {', '.join(chosen[:SHORT])}"
    said += f" and {len(chosen) - SHORT} more" if len(chosen) > SHORT else ""
    left = [n for n in columns if n not in chosen and n not in aside]
    said += f"; not used: {shorten(left)}" if left else ""
    if truth is not None:
        said += f"; {int(truth.sum())} good and {int((~truth).sum())} bad by {mark}"
    return ScoreTable(runs, values, tuple(chosen), None if truth is None else truth, said)


def _columns(path: Path, tree: str | None) -> Mapping[str, Any]:
    """Return the columns of a file as arrays, lists and lists of lists."""
    match path.suffix.lower():
        case ".parquet" | ".pq":
            if tree is not None:
                raise InputError(f"{path}: has no trees, and tree is '{tree}'; leave it out.")
            with readable(path, "Parquet"):
                table = ak.from_parquet(path)
            return {name: table[name] for name in table.fields}
        case ".root":
            import uproot

            with readable(path, "ROOT"), uproot.open(path) as file:
                kinds = file.classnames(cycle=False)
                trees = [name for name, kind in kinds.items() if kind in ("TTree", "ROOT::RNTuple")]
                if tree is None and not trees:
                    return _histograms(path, file, kinds)
                if tree is None and len(trees) > 1:
                    raise InputError(f"{path}: name one of its trees ({shorten(trees)}) by tree.")
                if tree is not None and tree not in trees:
                    raise InputError(f"{path}: no tree '{tree}'; its trees are: {shorten(trees)}.")
                table = file[tree or trees[0]].arrays()
            return {name: table[name] for name in table.fields}
        case suffix:
            raise InputError(
                f"{path}: unknown extension '{suffix}'; monitors are read from .parquet and .root."
            )


def _histograms(path: Path, file: Any, kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return the histograms of ``RUN/SECTION/NAME`` as columns."""
    rows: dict[tuple[int, int], dict[str, NDArray[Any]]] = {}
    for key, kind in kinds.items():
        parts = key.split("/")
        if not kind.startswith(("TH1", "TH2", "TProfile")) or len(parts) < 3:
            continue
        folder, stretch = FOLDER.match(parts[-3]), STRETCH.match(parts[-2])
        if folder and stretch:
            place = int(folder[1]), int(stretch[1])
            rows.setdefault(place, {})[parts[-1]] = file[key].values()
    if not rows:
        raise InputError(
            f"{path}: holds neither a tree nor histograms in folders RUN/SECTION/NAME, such as"
            " run_380001/ls_12/occupancy; write one of these."
        )
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    for (run, section), row in rows.items():
        if lacking := [name for name in names if name not in row]:
            raise InputError(
                f"{path}: lumi section {section} of run {run} has no histogram '{lacking[0]}';"
                " write it, with zeros if it is empty, or name others as monitors."
            )
    places = np.array(list(rows))
    columns: dict[str, Any] = {"run": places[:, 0], "section": places[:, 1]}
    for name in names:
        first = next(iter(rows.values()))[name].shape
        for (run, section), row in rows.items():
            if row[name].shape != first:
                have, want = (" x ".join(map(str, s)) for s in (row[name].shape, first))
                raise InputError(
                    f"{path}: monitor '{name}' has {have} bins in lumi section {section} of run"
                    f" {run}, and {want} before: its binning changes; read each by itself."
                )
        columns[name] = np.stack([row[name] for row in rows.values()])
    return columns


def _part(
    path: Path, columns: Mapping[str, Any], monitors: Sequence[str] | None, good: Any
) -> dict[str, Any]:
    """Return what a file holds of sections and monitors."""
    what = str(path)
    run = np.asarray(columns[_named(what, columns, None, RUN, "run")])
    if len(run) == 0:
        raise InputError(f"{path}: holds no lumi sections; check the file.")
    section = np.asarray(columns[_named(what, columns, None, SECTION, "lumi section")])
    names = list(monitors or [n for n, values in columns.items() if values.ndim > 1])
    if not names:
        raise InputError(f"{path}: has no monitors, columns with a list of numbers a lumi section.")
    found = {}
    for name in names:
        if name not in columns:
            raise missing(path, name, columns)
        found[name] = _regular(path, name, columns[name], run)
    scalars = {n: values for n, values in columns.items() if n not in names and values.ndim == 1}
    optional = {
        key: _named(what, scalars, None, known, None)
        for key, known in (("day", DAY), ("luminosity", LUMINOSITY), ("good", LABEL))
    }
    part: dict[str, Any] = {"run": run, "section": section, "monitors": found}
    for key, name in optional.items():
        part[key] = None if name is None else ak.to_list(columns[name])
    if part["day"] is not None:
        part["day"] = _days(what, part["day"])
    if part["luminosity"] is not None:
        part["luminosity"] = np.array(part["luminosity"], dtype=np.float64)
    if part["good"] is not None:
        part["good"] = _good(what, str(optional["good"]), part["good"], good)
    return part


def _regular(path: Path, name: str, values: Any, run: NDArray[Any]) -> NDArray[Any]:
    """Return a monitor of T sections as one array, (T, ...)."""
    if isinstance(values, np.ndarray):
        return values
    sizes = [np.asarray(ak.num(values, axis=1))]
    if values.ndim > 2:
        inner = ak.num(values, axis=2)
        sizes += [np.asarray(ak.max(inner, axis=1)), np.asarray(ak.min(inner, axis=1))]
    for size in sizes:
        other = size != sizes[0 if size is sizes[0] else 1][0]
        if np.any(np.asarray(other)):
            row = int(np.argmax(other))
            raise InputError(
                f"{path}: monitor '{name}' has {size[row]} bins in run {run[row]} and {size[0]} in"
                f" run {run[0]}: its binning changes between runs; read each binning by itself."
            )
    try:
        return np.asarray(ak.to_numpy(values))
    except ValueError as error:
        raise InputError(
            f"{path}: monitor '{name}' is no map of numbers, a list or lists of equal lengths."
        ) from error


def _texts(path: Path) -> dict[str, list[Any]]:
    """Return the columns of a CSV or Parquet file as lists, texts among them."""
    import pyarrow.parquet

    match path.suffix.lower():
        case ".csv" | ".tsv":
            from colliderkit.sources.files.csv import CsvTable

            return CsvTable(path).lists()
        case ".parquet" | ".pq":
            with readable(path, "Parquet"):
                table: dict[str, list[Any]] = pyarrow.parquet.read_table(path).to_pydict()
            return table
        case suffix:
            raise InputError(
                f"{path}: unknown extension '{suffix}'; run-wise scores are read from .csv and"
                " .parquet."
            )


def _named(
    what: str, columns: Mapping[str, Any], given: str | None, known: Sequence[str], need: str | None
) -> Any:
    """Return the name of a column: as given, or by its usual names; None where there is none."""
    if given is not None:
        if given not in columns:
            raise missing(Path(what), given, columns)
        return given
    found = {name.lower(): name for name in reversed(list(columns))}
    name = next((found[k] for k in known if k in found), None)
    if name is None and need is not None:
        raise InputError(
            f"{what}: has no column of the {need} ({', '.join(known)}); its columns are"
            f" {shorten(list(columns))}."
        )
    return name


def _numeric(values: Sequence[Any]) -> bool:
    return any(x is not None for x in values) and all(
        x is None or (isinstance(x, int | float) and not isinstance(x, bool)) for x in values
    )


def _whole(what: str, name: str, values: Sequence[Any]) -> Ints:
    for row, value in enumerate(values):
        if not isinstance(value, int | float) or value != value or value != int(value):
            raise InputError(
                f"{what}: '{name}' is {value} in row {row} (counted from 0); give whole numbers."
            )
    return np.array(values, dtype=np.int64)


def _days(what: str, values: Sequence[Any]) -> Ints:
    """Return days since 1970-01-01 of dates, ISO texts, or numbers of days."""
    try:
        if _numeric(values):
            return np.array(values, dtype=np.int64)
        texts = [str(value).strip().replace(" ", "T", 1).split("+")[0] for value in values]
        return np.array(texts, dtype="datetime64[D]").astype(np.int64)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{what}: a date cannot be read ({error}); write it as 2024-05-31."
        ) from error


def _good(what: str, name: str, values: Sequence[Any], good: Any) -> NDArray[np.bool_]:
    """Return which labels say that a run is good."""
    present = list(dict.fromkeys(str(value) for value in values))
    if good is not None:
        number = {float(x): x for x in present if _is_number(x)}
        word = str(good) if str(good) in present else number.get(_as_number(good))
        if word is None:
            raise InputError(
                f"{what}: '{name}' is never {good}; its values are {shorten(present)}."
            )
        return np.array([str(value) == word for value in values])
    truths = dict(_truths(name, present))
    unknown = [value for value in present if value not in truths]
    if unknown:
        raise InputError(
            f"{what}: '{name}' is {unknown[0]}, which says neither good nor bad; name the value of"
            " good runs by good."
        )
    return np.array([truths[str(value)] for value in values])


def _truths(name: str, present: Sequence[str]) -> Iterator[tuple[str, bool]]:
    for value in present:
        if (word := value.strip().lower()) in WORDS and (
            word not in ("true", "false", "yes", "no") or "good" in name.lower()
        ):
            yield value, WORDS[word]
        elif "good" in name.lower() and _is_number(value) and float(value) in (0.0, 1.0):
            yield value, float(value) == 1.0


def _is_number(text: str) -> bool:
    return _as_number(text) is not None


def _as_number(text: Any) -> Any:
    try:
        return float(text)
    except ValueError:
        return None
