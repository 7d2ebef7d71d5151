import numpy as np
import torch

from colliderkit.events.ragged import Ragged
from samples import make_jets

COLUMNS = ("px", "py", "pz", "E")


def test_padded_holds_each_jet_and_zeros() -> None:
    jets = make_jets(20)
    ragged = Ragged.from_awkward(jets.constituents, COLUMNS)
    chosen = torch.tensor([7, 3, 3, 19])
    values, mask = ragged.padded(chosen)
    assert values.shape == (4, int(ragged.lengths[chosen].max()), 4)
    for row, jet in enumerate(chosen.tolist()):
        expected = np.array([jets.constituents[name][jet].tolist() for name in COLUMNS]).T
        n = len(expected)
        np.testing.assert_array_equal(values[row, :n].numpy(), expected.astype(np.float32))
        assert mask[row].tolist() == [True] * n + [False] * (values.shape[1] - n)
        assert not values[row, n:].any()


def test_longest_keeps_the_leading_constituents() -> None:
    ragged = Ragged.from_awkward(make_jets(20).constituents, COLUMNS)
    everything, _ = ragged.padded(torch.arange(20))
    values, mask = ragged.padded(torch.arange(20), longest=4)
    assert values.shape[1] == 4
    torch.testing.assert_close(values, everything[:, :4])
    assert (mask.sum(1) == ragged.lengths.clamp(max=4)).all()


def test_empty_jets_are_all_padding() -> None:
    ragged = Ragged.from_awkward(make_jets(6, low=0, high=1).constituents, COLUMNS)
    values, mask = ragged.padded(torch.arange(6))
    assert values.shape == (6, 1, 4)
    assert not mask.any()
    assert not values.any()


def test_a_view_shares_the_values() -> None:
    ragged = Ragged.from_awkward(make_jets(20).constituents, COLUMNS)
    some = ragged.at(torch.tensor([5, 2]))
    assert some.values.data_ptr() == ragged.values.data_ptr()
    torch.testing.assert_close(
        some.padded(torch.tensor([1, 0]))[0], ragged.padded(torch.tensor([2, 5]))[0]
    )


def test_spool_equals_memory(tmp_path) -> None:
    jets = make_jets(50)
    whole = Ragged.from_awkward(jets.constituents, COLUMNS)
    pieces = (jets.constituents[i : i + 7] for i in range(0, 50, 7))
    spooled = Ragged.spool(pieces, COLUMNS, tmp_path / "spool")
    assert len(spooled) == 50
    torch.testing.assert_close(spooled.values, whole.values, rtol=0, atol=0)
    torch.testing.assert_close(
        spooled.padded(torch.arange(50))[0], whole.padded(torch.arange(50))[0], rtol=0, atol=0
    )
