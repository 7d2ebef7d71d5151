"""Events with pileup in files: particles with the vertex of each, from Parquet, ROOT or HDF5."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.pileup import UNKNOWN, Particles
from colliderkit.sources.files.columns import Column, Kind, missing, shorten
from colliderkit.sources.files.expressions import Expression, quoted
from colliderkit.sources.files.formats import Paths, open_table, paths_of
from colliderkit.sources.files.momenta import collections

__all__ = ["ROLES", "read_collisions"]

# What a column is usually called, after the collection's name for those of particles.
OF_PARTICLES = {
    "vertex": ("vertex", "vertex_id", "vertexid", "vtx", "vtx_id", "vertex_index"),
    "from_pv": ("from_pv", "frompv", "is_pv", "ispv", "is_leading"),
    "charge": ("charge", "q"),
    "truth": ("truth", "hard_fraction", "is_hard", "ishard", "from_hard"),
    "z0": ("z0", "dz"),
    "z0_error": ("z0_error", "z0err", "dz_error", "dzerr"),
    "time": ("time",),  # ps
}
OF_EVENTS = {
    "vertices": ("vertices", "n_vertices", "npv", "nvtx", "pv_npvs"),
    "interactions": ("interactions", "npu", "pileup_npu", "n_interactions"),
    "event": ("event", "event_number"),
    "weight": ("weight", "genweight"),
}
# Lists an event, of other lengths: the true vertices along the beams, and their times.
PLACES = ("vertex_z", "vertex_time")
ROLES = (*PLACES, "pt", "eta", "phi", "mass", *OF_PARTICLES, *OF_EVENTS)
PREFERRED = ("particles", "PFCands", "PFCand")


@dataclass
class Found:
    """The expression of each role, and in words what was taken for what."""

    parts: dict[str, Expression]
    said: list[str] = field(default_factory=list)


def read_collisions(
    path: Paths,
    *,
    columns: Mapping[str, str] | None = None,
    collection: str | None = None,
    selection: str | None = None,
    tree: str | None = None,
) -> tuple[ak.Array, list[str]]:
    """Read events with pileup (see `colliderkit.events.pileup`), and say how they were understood.

    A row is an event; its particles are lists ``COLLECTION_pt``, ``_eta``, ``_phi`` (or ``_px``,
    ``_py``, ``_pz``), also with a dot, and ``_mass`` where there is one. The collision of each is
    ``_vertex``: 0 the leading one, 1, 2, ... others, -1 unknown; or ``_fromPV`` of charged
    particles: a truth, or CMS' numbers, of which 2 and 3 mean the leading vertex.

    - `columns`: expressions of the file's columns by role (`ROLES`), such as
      ``{"vertex": "where(cand_charge != 0, cand_pv, -1)"}``, in place of what is found by name;
    - `collection`: of several collections of particles the one that is meant;
    - `selection`: an expression with one truth an event; `tree`: the TTree or HDF5 key.

    Raises `InputError` for a file that is broken, without particles, or of which nothing says the
    vertices, for an unknown role, and as `Particles.of` does.
    """
    given = dict(columns or {})
    if unknown := [name for name in given if name not in ROLES]:
        raise InputError(
            f"columns has '{unknown[0]}', which is no role of a particle or an event; choose among"
            f" {', '.join(ROLES)}."
        )
    parts, said = [], []
    paths = paths_of(path)
    for file in paths:
        table = open_table(file, tree)
        found = _found(file, table.columns, given, collection)
        chosen = None if selection is None else Expression(selection)
        names = {n for e in (*found.parts.values(), *([chosen] if chosen else ())) for n in e.names}
        for name in names:
            if name not in table.columns:
                raise missing(file, name, table.columns)
        for _, raw in table.chunks(sorted(names), 0, table.rows, table.step):
            if chosen is not None:
                keep = chosen.truth(raw, file)
                raw = {name: column.take(keep) for name, column in raw.items()}
            parts.append(_events(file, found, raw))
        said += [line for line in found.said if line not in said]
    fields = [set(part.fields) | set(part["particles"].fields) for part in parts]
    if any(one != fields[0] for one in fields):
        differ = set.union(*fields) - set.intersection(*fields)
        raise InputError(
            f"{', '.join(map(str, paths[:3]))}: differ in {', '.join(sorted(differ))}; read them"
            " apart."
        )
    what = ", ".join(map(str, paths[:3]))
    if not sum(map(len, parts)):
        raise InputError(f"{what}: holds no events; check the selection and the file.")
    events = ak.concatenate(parts)
    if "event" not in events.fields:
        events["event"] = np.arange(len(events))
    Particles.of(events, what)
    return events, said


def _found(
    path: Path, columns: Mapping[str, Kind], given: Mapping[str, str], collection: str | None
) -> Found:
    """Find the columns of each role by the names that are usual."""
    stems = collections(columns)
    if collection is None:
        usual = [name for name in PREFERRED if name in stems]
        if not usual and len(stems) > 1 and not {"pt", "eta", "phi"} <= set(given):
            raise InputError(
                f"{path}: has particles of several collections ({shorten(stems)}); name those that"
                f" are meant by layout (as momenta:{next(iter(stems))})."
            )
        collection = (usual or list(stems) or [""])[0]
    elif collection not in stems:
        raise InputError(
            f"{path}: has no particles '{collection}_pt', '{collection}_eta', '{collection}_phi';"
            f" it has {shorten(stems or columns)}."
        )
    texts: dict[str, str] = {}
    if collection in stems:
        names = stems[collection]
        for name in names.values():
            if columns[name].unit == "MeV":
                raise InputError(
                    f"{path}: column '{name}' is in MeV; give pt in GeV by columns, as"
                    f" '{{pt: 1e-3 * {name}}}'."
                )
        names = {role: quoted(name) for role, name in names.items()}
        if {"pt", "eta", "phi"} <= set(names):
            texts |= {role: names[role] for role in ("pt", "eta", "phi")}
        else:
            x, y, z = (names[name] for name in ("px", "py", "pz"))
            # asinh(t) = log(t + sqrt(1 + t^2)), of the size of t, with its sign.
            t = f"abs({z}) / maximum(hypot({x}, {y}), 1e-9)"
            size = f"log({t} + hypot(1, {t}))"
            texts |= {"pt": f"hypot({x}, {y})", "eta": f"where({z} < 0, -1, 1) * {size}"}
            texts["phi"] = f"arctan2({y}, {x})"
        if "mass" in names:
            texts["mass"] = names["mass"]
    lower = {name.lower(): name for name in columns}
    for role, known in OF_PARTICLES.items():
        for name in known:
            for joint in ("_", "."):
                column = lower.get(f"{collection}{joint}{name}".lower())
                if column is not None and columns[column].level == 1:
                    texts.setdefault(role, quoted(column))
    for role, known in OF_EVENTS.items():
        for name in known:
            column = lower.get(name)
            if column is not None and columns[column].level == 0:
                texts.setdefault(role, quoted(column))
    for role in PLACES:
        if role in lower and columns[lower[role]].level == 1:
            texts[role] = quoted(lower[role])
    texts |= given
    if missed := [role for role in ("pt", "eta", "phi") if role not in texts]:
        raise InputError(
            f"{path}: nothing says what the {missed[0]} of particles is; name it in columns, as"
            f" '{{{missed[0]}: COLUMN}}'; it has {shorten(columns)}."
        )
    if "vertex" not in texts and not {"from_pv", "charge"} <= set(texts):
        raise InputError(
            f"{path}: nothing says of which vertex the particles are; name it in columns, as"
            " '{vertex: COLUMN}' (0 the leading one, -1 unknown), or '{from_pv: COLUMN, charge:"
            f" COLUMN}}'; it has {shorten(columns)}."
        )
    if "vertex" in texts:
        texts.pop("from_pv", None)
    found = Found({role: Expression(text) for role, text in texts.items()})
    shown = ", ".join(f"{role} from {text}" for role, text in texts.items())
    found.said.append(f"{path}: {shown}" + ("" if "mass" in texts else "; particles without mass"))
    return found


def _events(path: Path, found: Found, raw: Mapping[str, Column]) -> ak.Array:
    """Make events of columns."""
    flat: dict[str, NDArray[Any]] = {}
    counts: NDArray[np.int64] | None = None
    single: dict[str, NDArray[Any]] = {}
    places: dict[str, ak.Array] = {}
    for role, expression in found.parts.items():
        column = expression(raw)
        if role in PLACES:
            places[role] = ak.unflatten(np.asarray(column.values), column.counts)
            continue
        if role in OF_EVENTS:
            if column.counts is not None:
                raise InputError(f"{path}: '{role}' ({expression.text}) is one a particle.")
            single[role] = np.asarray(column.values)
            continue
        if column.counts is None:
            raise InputError(
                f"{path}: '{role}' ({expression.text}) gives a number an event, not a particle."
            )
        if counts is not None and not np.array_equal(counts, column.counts):
            raise InputError(
                f"{path}: '{role}' ({expression.text}) has other numbers of particles than pt has;"
                " name columns of one collection."
            )
        counts = column.counts
        flat[role] = np.asarray(column.values)
    assert counts is not None
    if "vertex" not in flat:
        flat["vertex"] = _vertices(found, flat)
    flat.pop("from_pv", None)
    if "truth" in flat:
        flat["truth"] = flat["truth"].astype(np.float64)
    if "event" in single:
        single["event"] = single["event"].astype(np.int64)
    lists = {"particles": ak.unflatten(ak.zip(flat), counts), **places}
    return ak.zip({**lists, **single}, depth_limit=1)


def _vertices(found: Found, flat: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Return the vertex of each particle by a flag of charged ones, and say what it means."""
    flag: NDArray[np.float64] = flat["from_pv"].astype(np.float64)
    charged = flat["charge"] != 0
    numbers = bool((flag[charged] > 1).any()) if charged.any() else False
    line = (
        f"charged particles of {found.parts['from_pv'].text} "
        + ("2 or 3" if numbers else "1")
        + " are of the leading vertex, others of none of its"
    )
    if line not in found.said:
        found.said.append(line)
    leading = flag > 1.5 if numbers else flag > 0.5
    return np.where(charged, np.where(leading, 0, 1), UNKNOWN).astype(np.int64)
