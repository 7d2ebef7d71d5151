"""The index set of the energy-flow polynomials."""

import random
from itertools import combinations_with_replacement, product

import pytest

from colliderkit.events.multigraphs import canonical, connected, order, products


def test_counts_are_those_of_the_paper():
    # Table of 1712.07124; OEIS A076864 (connected) and A050535 (all).
    assert [len(connected(d)) for d in range(8)] == [1, 1, 2, 5, 12, 33, 103, 333]
    assert [len(products(d)) for d in range(8)] == [1, 1, 3, 8, 23, 66, 212, 686]


@pytest.mark.parametrize("edges", [1, 2, 3])
def test_every_connected_graph_is_found(edges):
    # All multisets of pairs of edges + 1 vertices, kept if they reach the vertices they name.
    pairs = [(j, k) for j, k in product(range(edges + 1), repeat=2) if j < k]
    classes = set()
    for graph in combinations_with_replacement(pairs, edges):
        used = sorted({v for edge in graph for v in edge})
        reached = {used[0]}
        for _ in graph:
            reached |= {v for edge in graph if reached & set(edge) for v in edge}
        if len(reached) == len(used):
            classes.add(canonical(tuple((used.index(j), used.index(k)) for j, k in graph)))
    assert classes == set(connected(edges))


@pytest.mark.parametrize("degree", [5, 6, 7])
def test_canonical_form_ignores_names(degree):
    shuffle = random.Random(degree)
    for graph in connected(degree):
        assert canonical(graph) == graph
        names = list(range(order(graph)))
        shuffle.shuffle(names)
        renamed = [(names[j], names[k]) for j, k in graph]
        shuffle.shuffle(renamed)
        assert canonical(tuple((min(edge), max(edge)) for edge in renamed)) == graph


def test_every_product_has_its_edges():
    for graphs in products(6):
        assert sum(len(graph) for graph in graphs) == 6
        assert all(graph in connected(len(graph)) for graph in graphs)
    assert len(set(products(6))) == len(products(6))
