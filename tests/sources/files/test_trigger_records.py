"""Trigger-level records: two bytes a number, read by the package's own reader."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources import read_table
from colliderkit.sources.files.trigger_records import bytes_an_event, reduced, write_records
from colliderkit.sources.toys.trigger import columns, stream

NAMES = ("j1_pt", "j1_eta", "j1_phi", "met_pt")


def test_records_come_back_rounded(tmp_path):
    numbers = columns(stream(3_000, seed=1))
    event = np.arange(3_000) + 10**12
    size = write_records(tmp_path / "r.h5", numbers, NAMES, event=event)
    assert size == (tmp_path / "r.h5").stat().st_size
    # Compressed, with some kB of HDF5's own.
    assert size < 3_000 * bytes_an_event(NAMES) + 20_000
    assert bytes_an_event(NAMES) == 16
    read = read_table(tmp_path / "r.h5", [*NAMES, "event"])
    np.testing.assert_array_equal(read["event"], event)
    for name in NAMES:
        np.testing.assert_allclose(read[name], numbers[name], rtol=2**-11, atol=1e-7)


def test_bad_input_is_one_sentence_and_nothing_is_written(tmp_path):
    numbers = {"pt": np.array([5.0, 7e4]), "eta": np.array([0.1, np.nan]), "x": np.zeros(3)}
    for names, sentence in (
        (["m"], "no column 'm'; they have pt, eta, x"),
        (["pt"], r"column 'pt' has 70000, and two bytes hold numbers up to 65504; give .* GeV"),
        (["eta"], "column 'eta' has nan"),
    ):
        with pytest.raises(InputError, match=sentence):
            reduced(numbers, names)
    with pytest.raises(InputError, match=r"column 'x' has shape \(3,\) and there are 2 event"):
        write_records(tmp_path / "r.h5", numbers, ["x"], event=[1, 2])
    assert not list(tmp_path.iterdir())
