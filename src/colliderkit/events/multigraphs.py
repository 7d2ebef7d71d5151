"""Loopless multigraphs up to isomorphism: the index set of the energy-flow polynomials."""

from functools import cache
from itertools import combinations

__all__ = ["Multigraph", "canonical", "connected", "order", "products"]

# Edges (j, k), j < k, repeated by multiplicity; vertices count from 0 without a gap. The graph
# without edges is one vertex.
Multigraph = tuple[tuple[int, int], ...]


def order(graph: Multigraph) -> int:
    """Return the number of vertices."""
    return 1 + max((max(edge) for edge in graph), default=0)


def canonical(edges: Multigraph) -> Multigraph:
    """Return the representative that all graphs isomorphic to `edges` share.

    Vertices are told apart by colour refinement (colour, then colours and multiplicities of the
    neighbours); where a colour class stays, each of its vertices is singled out in turn and the
    smallest outcome is kept. Of vertices with equal neighbourhoods one is enough.
    """
    n = order(edges)
    bond = [[0] * n for _ in range(n)]
    for j, k in edges:
        bond[j][k] += 1
        bond[k][j] += 1

    def twins(u: int, v: int) -> bool:
        return all(bond[u][w] == bond[v][w] for w in range(n) if w not in (u, v))

    def smallest(colour: list[int]) -> Multigraph:
        while True:
            signature = [
                (colour[v], sorted((bond[v][w], colour[w]) for w in range(n) if bond[v][w]))
                for v in range(n)
            ]
            ranked = [sum(other < mine for other in signature) for mine in signature]
            if ranked == colour:
                break
            colour = ranked
        # A class of m vertices starts at rank r and leaves the ranks r+1 ... r+m-1 unused.
        shared = sorted(c for c in set(colour) if colour.count(c) > 1)
        if not shared:
            renamed = ((colour[j], colour[k]) for j, k in edges)
            return tuple(sorted((min(edge), max(edge)) for edge in renamed))
        outcomes: list[Multigraph] = []
        tried: list[int] = []
        for v in (v for v in range(n) if colour[v] == shared[0]):
            if not any(twins(v, other) for other in tried):
                tried.append(v)
                others = [c + (c == shared[0] and w != v) for w, c in enumerate(colour)]
                outcomes.append(smallest(others))
        return min(outcomes)

    return smallest([0] * n)


@cache
def connected(edges: int) -> tuple[Multigraph, ...]:
    """List the connected loopless multigraphs with `edges` edges (OEIS A076864).

    Each has an edge whose removal leaves the rest connected (on a cycle, or at a leaf), so
    adding an edge in every way to the graphs with one edge fewer finds all.
    """
    if edges == 0:
        return ((),)
    graphs = set()
    for graph in connected(edges - 1):
        n = order(graph)
        for edge in [*combinations(range(n), 2), *((j, n) for j in range(n))]:
            graphs.add(canonical((*graph, edge)))
    return tuple(sorted(graphs, key=lambda graph: (order(graph), graph)))


@cache
def products(degree: int) -> tuple[tuple[Multigraph, ...], ...]:
    """List the multigraphs with exactly `degree` edges and no isolated vertex (OEIS A050535).

    Each is the tuple of its connected components; those of one component come first. Without
    edges there is the dot, a vertex alone.
    """
    if degree == 0:
        return (connected(0),)

    def partitions(left: int, largest: int, below: int) -> list[tuple[Multigraph, ...]]:
        if left == 0:
            return [()]
        choices = []
        for size in range(min(left, largest), 0, -1):
            graphs = connected(size)
            limit = below if size == largest else len(graphs)
            for i in range(limit):
                rest = partitions(left - size, size, i + 1)
                choices += [(graphs[i], *others) for others in rest]
        return choices

    return tuple(sorted(partitions(degree, degree, len(connected(degree))), key=len))
