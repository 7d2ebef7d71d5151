"""The waves that tell a network the time."""

import math

import torch

from colliderkit.networks.denoising import waves


def test_waves_are_sines_and_cosines_octave_by_octave() -> None:
    t = torch.tensor([[0.0], [0.25], [1.0]])
    found = waves(t)
    assert found.shape == (3, 20)
    turns = [[math.pi / 2 * 2**k * float(x) for k in range(10)] for x in t[:, 0]]
    expected = [[math.sin(a) for a in row] + [math.cos(a) for a in row] for row in turns]
    # The angle is below 2^9 pi / 2 and rounded to half its 2^-23.
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=1e-4)


def test_more_waves_lie_between_the_same_two() -> None:
    t = torch.rand(100, 1, generator=torch.Generator().manual_seed(0))
    few, many = waves(t).chunk(2, 1), waves(t, 32).chunk(2, 1)
    for one, other in zip(few, many, strict=True):
        torch.testing.assert_close(one[:, [0, -1]], other[:, [0, -1]], rtol=0, atol=1e-4)


def test_the_rounding_of_time_stays_small() -> None:
    t = torch.linspace(0, 1, 10_001, dtype=torch.float64)[:, None]
    for frequencies in (10, 32):
        found = waves(t.float(), frequencies).double()
        # t is rounded by 2^-25 at most, and the angle by 2^-24 of itself.
        limit = (2**-25 + 2**-24) * 2**9 * math.pi / 2
        assert float((found - waves(t, frequencies)).abs().max()) < limit
