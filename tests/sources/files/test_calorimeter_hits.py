"""Files of calorimeter hits: what is written is read, and what is wrong is one sentence."""

from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import Clusters
from colliderkit.sources import write
from colliderkit.sources.files.calorimeter_hits import hit_columns, read_hits, write_hits
from contracts.cases.clustering import small_events


def test_hits_with_truth_and_clusters_are_read_as_written(tmp_path: Path) -> None:
    hits = small_events(3, 1).at([0, 2])
    path = write_hits(tmp_path / "a.parquet", hits, Clusters.of(hits, hits.majority()))
    again = read_hits(path)
    assert again.time is None
    assert hits.time is None
    for name, column in vars(hits).items():
        if name != "time":
            np.testing.assert_allclose(getattr(again, name), column, err_msg=name)
    times = np.linspace(-50.0, 50.0, len(hits.energy))
    times[0] = np.nan
    timed = write_hits(tmp_path / "timed.parquet", replace(hits, time=times))
    np.testing.assert_allclose(read_hits(timed).time, times)
    table = ak.from_parquet(path)
    assert ak.to_list(ak.num(table["cluster_energy"])) == [3, 3]
    with pytest.raises(InputError, match="exists already"):
        write_hits(path, hits)


def test_hits_of_other_names_and_ids_are_read(tmp_path: Path) -> None:
    # As ColliderML names the energy, with ids that are no places, and an event without hits.
    columns = {
        "x": [[1.0, 2.0], []],
        "y": [[0.0, 0.0], []],
        "z": [[0.0, 0.0], []],
        "total_energy": [[3.0, 1.0], []],
        "contrib_particle_ids": ak.Array([[[700, 3], [3]], []]),
        "contrib_energies": ak.Array([[[1.0, 2.0], [0.5]], []]),
        "particle_id": [[3, 700], [9]],
    }
    path = tmp_path / "b.parquet"
    write(path, columns)
    hits = read_hits(path)
    assert hits.counts.tolist() == [2, 0]
    assert hits.deposit.tolist() == [2.5, 1.0, 0.0]
    assert hits.majority().tolist() == [0, 0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"x": None}, "x"),
        ({"particle_id": None}, "has 'contrib_particle_ids' and no 'particle_id'"),
        ({"particle_id": [[0, 7, 2]]}, r"event 0 .* contribution of particle 1, and no such"),
        ({"energy": 0.01}, "the contributions to a hit sum to"),
        ({"energy": -1.0}, r"hit 0 of event 0 \(counted from 0\) has an energy of -"),
        ({"x": np.nan}, r"hit 0 of event 0 \(counted from 0\) has a position"),
        ({"y": [[1.0]]}, "'y' and 'energy' differ in their numbers of hits"),
        ({"z": [1.0]}, "'z' is not a list of numbers in each event"),
        ({"particle_id": [[0, 1, 1]]}, r"event 0 .* has the particle_id 1 twice"),
        ({"contrib_energies": [[[1.0]]]}, "its contributions do not fit its hits"),
    ],
)
def test_what_is_wrong_is_named(change: dict, sentence: str, tmp_path: Path) -> None:
    columns = hit_columns(small_events(1, 2))
    for name, value in change.items():
        if value is None:
            del columns[name]
        elif isinstance(value, float):
            columns[name] = columns[name] * value
        else:
            columns[name] = ak.Array(value)
    path = tmp_path / "c.parquet"
    write(path, columns)
    with pytest.raises(InputError, match=sentence) as error:
        read_hits(path)
    assert "c.parquet" in str(error.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file"):
        read_hits(tmp_path / "none.parquet")
    (tmp_path / "hits.root").write_bytes(b"root")
    with pytest.raises(InputError, match=r"read from \.parquet"):
        read_hits(tmp_path / "hits.root")
    known = write_hits(tmp_path / "known.parquet", small_events(2, 1))
    columns = hit_columns(small_events(2, 1))
    write(tmp_path / "bare.parquet", {name: columns[name] for name in ("x", "y", "z", "energy")})
    with pytest.raises(InputError, match=r"bare.parquet: has no true particles"):
        read_hits([known, tmp_path / "bare.parquet"])
