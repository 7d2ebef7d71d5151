"""See what is in an event file: format, tables, columns, layout, units, labels, a first event."""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import Column, Kind, TableFile
from colliderkit.sources.files.formats import open_table
from colliderkit.sources.files.jets import read
from colliderkit.sources.files.layouts import find_layout

__all__ = ["Inspection", "inspect_file"]

ROWS_LOOKED_AT = 500
TABLES_LISTED = 100
SHOWERS = ({"incident_energies", "showers"}, {"energy", "layer_0", "layer_1", "layer_2"})
# What columns are usually called, in lower case.
ROLES = {
    "label": r"(is_?\w*(sig|signal|top|higgs)\w*|\w*label\w*|y|target|class|\w*truthlabelid|tag)",
    "weight": r"(w|weights?|\w+_?weights?(_\d+)?|weight_\w+)",
    "event": r"(event|event_?(number|id|no)|evt\w*|eventnumber)",
}
ENERGY = r"(p[txyz]|e|et|m|mass|energy|msd|ht|met)"
# A transverse momentum or mass beyond this, in the median, is hardly one in GeV.
LARGE = 3000.0


@dataclass(frozen=True)
class Inspection:
    """Hold what was seen in a file; only its first rows were read.

    - `form`, `size` [bytes]; `tables`: the trees, keys or arrays with their lengths or shapes;
    - `rows`, `columns`, `layout` of the table that would be read, and `undecided`, the sentence
      that says why none would be;
    - `roles`: columns by what their names say they are: label, weight, event;
    - `units`: "GeV" or "MeV" of columns of energies, with how this is known;
    - `first`: the values of the first event; `said`: what a reader would say;
    - `jets`: of a known layout, the events looked at, their particles and labels.
    """

    path: Path
    form: str
    size: int
    tables: Mapping[str, str]
    rows: int
    columns: Mapping[str, Kind]
    layout: str
    roles: Mapping[str, Sequence[str]]
    units: Mapping[str, str]
    first: Mapping[str, Any]
    said: Sequence[str]
    undecided: str
    jets: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """What one row is: "showers", "pairs", "jets", "particles" without a layout, "table"."""
        if any(names <= set(self.tables) for names in SHOWERS):
            return "showers"
        if any(name.startswith("truth.") for name in self.columns) and "pass_reco" in self.columns:
            return "pairs"
        if self.layout:
            return "jets"
        levels = [kind.level for kind in self.columns.values()]
        if 0 not in levels and 1 in levels:
            return "particles"
        return "table" if 0 in levels else "nothing"


def inspect_file(
    path: str | Path, *, tree: str | None = None, layout: str | None = None
) -> Inspection:
    """Return what the package sees in one file, reading no more than its first rows.

    A file of several tables, of which none is chosen, is no error here: they are listed. Raises
    `InputError` for a file that is missing, broken or of an unknown format, and for a `tree` or
    `layout` that it does not have.
    """
    path = existing_file(path)
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        tables = tables_of(path)
        try:
            table = open_table(path, tree)
        except InputError as error:
            if tree is not None or not tables:
                raise
            return _undecided(path, tables, str(error))
        title, jets, undecided = _jets(table, path, tree, layout)
        raw, unread = _head(table)
    said += [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    said = [text.removeprefix(f"{path}: ") for text in dict.fromkeys([*said, *unread])]
    return Inspection(
        path=path,
        form=path.suffix.lower()[1:],
        size=path.stat().st_size,
        tables=tables,
        rows=table.rows,
        columns=table.columns,
        layout=title,
        roles=roles_of(table.columns, raw),
        units=units_of(table.columns, raw),
        first={name: first_of(column) for name, column in raw.items()},
        said=said,
        undecided=undecided,
        jets=jets,
    )


def _undecided(path: Path, tables: Mapping[str, str], why: str) -> Inspection:
    size = path.stat().st_size
    why = why.removeprefix(f"{path}: ")
    return Inspection(path, path.suffix[1:], size, tables, 0, {}, "", {}, {}, {}, [], why, {})


def _jets(
    table: TableFile, path: Path, tree: str | None, layout: str | None
) -> tuple[str, dict[str, Any], str]:
    """Return the layout, what the first jets are like, and why they are not to be read."""
    found, _ = find_layout(table, layout)
    if found is None or not table.rows:
        return found.name if found else "", {}, ""
    try:
        jets = read(path, layout=layout, tree=tree, stop=min(table.rows, ROWS_LOOKED_AT))
    except InputError as error:
        return found.name, {}, str(error).removeprefix(f"{path}: ")
    counts = ak.to_numpy(ak.num(jets["constituents"]["px"]))
    pt = np.asarray(jets["jet_pt"])
    seen: dict[str, Any] = {
        "events": len(jets),
        "particles": float(counts.mean()),
        "empty": int((counts == 0).sum()),
        "pt": (float(pt.min()), float(pt.max())),
        "columns": [name for name in jets.fields if name != "constituents"],
        "particle columns": list(jets["constituents"].fields),
    }
    if "label" in jets.fields:
        values, numbers = np.unique(np.asarray(jets["label"]), return_counts=True)
        seen["labels"] = dict(zip(values.tolist()[:20], numbers.tolist(), strict=False))
    return found.name, seen, ""


def _head(table: TableFile) -> tuple[dict[str, Column], list[str]]:
    """Return the first rows of the columns that are numbers, and what cannot be read."""
    names = [name for name, kind in table.columns.items() if kind.level is not None]
    stop = min(table.rows, ROWS_LOOKED_AT)
    raw: dict[str, Column] = {}
    unread: list[str] = []
    if not stop:
        return raw, unread
    chosen = names[:200]
    try:
        _, raw = next(iter(table.chunks(chosen, 0, stop, stop)))
    except InputError:
        # One column that cannot be read does not hide the others.
        for name in chosen[:50]:
            try:
                raw |= next(iter(table.chunks([name], 0, stop, stop)))[1]
            except InputError as error:
                unread.append(str(error))
    return raw, unread


def tables_of(path: Path) -> dict[str, str]:
    """List the trees, keys or arrays of a file with their lengths; none where there is one table.

    At most a hundred are listed. Nothing is read but what the file says of itself; what cannot be
    listed is left to the reader, whose sentence says why.
    """
    listing = {".root": _trees, ".npz": _arrays}
    listing |= dict.fromkeys((".h5", ".hdf5", ".hdf"), _keys)
    try:
        return dict(islice(listing.get(path.suffix.lower(), _none)(path).items(), TABLES_LISTED))
    except InputError:
        raise
    except Exception:
        return {}  # a broken file: the reader says how


def _none(path: Path) -> dict[str, str]:
    return {}


def _trees(path: Path) -> dict[str, str]:
    import uproot

    from colliderkit.sources.files.root import KINDS

    with uproot.open(path) as file:
        keys = [key for key, kind in file.classnames().items() if kind in KINDS]
        return {key: f"{file[key].num_entries:,} entries" for key in keys[:TABLES_LISTED]}


def _keys(path: Path) -> dict[str, str]:
    import h5py

    from colliderkit.sources.files.frames import frame_format

    found: dict[str, str] = {}

    def see(name: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Dataset) and not any(name.startswith(f"{x}/") for x in found):
            fields = f", {len(item.dtype.names)} fields" if item.dtype.names else ""
            found[name] = f"{item.shape} {item.dtype if not fields else 'records'}{fields}"
        elif (form := frame_format(item)) is not None:
            rows = len(item["table" if form == "table" else "axis1"])
            found[name] = f"{rows:,} rows, pandas frame ({form})"
        return True if len(found) >= TABLES_LISTED else None

    with h5py.File(path, "r") as file:
        file.visititems(see)
        for key in islice(file, TABLES_LISTED):
            link = file.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                found[key] = f"a link to {link.path} in {link.filename}"
    return found


def _arrays(path: Path) -> dict[str, str]:
    import zipfile

    found: dict[str, str] = {}
    with zipfile.ZipFile(path) as archive:
        for member in islice(archive.infolist(), TABLES_LISTED):
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                header = np.lib.format.read_array_header_2_0
                if version == (1, 0):
                    header = np.lib.format.read_array_header_1_0
                shape, _, dtype = header(file)
                found[member.filename.removesuffix(".npy")] = f"{shape} {dtype}"
    return found


def roles_of(columns: Mapping[str, Kind], raw: Mapping[str, Column]) -> dict[str, list[str]]:
    """Return the columns of one number an event whose names are those of labels, weights, events.

    ``label_QCD``, ``label_Tbqq``, ... are labels, one column a class. Labels and numbers of events
    are whole: ``y`` may be a rapidity.
    """
    found: dict[str, list[str]] = {}
    for role, pattern in ROLES.items():
        for name, kind in columns.items():
            last = name.rsplit(".", 1)[-1].lower()
            numeric = kind.level == 0 or (role == "weight" and kind.level == 1)
            values = raw[name].values if name in raw else np.zeros(0)
            whole = role == "weight" or bool((values == np.floor(values)).all())
            if numeric and whole and re.fullmatch(pattern, last):
                found.setdefault(role, []).append(name)
    return found


def units_of(columns: Mapping[str, Kind], raw: Mapping[str, Column]) -> dict[str, str]:
    """Return the unit of columns of energies: as the file says, or by the size of the numbers."""
    units: dict[str, str] = {}
    for name, kind in columns.items():
        if kind.unit:
            units[name] = f"{kind.unit} (the file says so)"
            continue
        words = re.split(r"[\W_]+", name.lower())
        if not any(re.fullmatch(ENERGY, word) for word in words) or name not in raw:
            continue
        values = np.abs(raw[name].values.astype(np.float64))
        values = values[np.isfinite(values) & (values > 0)]
        if len(values):
            units[name] = "MeV (by its size)" if np.median(values) > LARGE else "GeV (by its size)"
    return units


def first_of(column: Column, most: int = 6) -> Any:
    """Return the value of the first row, or the first values of its particles."""
    if column.counts is None:
        return column.values[0].item() if len(column.values) else None
    count = int(column.counts[0]) if len(column.counts) else 0
    return [value.item() for value in column.values[: min(count, most)]] + ["..."] * (count > most)
