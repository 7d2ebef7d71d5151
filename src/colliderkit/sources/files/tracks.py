"""Tracks of hits in files: those that ACTS has found, and submissions as TrackML takes them."""

from collections.abc import Mapping
from pathlib import Path

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.hits import TrackerHits
from colliderkit.events.tables import Floats, Ints
from colliderkit.files import atomic_file
from colliderkit.sources.files.columns import missing, readable
from colliderkit.sources.files.hits import write_csv
from colliderkit.sources.files.parquet import ParquetTable

__all__ = ["PARAMETERS", "read_tracks", "write_parameters", "write_submission"]

PARAMETERS = ("d0", "z0", "phi", "theta", "qop")  # of a helix: mm, mm, radian, radian, 1/GeV


def read_tracks(path: str | Path, hits: TrackerHits) -> Ints:
    """Return the tracks (H,) of hits that tracks.parquet has, by the ids of their hits, 0 for none.

    A hit of several tracks is taken for one of the first. Hits that are not among `hits` are left
    out. Raises `InputError` for events that are not those of the hits.
    """
    table = ParquetTable(Path(path))
    for name in ("event_id", "hit_id"):
        if name not in table.columns:
            raise missing(table.path, name, table.columns)
    with readable(table.path, "Parquet"):
        found = ak.from_parquet(table.path, columns=["event_id", "hit_id"])
    numbers, lists = np.asarray(found["event_id"]), found["hit_id"]
    place = np.searchsorted(numbers, hits.number)
    place = np.minimum(place, max(len(numbers) - 1, 0))
    if len(hits) and (not len(numbers) or (numbers[place] != hits.number).any()):
        raise InputError(f"{table.path}: has no row for each event of the hits; write it anew.")
    lists = lists[place]
    each = ak.num(lists, axis=2)
    track = ak.flatten(ak.broadcast_arrays(ak.local_index(lists, axis=1), lists)[0], axis=None)
    event = np.repeat(np.arange(len(hits)), np.asarray(ak.sum(each, axis=1)))
    ids = np.asarray(ak.flatten(lists, axis=None)).astype(np.int64)
    labels = np.zeros(len(hits.x), dtype=np.int64)
    if not len(ids) or not len(hits.x):
        return labels
    most = int(max(ids.max(), hits.id.max())) + 1
    key = hits.event * most + hits.id
    order = np.argsort(key, kind="stable")
    wanted = event * most + ids
    row = order[np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)]
    here = key[row] == wanted
    # Written from the last on, so that the first stays.
    labels[row[here][::-1]] = np.asarray(track)[here][::-1] + 1
    return labels


def write_submission(
    path: str | Path, hits: TrackerHits, tracks: Ints, *, force: bool = False
) -> Path:
    """Write a CSV of event_id, hit_id, track_id, as a TrackML submission; 0 is no track."""
    columns = {"event_id": hits.number[hits.event], "hit_id": hits.id, "track_id": tracks}
    with atomic_file(path, force) as part:
        write_csv(part, columns)
    return Path(path)


def write_parameters(
    path: str | Path,
    event: Ints,
    track: Ints,
    values: Mapping[str, Floats],
    errors: Mapping[str, Floats],
    *,
    force: bool = False,
) -> Path:
    """Write a CSV of event_id, track_id, `values` (K,) of `PARAMETERS`, and their `errors`."""
    columns = {"event_id": event, "track_id": track, **values}
    columns |= {f"{name}_error": errors[name] for name in values}
    with atomic_file(path, force) as part:
        write_csv(part, columns)
    return Path(path)
