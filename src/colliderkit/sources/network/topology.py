"""Topology of a network: sites, a core of routers, links of one direction, shortest paths."""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints
from colliderkit.seeds import derive

__all__ = ["Topology", "small_wlcg"]

ACCESS = (20.0, 40.0, 100.0)  # Gb/s, of small, middle and large sites
CORE = 100.0


@dataclass(frozen=True)
class Topology:
    """Describe S sites and their routers, nodes 0 to S - 1 and from S on, and L directed links.

    - `sites`: S, and `nodes`, all of them;
    - `source`, `target` (L,) int64: the nodes of each link;
    - `capacity` (L,) [Gb/s], `delay` (L,) [ms] of one direction;
    - `metric` (L,): what a route adds up, as in OSPF.
    """

    sites: int
    nodes: int
    source: Ints
    target: Ints
    capacity: Floats
    delay: Floats
    metric: Floats

    @property
    def links(self) -> int:
        """L, each direction of a cable is one."""
        return len(self.source)

    @property
    def pairs(self) -> Ints:
        """The sites (P, 2) at the ends of each path: all ordered pairs."""
        ends = np.argwhere(~np.eye(self.sites, dtype=bool))
        return ends.astype(np.int64)

    def name(self, link: int) -> str:
        """Name a link by its ends, "S3>R1"."""
        return ">".join(
            f"S{node}" if node < self.sites else f"R{node - self.sites}"
            for node in (int(self.source[link]), int(self.target[link]))
        )

    def routes(self, metric: Floats | None = None) -> NDArray[np.bool_]:
        """Return which links each path takes, (P, L): the shortest by `metric`, its own if None.

        Of two that are equally short it is the one through the lower node. Raises `InputError`
        where two sites are not connected.
        """
        cost = self.metric if metric is None else metric
        leaving: list[list[int]] = [[] for _ in range(self.nodes)]
        for link, node in enumerate(self.source):
            leaving[node].append(link)
        pairs = self.pairs
        found = np.zeros((len(pairs), self.links), dtype=bool)
        for site in range(self.sites):
            arrived = self._tree(site, cost, leaving)
            for path in np.flatnonzero(pairs[:, 0] == site):
                node = int(pairs[path, 1])
                while node != site:
                    link = arrived[node]
                    if link < 0:
                        raise InputError(
                            f"no links lead from site {site} to site {pairs[path, 1]};"
                            " connect them."
                        )
                    found[path, link] = True
                    node = int(self.source[link])
        return found

    def _tree(self, site: int, cost: Floats, leaving: list[list[int]]) -> list[int]:
        """Return the link by which the shortest path from a site arrives at each node, or -1."""
        distance = np.full(self.nodes, np.inf)
        arrived = [-1] * self.nodes
        distance[site] = 0.0
        queue = [(0.0, site)]
        while queue:
            here, node = heapq.heappop(queue)
            if here > distance[node] or (node < self.sites and node != site):
                continue  # a site passes nothing on
            for link in leaving[node]:
                there = here + float(cost[link])
                if there < distance[self.target[link]]:
                    distance[self.target[link]] = there
                    arrived[self.target[link]] = link
                    heapq.heappush(queue, (there, int(self.target[link])))
        return arrived


def small_wlcg(sites: int = 10, routers: int = 8, *, seed: int = 0) -> Topology:
    """Draw a small WLCG: a ring of core routers with chords, each site behind one of them.

    Core cables have 100 Gb/s and 4 to 12 ms, those of sites 20, 40 or 100 Gb/s and 1 ms. The
    metric of a link is its delay. Raises `InputError` for fewer than 2 sites or 3 routers.
    """
    if sites < 2 or routers < 3:
        raise InputError(f"{sites} sites and {routers} routers; give 2 and 3 or more.")
    random = np.random.default_rng(derive(seed, "topology"))
    ring = [(i, (i + 1) % routers) for i in range(routers)]
    chords = [(i, i + routers // 2) for i in range(0, routers // 2, 2)]
    core = np.array(ring + chords) + sites
    homes = sites + random.permutation(np.resize(np.arange(routers), sites))
    cables = np.concatenate([np.stack([np.arange(sites), homes], 1), core])
    width = np.concatenate([np.resize(ACCESS[::-1], sites), np.full(len(core), CORE)])
    delay = np.concatenate([np.ones(sites), np.round(random.uniform(4, 12, len(core)), 2)])
    both = np.concatenate([cables, cables[:, ::-1]]).astype(np.int64)
    twice = [np.tile(column, 2) for column in (width, delay, delay)]
    return Topology(sites, sites + routers, both[:, 0], both[:, 1], *twice)
