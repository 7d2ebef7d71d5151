"""The stream of a trigger: the layout of the published files, and numbers as they are asked for."""

import h5py
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.files.rows import read_rows
from colliderkit.sources.toys.trigger import COLUMNS, SIGNALS, STREAM, signal, stream, table


@pytest.mark.filterwarnings("ignore:.*its 19 objects are read as")
def test_the_columns_are_those_of_a_published_file(tmp_path):
    events = stream(300, seed=1)
    with h5py.File(tmp_path / "stream.h5", "w") as file:
        file["Particles"] = events
    texts = [f"log(1 + {name} / 20)" if name.endswith("_pt") else name for name in COLUMNS]
    read = read_rows(tmp_path / "stream.h5", texts).table(texts)
    np.testing.assert_allclose(table(events), read)


def test_objects_fall_in_pt_and_nothing_stands_where_there_is_none():
    events = stream(2_000, seed=2)
    assert events.shape == (2_000, 19, 4)
    for places in (slice(1, 5), slice(5, 9), slice(9, 19)):
        assert (np.diff(events[:, places, 0], axis=1) <= 0).all()
    assert not events[events[..., 0] == 0].any()
    np.testing.assert_array_equal(stream(2_000, seed=2), events)


@pytest.mark.statistical
def test_numbers_of_objects_are_those_of_the_mixture(seed):
    count = 20_000
    expected = sum(share * toy.electrons for share, toy in STREAM.values())
    electrons = (stream(count, seed=seed)[:, 1:5, 0] > 0).sum(1)
    # At most four are kept, which costs less than 2 in 10,000 of these means.
    assert abs(electrons.mean() - expected) < 5 * electrons.std() / count**0.5 + 1e-3
    pileup = (stream(count, seed=seed, pileup=2.0)[:, 9:, 0] > 0).sum(1).mean()
    jets = (stream(count, seed=seed)[:, 9:, 0] > 0).sum(1)
    assert abs(pileup - jets.mean() - 0.6) < 10 * jets.std() / count**0.5 + 0.01


def test_signals_have_names():
    assert all(len(signal(name, 5, seed=1)) == 5 for name in SIGNALS)
    with pytest.raises(InputError, match="signal 'axion' is unknown; choose one of A to 4"):
        signal("axion", 5, seed=1)
