"""Files of particle flow: what is written is read; what is wrong is one clear sentence."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.files.jets import write
from colliderkit.sources.files.particle_flow import flow_columns, read_flow, write_flow
from contracts.cases.particle_flow import small_events


def test_what_is_written_is_read(tmp_path):
    events = small_events(4, 1)
    again = read_flow(str(write_flow(tmp_path / "events.parquet", events, events.truth[0])))
    for name in ("tracks", "clusters", "towers", "particles", "incidence"):
        for column, values in vars(getattr(events, name)).items():
            read = getattr(getattr(again, name), column)
            np.testing.assert_array_equal(read, values, err_msg=f"{name} {column}")


def test_towers_and_truth_may_be_absent(tmp_path):
    columns = flow_columns(small_events(3, 1))
    kept = {k: v for k, v in columns.items() if k.startswith(("track_", "cluster_"))}
    for name in ("track_particle", "cluster_particles", "cluster_particle_energies"):
        del kept[name]
    write(tmp_path / "bare.parquet", kept)
    bare = read_flow(str(tmp_path / "bare.parquet"))
    assert bare.particles is None
    assert len(bare.towers.eta) == 0
    write_flow(tmp_path / "whole.parquet", small_events(3, 1))
    with pytest.raises(InputError, match=r"bare.parquet: has no true particles, which"):
        read_flow([str(tmp_path / "whole.parquet"), str(tmp_path / "bare.parquet")])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("cluster_width"), "cluster_width"),
        (lambda c: c.pop("track_particle"), "no 'track_particle'; the truth needs"),
        (lambda c: c.update(track_eta=c["track_eta"][:, :1]), "'track_eta' and 'track_pt' differ"),
        (lambda c: c.update(track_kind=c["track_kind"] + 9), "'track_kind' is none of 0 to 4"),
        (lambda c: c.update(cluster_energy=-c["cluster_energy"]), "energy of clusters is -"),
        (lambda c: c.update(track_particle=c["track_particle"] + 9), "that its event lacks"),
        (lambda c: c.update(cluster_particles=c["cluster_particles"] + 9), "its event lacks"),
        (lambda c: c.update(track_pt=ak.to_numpy(c["track_pt"][:, 0])), "not a list of numbers"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path, change, words):
    columns = flow_columns(small_events(3, 1))
    change(columns)
    write(tmp_path / "bad.parquet", columns)
    with pytest.raises(InputError, match=words) as caught:
        read_flow(str(tmp_path / "bad.parquet"))
    assert "bad.parquet" in str(caught.value)
    with pytest.raises(InputError, match=r"written as .parquet"):
        write_flow(tmp_path / "events.csv", small_events(3, 1))
