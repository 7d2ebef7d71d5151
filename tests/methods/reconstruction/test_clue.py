"""CLUE against its definition, hit by hit, and on events where the answer is known."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter import density as module
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.methods.reconstruction.clue import CLUE, clue
from colliderkit.metrics.clustering import f1, match_clusters
from contracts.cases.clustering import small_events

SETTINGS = {"distance": 0.6, "density": 1.2, "outlier": 2.0}


def defined(x: np.ndarray, energy: np.ndarray) -> list[int]:
    """One event by the equations, with loops; a cluster is named by its seed."""
    distance = np.sqrt(((x[:, None] - x[None]) ** 2).sum(2))
    count = len(x)
    rho = [
        energy[i] + 0.5 * sum(energy[j] for j in range(count) if j != i and distance[i, j] <= 0.6)
        for i in range(count)
    ]
    label = [-2] * count
    for i in sorted(range(count), key=lambda i: (-rho[i], i)):
        higher = [
            (distance[i, j], j)
            for j in range(count)
            if distance[i, j] <= 1.2 and (rho[j] > rho[i] or (rho[j] == rho[i] and j < i))
        ]
        delta, nearest = min(higher) if higher else (np.inf, -1)
        if rho[i] >= 1.2 and delta > 0.6:
            label[i] = i
        elif rho[i] < 1.2 and delta > 1.2:
            label[i] = -1
        else:
            label[i] = label[nearest]
    return label


def hits(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.uniform(0, 4, (count, 3)), random.exponential(1.0, count)


def test_it_is_the_definition_event_by_event(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [hits(seed) for seed in range(4)]
    x, energy = (np.concatenate(part) for part in zip(*events, strict=True))
    event = np.repeat([5, 2, 9, 7], 60)
    found = clue(x, energy, event, **SETTINGS)
    for i, one in enumerate(events):
        label, wanted = found[60 * i : 60 * (i + 1)], defined(*one)
        assert (label >= 0).tolist() == [w >= 0 for w in wanted]
        seeds = sorted(set(wanted) - {-1})
        assert label.tolist() == [seeds.index(w) if w >= 0 else -1 for w in wanted]
    # In many small blocks it says the same.
    monkeypatch.setattr(module, "PAIRS", 50)
    monkeypatch.setattr(module, "_blocks", lambda x, reach: np.array_split(np.arange(len(x)), 7))
    np.testing.assert_array_equal(clue(x, energy, event, **SETTINGS), found)


@pytest.mark.parametrize("kind", ["space", "layers"])
def test_no_hit_one_hit_and_noise(kind: str) -> None:
    method = CLUE(kind=kind, distance=20.0, density=0.5)
    empty = CalorimeterHits.checked([0, 0, 1, 3], [[0, 0, 0], [0, 0, 0], [99, 0, 0]], [1, 0.1, 0.1])
    found = method.fit(empty, progress=False).predict(empty)
    assert found.label.tolist() == [0, -1, -1]
    assert found.offsets.tolist() == [0, 0, 1, 1]
    none = empty.at([0])
    assert len(method.predict(none).energy) == 0


def test_layers_are_clustered_and_linked() -> None:
    # Two towers of two hits in each of three layers.
    position = [(x + dx, 0, z) for x in (0, 100) for z in (5, 10, 15) for dx in (0, 5)]
    hits = CalorimeterHits.checked([0, 12], position, np.ones(12))
    method = CLUE(kind="layers", distance=8.0, density=0.5, link=20.0)
    found = method.fit(hits, progress=False).predict(hits)
    assert found.label.tolist() == [0] * 6 + [1] * 6


def test_tuning_finds_what_is_better_and_needs_truth() -> None:
    events = small_events(10, 3)
    plain = CLUE(distance=5.0, density=0.1)
    tuned = CLUE(distance=5.0, density=0.1, tune=True)
    scores = [
        f1(match_clusters(events, method.fit(events, progress=False).predict(events)))
        for method in (plain, tuned)
    ]
    assert scores[0] < scores[1]
    assert tuned.chosen_["distance"] > 5
    bare = CalorimeterHits.checked(events.offsets, events.position, events.energy)
    with pytest.raises(InputError, match="no true particles to tune by"):
        tuned.fit(bare)
    with pytest.raises(InputError, match="kind is 'flat'"):
        CLUE(kind="flat").fit(events)  # type: ignore[arg-type]
