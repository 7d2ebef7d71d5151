"""Sequences: the particle set, sorted and cut."""

import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.events import fourvectors
from colliderkit.events.sequences import ParticleSequence
from colliderkit.events.sets import ParticleSet

COLUMNS = ("px", "py", "pz", "E", "d0_significance")
FEATURES = ("log_pt", "deta", "d0_significance")


def jets():
    random = torch.Generator().manual_seed(0)
    p = torch.randn(3, 6, 3, generator=random) * 10
    d0 = torch.randn(3, 6, 1, generator=random)
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0], [0] * 6]).bool()
    values = torch.cat([p, p.norm(dim=-1, keepdim=True), d0], -1)
    return values * mask[..., None], mask


@pytest.mark.parametrize("order", ["pt", "d0_significance"])
def test_it_is_the_set_in_falling_order_with_padding_last(order):
    values, mask = jets()
    key = fourvectors.pt(values) if order == "pt" else values[..., 4].abs()
    expected = ParticleSet(COLUMNS, FEATURES)(values, mask)
    found = ParticleSequence(COLUMNS, FEATURES, order=order)(values, mask)
    for jet in range(3):
        real = mask[jet].nonzero()[:, 0]
        rows = real[key[jet, real].argsort(descending=True)]
        n = len(rows)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a[jet, :n], b[jet, rows])
            assert not a[jet, n:].any()


def test_the_leading_ones_are_kept_and_the_axis_is_that_of_all():
    values, mask = jets()
    every = ParticleSequence(COLUMNS, FEATURES)(values, mask)
    for longest in (2, 6, 9):
        cut = ParticleSequence(COLUMNS, FEATURES, longest=longest)(values, mask)
        for a, b in zip(cut, every, strict=True):
            assert torch.equal(a, b[:, :longest])


def test_fit_scales_the_further_columns():
    values, mask = jets()
    sequence = ParticleSequence(COLUMNS, FEATURES).fit(values[mask])
    d0 = values[mask][:, 4]
    features, _, real = sequence(values, mask)
    expected = ((d0 - d0.mean()) / d0.std(correction=0)).sort().values
    torch.testing.assert_close(features[real][:, 2].sort().values, expected)
    assert sequence.size == 3


def test_wrong_options_are_named():
    with pytest.raises(
        InputError, match="option 'order' is 'd1', which is not a column; of pt, px"
    ):
        ParticleSequence(COLUMNS, order="d1")
    with pytest.raises(InputError, match="option 'longest' is 0"):
        ParticleSequence(COLUMNS, longest=0)
