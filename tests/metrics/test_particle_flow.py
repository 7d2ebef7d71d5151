"""Residuals of the neutral energy, and particles that are matched: exact values, their errors."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.particle_flow import FlowParticles
from colliderkit.metrics.particle_flow import (
    direction_error,
    match_particles,
    patch_response,
    residual_bins,
    residuals,
    sum_shift,
)


def test_residuals_are_relative_with_their_tail() -> None:
    truth = np.full(1001, 2.0)
    found = residuals(truth * (1 + np.linspace(-0.5, 0.7, 1001)), truth)
    assert found.median.value == pytest.approx(0.1)
    # Half of the central 68.27% of a flat distribution of width 1.2.
    assert found.width.value == pytest.approx(0.6827 * 1.2 / 2, rel=1e-3)
    assert (found.tail.value, found.tail.error) == (0, 1 / 1003)
    wild = residuals([1.0, 1.0, 1.0, 3.5], [1.0] * 4)
    assert wild.tail.value == 0.25
    with pytest.raises(InputError, match=r"truth of event 1 \(counted from 0\) is 0, not positive"):
        residuals([1.0] * 3, [1.0, 0.0, 1.0])
    with pytest.raises(InputError, match="three or more"):
        residuals([1.0], [1.0])


@pytest.mark.statistical
def test_bins_have_their_own_widths(seed: int) -> None:
    random = np.random.default_rng(seed)
    along = np.repeat([0.5, 1.5], 4000)
    r = random.normal(0.02, np.where(along < 1, 0.1, 0.3))
    found = residual_bins(5 * (1 + r), np.full(8000, 5.0), along, [0, 1, 2])
    assert np.all(np.abs(found.spread - [0.1, 0.3]) < 5 * found.spread_error)
    assert np.all(np.abs(found.value - 0.02) < 5 * found.error)


def test_the_direction_is_of_the_means_by_energy() -> None:
    hits = CalorimeterHits.checked([0, 2, 3], [[0, 0, 0], [10, 0, 0], [5, 5, 0]], [1.0, 3.0, 1.0])
    off = direction_error(hits, [1.0, 1.0, 0.0], [1.0, 0.0, 1.0])
    assert off[0] == pytest.approx(7.5)
    assert np.isnan(off[1])


def particles(*rows: tuple[int, float, float, float, int], events: int = 1) -> FlowParticles:
    """Return particles of rows (event, pT, eta, phi, kind)."""
    event, pt, eta, phi, kind = np.array(rows, dtype=float).reshape(-1, 5).T
    return FlowParticles.of(
        event.astype(int), events, pt=pt, eta=eta, phi=phi, kind=kind.astype(int)
    )


def test_one_particle_is_matched_once_and_across_the_turn_of_phi():
    true = particles((0, 10.0, 0.0, np.pi - 0.01, 1))
    # Two halves of it: one matches, and the other is a fake.
    found = particles((0, 6.0, 0.01, 0.02 - np.pi, 1), (0, 5.5, 0.0, np.pi - 0.02, 1))
    matching = match_particles(true, found)
    assert matching.efficiency().value == 1
    assert matching.fake_rate().value == 0.5
    # The nearer in dR and in ln pT together.
    assert matching.back.tolist() == [0, -1]


def test_charge_distance_and_momentum_decide_what_may_match():
    true = particles((0, 5.0, 0, 0, 0), (0, 4.0, 1, 1, 1), (0, 3.0, 1, -1, 2), (0, 2.0, -1, 2, 1))
    found = particles(
        (0, 5.0, 0, 0, 1),  # a charged one, found as a photon
        (0, 4.0, 1.11, 1, 1),  # beyond dR 0.1
        (0, 1.4, 1, -1, 2),  # less than half of its pT
        (0, 2.0, -1, 2, 2),  # a photon, found as a neutral hadron: a match of another kind
    )
    matching = match_particles(true, found)
    assert matching.efficiency().value == 0.25
    assert matching.fake_rate().value == 0.75
    assert matching.confused().value == 1


def test_more_matches_win_over_nearer_ones():
    # The first found one is nearest to the first true one, and alone in reach of the second.
    true = particles((0, 5.0, 0.0, 0.0, 1), (0, 5.0, 0.09, 0.0, 1))
    found = particles((0, 5.0, 0.01, 0.0, 1), (0, 5.0, -0.09, 0.0, 1))
    matching = match_particles(true, found)
    assert (matching.partner >= 0).all()


def test_events_without_particles_or_finds_count():
    true = particles((0, 5.0, 0, 0, 1), (2, 5.0, 0, 0, 1), events=3)
    found = particles((0, 5.0, 0, 0, 1), (1, 5.0, 0, 0, 1), events=3)
    matching = match_particles(true, found)
    assert matching.efficiency().value == 0.5
    assert matching.fake_rate().value == 0.5
    nothing = particles(events=3)
    assert match_particles(true, nothing).efficiency().value == 0
    assert np.isnan(match_particles(true, nothing).fake_rate().value)
    with pytest.raises(InputError, match="3 events of true particles and 1"):
        match_particles(true, particles())


def test_soft_and_forward_particles_are_not_counted():
    true = particles((0, 0.9, 0, 0, 1), (0, 5.0, 2.1, 0, 1), (0, 5.0, 0, 1, 1))
    assert match_particles(true, true).counted(true).sum() == 1


def test_patches_and_the_missing_momentum_are_sums():
    true = particles((0, 20.0, 0.1, 0.1, 0), (0, 30.0, 0.2, 0.2, 1), (1, 5.0, 0, 0, 1), events=2)
    found = particles((0, 45.0, 0.15, 0.15, 0), (1, 8.0, 0, 0, 1), events=2)
    ratio, event = patch_response(true, found)
    np.testing.assert_allclose(ratio, [0.9])
    assert event.tolist() == [0]
    shift = sum_shift(true, found)
    np.testing.assert_allclose(shift[1], [3.0, 0.0], atol=1e-12)
