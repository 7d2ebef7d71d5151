"""Neighbours against a search by hand."""

import math

import numpy as np
import pytest
import torch

from colliderkit.events.graphs import (
    ParticleGraph,
    angular_distance,
    nearest_by_length,
    nearest_neighbours,
    squared_distance,
)


def test_squared_distance_of_a_right_triangle() -> None:
    points = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]])
    expected = torch.tensor([[[0.0, 9.0, 16.0], [9.0, 0.0, 25.0], [16.0, 25.0, 0.0]]])
    torch.testing.assert_close(squared_distance(points), expected)


def test_angular_distance_crosses_pi() -> None:
    eta = torch.tensor([[0.0, 1.0]])
    phi = torch.tensor([[math.pi - 0.1, -math.pi + 0.1]])
    assert angular_distance(eta, phi)[0, 0, 1].item() == pytest.approx(1 + 0.2**2, rel=1e-5)


def test_nearest_are_those_of_a_sort() -> None:
    random = np.random.default_rng(0)
    points = torch.from_numpy(random.normal(size=(3, 12, 2)))
    mask = torch.arange(12) < torch.tensor([12, 7, 4])[:, None]
    slot, exists = nearest_neighbours(squared_distance(points), mask, 5)
    for jet, count in enumerate((12, 7, 4)):
        for i in range(count):
            gap = (points[jet, :count] - points[jet, i]).norm(dim=1)
            expected = [j for j in gap.argsort().tolist() if j != i][:5]
            assert slot[jet, i][exists[jet, i]].tolist() == expected
        assert not exists[jet, count:].any()


def test_groups_of_similar_length_change_nothing() -> None:
    random = np.random.default_rng(1)
    lengths = torch.from_numpy(random.integers(0, 40, 100))
    mask = torch.arange(40) < lengths[:, None]
    points = torch.from_numpy(random.normal(size=(100, 40, 3))) * mask[..., None]
    slot, exists = nearest_neighbours(squared_distance(points), mask, 6)
    slots, found = nearest_by_length(points, mask, 6, squared_distance)
    assert torch.equal(found, exists)
    assert torch.equal(slots[found], slot[exists])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_small_jets_have_fewer_neighbours_than_asked(count: int) -> None:
    mask = torch.arange(3)[None] < count
    slot, exists = nearest_neighbours(torch.rand(1, 3, 3), mask, 16)
    assert slot.shape == exists.shape == (1, 3, 16)
    assert exists.sum(2).tolist() == [[max(0, count - 1) if i < count else 0 for i in range(3)]]


def test_coincident_particles_are_neighbours() -> None:
    slot, exists = nearest_neighbours(torch.zeros(1, 3, 3), torch.ones(1, 3, dtype=torch.bool), 2)
    assert exists.all()
    assert [sorted(s) for s in slot[0].tolist()] == [[1, 2], [0, 2], [0, 1]]


def test_graph_counts_particles_and_edges_of_real_particles_only() -> None:
    # Three particles on a line in eta and a jet of one.
    eta = torch.tensor([[-0.5, 0.0, 0.1], [0.3, 9.0, 9.0]])
    pt = torch.tensor([[3.0, 2.0, 1.0], [1.0, 9.0, 9.0]])
    values = torch.stack([pt, pt * 0, pt * eta.sinh(), pt * eta.cosh()], -1)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    graph = ParticleGraph(("px", "py", "pz", "E"), neighbours=1)(values, mask)
    assert graph.features.shape == (4, 7)
    assert graph.jet.tolist() == [0, 0, 0, 1]
    assert graph.receivers.tolist() == [0, 1, 2]
    assert graph.senders.tolist() == [1, 2, 1]
