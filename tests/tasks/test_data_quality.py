"""A shifter's verbs: a table that nobody has seen is judged by one command; a page marks faults."""

import csv
import json
import re

import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.report.results import read_results
from colliderkit.serve.golden import read_golden
from colliderkit.sources.files.monitors import write_monitors
from contracts.cases.data_quality import small_runs


def write_table(path, seed):
    """Write the scores of 600 runs of a fictitious tracker, of which one in six is bad."""
    random = np.random.default_rng([4, seed])
    lines = ["run_number,date,occupancy_chi2,hit_efficiency,vertex_z,shifter,quality"]
    for i in range(600):
        bad = random.random() < 1 / 6
        chi2 = random.gamma(20, 0.05) * (1.8 if bad and random.random() < 0.7 else 1.0)
        efficiency = 0.98 - random.exponential(0.004) - 0.04 * (bad and random.random() < 0.6)
        day = np.datetime64("2025-06-01") + i // 6
        state = "BAD" if bad else "GOOD"
        vertex = random.normal(0.1, 0.4)
        lines.append(f"{390_000 + 3 * i},{day},{chi2},{efficiency},{vertex},Ann,{state}")
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.statistical
def test_a_table_of_a_user_is_judged_by_one_command(tmp_path, capsys, seed):
    write_table(tmp_path / "runs.csv", seed)
    words = ["fit", "run-scores", str(tmp_path / "runs.csv"), "--out", str(tmp_path / "scores")]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "shifter" in said  # what is not used is said
    with (tmp_path / "scores" / "flags.csv").open() as file:
        rows = list(csv.DictReader(file))
    # Half of 600, and the bad ones behind the last good one of the first half.
    assert f"of {len(rows)} later runs" in said
    assert 300 <= len(rows) < 310
    flagged, good = (np.array([int(row[key]) for row in rows], bool) for key in ("flagged", "good"))
    # About .76 of the bad ones and .05 of the good ones are flagged.
    assert flagged[~good].mean() >= 4 * flagged[good].mean()
    assert flagged[~good].mean() > 0.5
    words = ["evaluate", str(tmp_path / "scores"), str(tmp_path / "runs.csv")]
    assert main([*words, "--out", str(tmp_path / "shift")]) == 0
    assert "left out" in capsys.readouterr().out
    found = {r.quantity: r.value for r in read_results(tmp_path / "shift" / "results.json")}
    assert found["bad flagged"] == pytest.approx(flagged[~good].mean())
    assert found["good flagged"] == pytest.approx(flagged[good].mean())


def test_a_shift_with_a_dead_corner(tmp_path, capsys):
    write_monitors(tmp_path / "good.root", small_runs(60, 1))
    later = small_runs(20, 2, first=100).joined(small_runs(5, 3, first=120, dead=True))
    write_monitors(tmp_path / "later.root", later)
    model, shift = tmp_path / "model", tmp_path / "shift"
    small = ("--components", "2", "--references", "4")
    assert (
        main(["fit", "data-quality", str(tmp_path / "good.root"), *small, "--out", str(model)]) == 0
    )
    assert (
        main(["apply", str(model), str(tmp_path / "later.root"), "--out", str(tmp_path / "c")]) == 0
    )
    golden = read_golden(tmp_path / "c" / "golden.json")
    assert not set(range(120, 125)) & set(golden)
    assert len(golden) >= 15
    with (tmp_path / "c" / "flags.csv").open() as file:
        rows = {int(row["run"]): row for row in csv.DictReader(file)}
    assert all(rows[run]["flagged"] == "1" for run in range(120, 125))
    places = [rows[run]["place"] for run in range(120, 125)]
    assert all(re.match(r"(occupancy|time) bin [01] [01]\b", place) for place in places), places
    evaluate = ["evaluate", str(model), str(tmp_path / "later.root"), "--out", str(shift)]
    assert main(evaluate) == 0
    assert json.loads((shift / "golden.json").read_text()) == json.loads(
        (tmp_path / "c" / "golden.json").read_text()
    )
    assert main(["report", str(shift)]) == 0
    page = (shift / "report.html").read_text(encoding="utf-8")
    assert "What to look at" in page
    assert any(f"Run {run}" in page for run in range(120, 125))
    capsys.readouterr()
    # What was learned from is not certified.
    again = ["apply", str(model), str(tmp_path / "good.root"), "--out", str(tmp_path / "d")]
    assert main(again) == 2
    assert "no run is later than run 60" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()
