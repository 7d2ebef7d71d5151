"""Anomalies of a network: the quantum of losses is none, and a link is found by its paths."""

from dataclasses import replace

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.operations.network_anomalies import DETECTORS, NetworkAnomaly
from colliderkit.sources.network.probes import PathProbes
from colliderkit.sources.network.topology import small_wlcg

ROUTES = small_wlcg(5, 4).routes()
T, BEGIN = 800, 600
MIXING = np.random.default_rng(0).normal(size=(3, len(ROUTES)))  # what traffic has in common


def usual(seed: int) -> PathProbes:
    random = np.random.default_rng(seed)
    shape = (T, len(ROUTES))
    common = random.normal(size=(T, 3)) @ MIXING
    traffic = 5 + common + 0.3 * random.normal(size=shape)
    delay = 10 + 0.3 * random.normal(size=shape)
    return PathProbes.checked(np.stack([traffic, delay, np.zeros(shape)], 2), ROUTES)


def with_step(probes: PathProbes, link: int, column: int, size: float) -> PathProbes:
    values = probes.values.copy()
    values[BEGIN : BEGIN + 60, ROUTES[:, link], column] += size
    return replace(probes, values=values)


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("kind", "column", "size"),
    [("cusum", 1, 1.5), ("cusum", 2, 8 / 600), ("pca", 0, 4.0)],
)
def test_a_link_is_found_by_its_paths(kind, column, size, seed):
    """Links of the core, of several paths each: most have no other with the same paths."""
    method = NetworkAnomaly(kind=kind, components=3, day=500).fit(usual(seed), progress=False)
    alone = [
        link
        for link in np.flatnonzero(ROUTES.sum(0) > 1)
        if sum(np.array_equal(ROUTES[:, link], other) for other in ROUTES.T) == 1
    ]
    right = 0
    for link in alone[:6]:
        found = method.incidents(with_step(usual(seed + 1000), int(link), column, size))
        near = [one for one in found if one.begin <= BEGIN + 30 and one.end >= BEGIN]
        right += bool(near) and near[0].place == link
    assert right >= 5  # by chance 1 of 20 links


@pytest.mark.statistical
def test_an_isolation_forest_sees_a_step_and_hardly_alarms(seed):
    """No score exceeds that of the most isolated event of the training: it seldom alarms."""
    method = NetworkAnomaly(kind="isolation-forest", day=500).fit(usual(seed), progress=False)
    probes = usual(seed + 1000)
    high = np.quantile(method.score(probes), 0.9)
    shares = []
    for link in np.flatnonzero(ROUTES.sum(0) > 1)[:6]:
        score = method.score(with_step(probes, int(link), 1, 3.0))
        shares.append((score[BEGIN : BEGIN + 60][:, ROUTES[:, link] > 0] > high).mean())
    assert np.mean(shares) > 0.25  # 0.1 without a step


@pytest.mark.parametrize("kind", DETECTORS)
def test_the_quantum_of_losses_is_no_anomaly(kind):
    """One or two of 600 packets that a host drops leave every score as it is."""
    probes = usual(1)
    method = NetworkAnomaly(kind=kind, day=500).fit(probes, progress=False)
    lossy = probes.values.copy()
    lossy[:, :, 2] = np.random.default_rng(2).integers(0, 3, lossy.shape[:2]) / 600
    quantum = replace(probes, values=lossy)
    np.testing.assert_array_equal(method.score(quantum), method.score(probes))


def test_the_training_has_no_more_incidents_than_asked():
    probes = usual(3)
    for kind in DETECTORS:
        method = NetworkAnomaly(kind=kind, day=500, alarms=2.0).fit(probes, progress=False)
        assert len(method.incidents(probes)) <= 6


def test_few_intervals_are_refused():
    with pytest.raises(InputError, match="do not say what is usual"):
        NetworkAnomaly().fit(usual(1).between(0, 30), progress=False)
    fitted = NetworkAnomaly().fit(usual(1), progress=False)
    other = PathProbes.checked(usual(1).values[:, :4], ROUTES[:4])
    with pytest.raises(InputError, match="4 paths, and 20 were fitted"):
        fitted.score(other)
