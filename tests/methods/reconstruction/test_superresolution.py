"""Superresolution: fine cells of coarse ones, their truth, and what is learned."""

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.losses.energy_share import split_energy
from colliderkit.methods.reconstruction.superresolution import Superresolution
from colliderkit.tasks.superresolution import EVEN, misplaced_rows
from colliderkit.training.settings import Training
from contracts.cases.neutral_energy import small_pairs


def fitted(seed: int, count: int = 100, epochs: int = 8) -> Superresolution:
    training = Training(epochs=epochs, batch_size=16, learning_rate=1e-2)
    method = Superresolution(
        (20.0, 20.0), size=8, channels=8, noise=1.0, threshold=1.0, training=training
    )
    return method.fit(*small_pairs(count, 10 + seed), seed=seed, progress=False)


@pytest.mark.statistical
def test_cells_are_divided_better_than_evenly(seed: int) -> None:
    hits, track = small_pairs(60, 3000 + seed)
    shares = []
    for start in (seed, seed + 1, seed + 2):
        method = fitted(start)
        _, misplaced = misplaced_rows(method, hits, track, seed=1)
        shares.append(misplaced[method.name].mean() / misplaced[EVEN].mean())
    assert np.median(shares) < 0.7


def test_fine_cells_hold_what_their_coarse_one_reads() -> None:
    method = fitted(1, count=40, epochs=1)
    hits, track = small_pairs(5, 1)
    read = method.read_out(hits)
    cells, share = method.predict(read, track)
    even, parent = method.cut(read)
    np.testing.assert_allclose(np.bincount(parent, cells.energy), read.energy)
    np.testing.assert_array_equal(cells.position, even.position)
    assert ((share > 0) & (share < 1)).all()
    # Cells of 10 mm of the first layer, and those of 20 mm of the second as they are.
    np.testing.assert_allclose(np.sort(np.unique(even.position[:, 2])), [10, 60])
    truth, neutral = method.truth(hits, even)
    assert truth.sum() == pytest.approx(hits.energy.sum(), rel=0.01)
    assert (truth * neutral).sum() == pytest.approx(hits.deposit[1::2].sum(), rel=0.01)


def test_the_loss_is_0_where_both_are_right() -> None:
    energy = torch.tensor([[1.0, 3.0, 2.0, 0.0]])
    share = torch.tensor([[0.25, 0.5, 0.75, 0.0]])
    score = torch.tensor([[0.0, np.log(3.0), 0.0, -10.0]])
    cell, real = torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1, 4)
    one = torch.ones(1)

    def loss(logit: torch.Tensor, odds: torch.Tensor) -> float:
        outputs = torch.stack([logit, odds, energy, share, cell, real], 2)
        return float(split_energy(outputs, one, one))

    right = torch.logit(share, eps=1e-6)
    assert loss(right, score) == pytest.approx(0, abs=1e-4)
    # Divided evenly: 1 ln(1/2) + 3 ln(3/2) + 2 ln 2 over 6 GeV.
    even = np.log(0.5) + 3 * np.log(1.5) + 2 * np.log(2)
    assert loss(right, torch.zeros(1, 4)) == pytest.approx(even / 6, rel=1e-4)
    assert loss(torch.logit(share + 0.1), score) == pytest.approx(0.01, rel=0.02)


def test_what_is_wrong_is_said() -> None:
    hits, track = small_pairs(20, 1)
    with pytest.raises(InputError, match="are no multiples of"):
        Superresolution((25.0, 20.0), size=8).fit(hits, track)
    with pytest.raises(InputError, match="2 depths, 2 fine and 1 coarse widths"):
        Superresolution((20.0,), size=8).fit(hits, track)
