"""Neutral energy beside a track: the network and the subtraction, on pairs of known shapes."""

from dataclasses import replace

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.methods.reconstruction.neutral_energy import (
    NeutralEnergy,
    neutral_energy,
    neutral_shares,
)
from colliderkit.methods.reconstruction.subtraction import ParametrisedSubtraction
from colliderkit.metrics.particle_flow import residuals
from colliderkit.training.settings import Training
from contracts.cases.neutral_energy import DEPTHS, WIDTHS, small_pairs

RINGS = (0.0, 10.0, 20.0, 30.0, 60.0)


@pytest.mark.statistical
def test_the_network_is_better_than_the_subtraction_and_that_than_nothing(seed: int) -> None:
    train, test = small_pairs(150, 10 + seed), small_pairs(100, 2000 + seed)
    truth = neutral_energy(test[0], neutral_shares(test[0]))
    subtraction = ParametrisedSubtraction(rings=RINGS, core=15.0, ranges=3).fit(*train)
    # Nine trainings of 24 epochs had 0.023 to 0.042 where 12 have up to 0.2.
    training = Training(epochs=24, batch_size=16, learning_rate=1e-2)
    network = NeutralEnergy(size=8, channels=8, training=training)
    network.fit(*train, seed=seed, progress=False)
    learned = residuals(neutral_energy(test[0], network.predict(*test)), truth).width.value
    by_hand = residuals(neutral_energy(test[0], subtraction.predict(*test)), truth).width.value
    nothing = residuals(neutral_energy(test[0], np.ones(len(test[0].energy))), truth).width.value
    assert learned < by_hand < nothing
    assert network.depths_ == list(DEPTHS)
    assert network.widths_ == list(WIDTHS)


def test_true_shares_are_of_what_each_left() -> None:
    hits, _ = small_pairs(3, 1)
    share = neutral_shares(hits)
    np.testing.assert_allclose(neutral_energy(hits, share), hits.deposit[1::2])
    bare = CalorimeterHits.checked(hits.offsets, hits.position, hits.energy)
    assert not neutral_shares(bare).any()


def one(energies: list[float], x: list[float]) -> CalorimeterHits:
    """An event of cells in one layer, charged all."""
    return CalorimeterHits.checked(
        [0, len(x)], [[a, 0.0, 5.0] for a in x], energies, particle_offsets=[0, 1],
        particle_energy=[1.0], pdg=[211], share_hit=np.arange(len(x)),
        share_particle=np.zeros(len(x), dtype=int), share_energy=energies,
    )  # fmt: skip


def test_rings_are_removed_by_density_until_the_expected_energy() -> None:
    # Alone it leaves 6, 3 and 1 GeV of 10 in three rings; all its showers are alike.
    shower = one([6.0, 3.0, 1.0], [0.0, 15.0, 25.0])
    several = CalorimeterHits.joined([shower] * 10)
    track = np.tile([0.0, 0.0, 10.0], (10, 1))
    rings = (0.0, 10.0, 20.0, 30.0)
    method = ParametrisedSubtraction(depths=[5.0], rings=rings, core=50.0, ranges=1)
    method.fit(several, track)
    assert method.response_[0, 0] == pytest.approx(1.0)
    assert method.spread_[0, 0] == pytest.approx(0.0, abs=1e-9)
    assert method.order_[0, 0].tolist() == [0, 1, 2]
    # 4 GeV more in the second ring: 6 of the first go, 4 of 7 in the second, none of the third.
    event = one([6.0, 7.0, 1.0, 2.0], [0.0, 15.0, 25.0, 99.0])
    left = method.predict(event, track[:1])
    assert left == pytest.approx([0.0, 1 - 4 / 7, 1.0, 1.0])
    assert neutral_energy(event, left) == pytest.approx([3 + 1 + 2])
    # A rest below 1.5 spreads goes as well, but for what lies beyond the rings.
    method.spread_ = np.full_like(method.spread_, 0.3)
    assert method.predict(event, track[:1]).tolist() == [0, 0, 0, 1]


def test_what_is_wrong_is_said() -> None:
    hits, track = small_pairs(20, 1)
    method = NeutralEnergy(depths=DEPTHS, widths=WIDTHS, size=8)
    with pytest.raises(InputError, match="19 tracks for 20 events"):
        method.fit(hits, track[1:])
    with pytest.raises(InputError, match=r"the track of event 2 .* momentum of -1 GeV"):
        method.fit(hits, np.where(np.arange(20)[:, None] == 2, [0.0, 0.0, -1.0], track))
    far = np.where(np.arange(20)[:, None] == 4, [900.0, 0.0, 5.0], track)
    with pytest.raises(InputError, match=r"the track of event 4 .* far outside of the hits"):
        method.fit(hits, far)
    moved = replace(hits, position=hits.position + np.array([3.0, 0.0, 0.0]))
    with pytest.raises(InputError, match="is no cell of 10 mm on pixels of 10 mm"):
        method.fit(moved, track)
    with pytest.raises(InputError, match="2 depths and 1 widths"):
        NeutralEnergy(depths=DEPTHS, widths=[10.0]).fit(hits, track)
    bare = CalorimeterHits.checked(hits.offsets, hits.position, hits.energy)
    for each in (method, ParametrisedSubtraction()):
        with pytest.raises(InputError, match="no true particles to learn from"):
            each.fit(bare, track)
