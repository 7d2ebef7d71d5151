"""A user's event in TrackML's layout: read, reconstructed and scored by one command."""

import csv
import json

import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.methods.reconstruction.helix_tracks import HelixTracks
from colliderkit.metrics.tracking import figures
from colliderkit.report.results import read_results
from colliderkit.sources.files.hits import write_hits, write_trackml
from colliderkit.sources.toys.tracker import PIXELS, STRIPS, helix_hits
from colliderkit.tasks import account
from colliderkit.tasks.tracking import in_known_volumes


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A method fitted on 12 events of all layers."""
    folder = tmp_path_factory.mktemp("tracking")
    made = helix_hits(12, vertices=5, particles=10, layers=(*PIXELS, *STRIPS), seed=1)
    write_hits(folder / "events", made)
    words = ["--method", "helix-tracks", "--files", str(folder / "events"), "--out"]
    assert main(["fit", "tracking", *words, str(folder / "model")]) == 0
    return folder


def test_an_event_of_four_files_is_scored_by_one_command(fitted, tmp_path, capsys):
    # Some 5,500 hits of 550 particles, which nothing was trained on.
    made = helix_hits(1, vertices=50, particles=11, layers=(*PIXELS, *STRIPS), noise=20, seed=9)
    assert 4_500 < len(made.x) < 6_500
    folder = write_trackml(tmp_path / "user", made)
    assert len(list(folder.glob("*.csv"))) == 4
    words = [str(folder / "event000000000-hits.csv"), "--out", str(tmp_path / "scored")]
    assert main(["evaluate", str(fitted / "model"), *words]) == 0
    printed = capsys.readouterr().out
    assert "TrackML score" in printed
    assert "in denser events fewer tracks are found" in printed
    rows = {
        (r.subject, r.quantity): r.value for r in read_results(tmp_path / "scored/results.json")
    }
    assert rows["helix-tracks", "TrackML score"] > 0.8
    assert ("validation events of the fit", "TrackML score") in rows
    lines = list(csv.DictReader((tmp_path / "scored" / "tracks.csv").open()))
    assert len(lines) == len(made.x)
    note = json.loads((tmp_path / "scored" / "results.json").read_text())
    assert len(note["drawn"]["x"]) == len(made.x)
    assert main(["report", str(tmp_path / "scored")]) == 0


def test_volumes_that_no_track_of_the_fit_went_through_are_left_out():
    size = {"vertices": 3, "particles": 10}
    pixels = helix_hits(8, **size, layers=PIXELS, seed=1)
    whole = helix_hits(3, **size, layers=(*PIXELS, *STRIPS), seed=2)
    finder = HelixTracks().fit(pixels, progress=False)
    with account.kept() as said:
        kept = in_known_volumes(finder, whole)
    np.testing.assert_array_equal(np.unique(kept.volume), np.unique(pixels.volume))
    others = sorted(set(whole.volume.tolist()) - set(pixels.volume.tolist()))
    left = f"{len(whole.x) - len(kept.x)} hits in volumes {', '.join(map(str, others))};"
    assert left in said.read[0]
    # With all hits no track has half of its particle's.
    found = figures(kept, finder.find(kept), finder.interest)
    assert found["efficiency, double majority"].value > 0.9


@pytest.mark.parametrize(
    ("hits", "tracks"),
    [(0, 0), (1, 0)],
)
def test_an_event_of_no_or_one_hit_is_answered(hits, tracks, fitted, tmp_path, capsys):
    lines = ["hit_id,x,y,z,volume_id,layer_id,module_id", "1,32.0,0.5,10.0,8,2,5"]
    (tmp_path / "event1-hits.csv").write_text("\n".join(lines[: hits + 1]) + "\n")
    out = tmp_path / "tracks.csv"
    assert main(["apply", str(fitted / "model"), str(tmp_path), "--out", str(out)]) == 0
    found = list(csv.DictReader(out.open()))
    assert [int(line["track_id"]) for line in found] == [tracks] * hits


def test_scoring_needs_truth_and_says_so(fitted, tmp_path, capsys):
    made = helix_hits(1, vertices=2, particles=3, seed=2)
    folder = write_trackml(tmp_path / "user", made)
    (folder / "event000000000-truth.csv").unlink()
    words = ["evaluate", str(fitted / "model"), str(folder), "--out", str(tmp_path / "scored")]
    assert main(words) == 2
    assert "event000000000-truth.csv: no such file" in capsys.readouterr().err
    assert not (tmp_path / "scored").exists()
    out = tmp_path / "tracks.txt"
    assert main(["apply", str(fitted / "model"), str(folder), "--out", str(out)]) == 2
    assert ".csv" in capsys.readouterr().err


def test_generate_writes_both_layouts(tmp_path, capsys):
    small = ["--vertices", "2", "--particles", "3", "--out"]
    words = ["generate", "tracker-helices", "2", *small]
    assert main([*words, str(tmp_path / "a")]) == 0
    assert (tmp_path / "a" / "hits.parquet").is_file()
    assert main([*words, str(tmp_path / "b"), "--trackml", "true"]) == 0
    assert len(list((tmp_path / "b").glob("*.csv"))) == 8
    assert main(["generate", "--list"]) == 0
    assert "tracker-guns" in capsys.readouterr().out


def test_found_tracks_are_fitted_and_written(tmp_path, capsys):
    pytest.importorskip("acts")
    guns = ["--vertices", "5", "--pt", "[0.9, 5]"]
    events = str(tmp_path / "events")
    assert main(["generate", "tracker-guns", "8", *guns, "--out", events]) == 0
    words = ["--method", "helix-tracks", "--volumes", "[7, 8, 9]", "--files", events]
    model = str(tmp_path / "model")
    assert main(["fit", "tracking", *words, "--out", model]) == 0
    out, helices = tmp_path / "tracks.csv", tmp_path / "helices.csv"
    words = ["apply", model, events, "--out", str(out), "--parameters"]
    assert main([*words, str(out)]) == 2
    assert "one file" in capsys.readouterr().err
    assert main([*words, str(helices)]) == 0
    assert "fitted" in capsys.readouterr().out
    fitted = list(csv.DictReader(helices.open()))
    assert 330 < len(fitted) < 430
    labels = {(line["event_id"], line["track_id"]) for line in csv.DictReader(out.open())}
    assert {(line["event_id"], line["track_id"]) for line in fitted} <= labels
    assert all(float(line["d0_error"]) > 0 for line in fitted)
    momenta = sorted(abs(1 / float(line["qop"])) for line in fitted)
    assert 0.9 < momenta[len(momenta) // 2] < 6.0
    scored = str(tmp_path / "scored")
    assert main(["evaluate", model, events, "--pulls", "true", "--out", scored]) == 0
    rows = {r.quantity: r for r in read_results(tmp_path / "scored/results.json")}
    assert 0.8 < rows["pull width, d0"].value < 1.3
    assert rows["pulls beyond 5, qop"].value < 0.05
    assert main(["report", scored]) == 0
