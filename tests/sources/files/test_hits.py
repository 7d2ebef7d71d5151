"""Events of a tracker in files: TrackML's four CSVs, Parquet, and what may be wrong with them."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.hits import TrackerHits, joined
from colliderkit.sources.files.hits import TRACKS, read_hits, write_hits, write_trackml
from colliderkit.sources.files.tracks import read_tracks, write_submission
from colliderkit.sources.toys.tracker import helix_hits


@pytest.fixture(scope="module")
def events() -> TrackerHits:
    return helix_hits(3, vertices=2, particles=3, noise=0.5, seed=4)


@pytest.fixture
def folder(events, tmp_path):
    return write_trackml(tmp_path / "events", events)


def same(one: TrackerHits, other: TrackerHits) -> None:
    order, again = (np.lexsort((h.id, h.event)) for h in (one, other))
    for name in ("x", "y", "z", "volume", "layer", "module", "id", "particle"):
        np.testing.assert_allclose(getattr(one, name)[order], getattr(other, name)[again])
    np.testing.assert_array_equal(one.offsets, other.offsets)
    for name in ("id", "px", "py", "pz", "vz", "charge"):
        np.testing.assert_allclose(getattr(one.particles, name), getattr(other.particles, name))


def test_csv_comes_back_however_it_is_named(events, folder):
    same(read_hits(folder).hits, events)
    second = events.at([1])
    for name in ("event000000001", "event000000001-truth.csv", "event000000001-cells.csv"):
        same(read_hits(folder / name).hits, second)
    same(read_hits(str(folder / "*-hits.csv")).hits, events)
    same(read_hits(folder / "event").hits, events)
    without = read_hits(folder, truth=False)
    assert without.hits.particle is None
    assert "3 events" in without.said
    assert "truth is not read" in without.said


def test_parquet_comes_back(events, tmp_path):
    write_hits(tmp_path / "made", events)
    same(read_hits(tmp_path / "made").hits, events)
    same(read_hits(tmp_path / "made" / "hits.parquet").hits, events)
    parts = [events.at([0]), events.at([1, 2])]
    same(joined(parts), events)


def test_volumes_are_chosen(events, folder):
    read = read_hits(folder, volumes=[8])
    assert set(np.unique(read.hits.volume)) == {8}
    assert f"of {len(events.x)}" in read.said
    with pytest.raises(InputError, match="no hit is in volume 17; hits are in 7, 8, 9"):
        read_hits(folder, volumes=[8, 17])


def replaced(path, old, new, count=1):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def test_what_is_missing_is_named(events, folder):
    (folder / "event000000001-truth.csv").unlink()
    with pytest.raises(InputError, match=r"event000000001-truth.csv: no such file, .* has hits"):
        read_hits(folder)
    assert len(read_hits(folder, truth=False).hits) == 3
    with pytest.raises(InputError, match=r"no such file"):
        read_hits(folder / "event000000009-hits.csv")


def test_a_hit_needs_a_line_in_the_truth_and_an_id(folder):
    path = folder / "event000000000-truth.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match=r"has no line for hit \d+ \(1 such hits\)"):
        read_hits(folder)
    hit, _, rest = lines[-1].split(",", 2)
    path.write_text("".join(lines[:-1]) + f"{hit},,{rest}")
    with pytest.raises(InputError, match=rf"hit {hit} has no particle_id"):
        read_hits(folder)
    path.write_text("".join(lines[:-1]) + f"{hit},99,{rest}")
    with pytest.raises(InputError, match=rf"hit {hit} of event 0 is of particle 99"):
        read_hits(folder)


def test_modules_that_the_geometry_does_not_have(folder, events):
    header = "volume_id,layer_id,module_id\n"
    known = np.unique(np.stack([events.volume, events.layer, events.module], 1), axis=0)
    lines = [",".join(map(str, row)) + "\n" for row in known]
    (folder / "detectors.csv").write_text(header + "".join(lines))
    assert "modules as in" in read_hits(folder).said
    (folder / "detectors.csv").write_text(header + "".join(lines[1:]))
    with pytest.raises(InputError, match=r"is on volume 7, layer .* does not have"):
        read_hits(folder)


def test_units_and_numbers(folder):
    path = folder / "event000000002-hits.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    for row in rows[1:]:
        row[1:4] = [str(float(v) / 10) for v in row[1:4]]
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    with pytest.raises(InputError, match="cm or m"):
        read_hits(folder / "event000000002")
    rows[1][1] = "nan"
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    with pytest.raises(InputError, match=r"x is nan in hit \d+ of event 2"):
        read_hits(folder / "event000000002")
    path.write_text("hit_id,x,y\n1,2,3\n")
    with pytest.raises(InputError, match="no column 'z'"):
        read_hits(folder / "event000000002")


def test_tracks_of_a_filter_become_labels(events, tmp_path):
    # Of each particle its hits; a hit of two tracks stays with the first.
    lists = []
    for n in range(len(events)):
        one = events.at([n])
        lists.append([one.id[one.particle == p].tolist() for p in (1, 2, 3)])
        lists[-1][1] += lists[-1][0][:1]
    tracks = {"hit_id": ak.Array(lists)}
    folder = write_hits(tmp_path / "made", events, tracks=tracks)
    found = read_tracks(folder / TRACKS, events)
    wanted = np.where(events.particle <= 3, events.particle, 0)
    np.testing.assert_array_equal(found, wanted)
    part = events.at([2]).where(events.at([2]).volume == 8)
    expected = np.where(part.particle <= 3, part.particle, 0)
    np.testing.assert_array_equal(read_tracks(folder / TRACKS, part), expected)


def test_a_submission_has_a_line_a_hit(events, tmp_path):
    path = write_submission(tmp_path / "s.csv", events, events.particle)
    lines = path.read_text().splitlines()
    assert lines[0].replace('"', "") == "event_id,hit_id,track_id"
    assert len(lines) == len(events.x) + 1


def test_an_event_without_hits(tmp_path):
    (tmp_path / "event000000005-hits.csv").write_text("hit_id,x,y,z,volume_id,layer_id,module_id\n")
    read = read_hits(tmp_path, truth=False)
    assert len(read.hits) == 1
    assert len(read.hits.x) == 0
