"""The verb generate: what the command line hands on."""

import pytest

from colliderkit.cli import generate, main


@pytest.fixture
def asked(monkeypatch):
    """List the calls in place of generating."""
    calls = []

    def listed(process, count, out, **options):
        calls.append((process, count, options))
        return out

    monkeypatch.setattr(generate, "generate_sample", listed)
    return calls


def test_tunes_and_pairs_are_handed_on(asked, tmp_path):
    out = str(tmp_path / "x.parquet")
    line = "TimeShower:alphaSvalue = 0.16; StringZ:aLund = 0.9"
    assert main(["generate", "z-jets", "50", "--paired", "--out", out, "--settings", line]) == 0
    process, count, options = asked[0]
    assert (process, count, options["paired"]) == ("z-jets", 50, True)
    assert options["settings"] == line
    ranges = "{alphaS: [0.10, 0.18], aLund: [0.5, 0.9]}"
    assert main(["generate", "ee-dijets", "50", "--out", out, "--parameters", ranges]) == 0
    assert asked[1][2]["parameters"] == {"alphaS": (0.10, 0.18), "aLund": (0.5, 0.9)}
    assert asked[1][2]["paired"] is False


def test_a_tune_that_is_none_is_one_sentence(tmp_path, capsys):
    out = str(tmp_path / "x.parquet")
    assert main(["generate", "z-jets", "50", "--out", out, "--settings", "fast"]) == 2
    said = capsys.readouterr().err.strip()
    assert said == "colliderkit: setting 'fast' is not of the form 'Name:key = value'."
    assert list(tmp_path.iterdir()) == []
