"""Shares of cells by networks on images: pixels, tracks, padding."""

import pytest
import torch

from colliderkit.networks.neutral_share import NeutralShare

# Two layers, of cells of one and of two pixels: column, row, layer, energy, track, momentum.
HITS = torch.tensor(
    [
        [
            [3.0, 3.0, 0, 2.0, 4, 4, 5.0],
            [2.0, 4.0, 1, 8.0, 4, 4, 5.0],
            [-9.0, 3.0, 0, 1.0, 4, 4, 5.0],
        ],
        [[0.0, 0.0, 0, 1.0, 1, 2, 3.0], [7.0, 6.0, 1, 4.0, 1, 2, 3.0], [0.0] * 7],
    ]
)
MASK = torch.tensor([[True, True, True], [True, True, False]])


def made(kind: str) -> NeutralShare:
    torch.manual_seed(3)
    return NeutralShare(widths=(1, 2), kind=kind, size=8, channels=4).eval()  # type: ignore[arg-type]


def test_the_energy_of_a_cell_is_spread_over_its_pixels() -> None:
    network = made("dilated")
    seen = []
    network.network.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    network(HITS, MASK)
    energy = torch.expm1(seen[0][:, :2]) / 50
    assert energy[0, 0, 3, 3] == pytest.approx(2.0, rel=1e-4)
    torch.testing.assert_close(energy[0, 1, 4:6, 2:4], torch.full((2, 2), 2.0))
    # The hit left of the window is in no pixel, half of the last one is beyond the right end.
    assert energy[0].sum() == pytest.approx(10.0, rel=1e-4)
    assert energy[1].sum() == pytest.approx(1.0 + 2.0, rel=1e-4)
    track = seen[0][:, 2]
    assert track[1].nonzero().tolist() == [[2, 1]]
    assert torch.expm1(track[1, 2, 1]) / 5 == pytest.approx(3.0)
    assert seen[0][0, 3].unique().item() == pytest.approx(torch.tensor(5.0).log().item())


def test_a_cell_has_the_mean_of_its_pixels_and_one_outside_its_own() -> None:
    network = made("dilated")
    plane = torch.arange(64.0).view(1, 1, 8, 8).expand(2, 2, 8, 8)
    network.network.forward = lambda image: plane  # type: ignore[method-assign]
    with torch.no_grad():
        network.outside.fill_(-7.0)
    logit = network(HITS, MASK)[..., 0]
    # Rows are 8 apart: pixels (4, 2), (4, 3), (5, 2), (5, 3) are 34, 35, 42, 43.
    assert logit[0].tolist() == [27.0, 38.5, -7.0]
    assert logit[1, :2].tolist() == [0.0, (55 + 63) / 2]


@pytest.mark.parametrize("kind", ["dilated", "unet", "graph"])
def test_padding_and_batch_mates_change_nothing_and_gradients_flow(kind: str) -> None:
    network = made(kind)
    both = network(HITS, MASK)
    alone = network(HITS[1:, :2], MASK[1:, :2])
    torch.testing.assert_close(both[1:, :2], alone)
    both[MASK].sum().backward()
    assert all(p.grad is not None for n, p in network.named_parameters() if n != "outside")
    empty = network(torch.zeros(1, 1, 7), torch.zeros(1, 1, dtype=torch.bool))
    assert torch.isfinite(empty).all()
