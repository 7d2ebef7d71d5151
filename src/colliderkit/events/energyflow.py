"""Energy-flow polynomials: a linear basis of the infrared- and collinear-safe observables."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from colliderkit.errors import InputError
from colliderkit.events import fourvectors
from colliderkit.events.multigraphs import Multigraph, order, products
from colliderkit.events.scaling import Standardise

__all__ = ["Contraction", "EnergyFlow", "hadronic_measure"]

HIGHEST_DEGREE = 7
# Jets are done in chunks whose intermediates hold this many numbers (4 MiB): larger ones come
# from fresh pages of memory each time, which makes them three times slower.
NUMBERS_PER_CHUNK = 1 << 20


def hadronic_measure(
    values: Tensor, mask: Tensor, beta: float = 0.5, kappa: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return energy fractions z (B, N) and angles theta (B, N, N) of constituents (B, N, 4+).

    ``z_i = (pt_i / sum_j pt_j)^kappa``, zero where padded, and
    ``theta_ij = (dy_ij^2 + dphi_ij^2)^(beta/2)`` with rapidity y. Observables are infrared and
    collinear safe for kappa = 1.
    """
    pt, rapidity, phi = fourvectors.pt_rapidity_phi(values[..., :4] * mask[..., None])
    # `fourvectors` lifts zero vectors to 1e-8 GeV; here they must not count at all.
    pt = pt * (mask & (pt > 1e-7))
    z = pt / pt.sum(1, keepdim=True).clamp(min=1e-8)
    if kappa != 1:
        # 0^kappa has no finite gradient: the power is taken of 1 there.
        z = torch.where(z > 0, torch.where(z > 0, z, 1).pow(kappa), 0)
    dy = rapidity[:, :, None] - rapidity[:, None, :]
    dphi = fourvectors.delta_phi(phi[:, :, None], phi[:, None, :])
    squared = dy.square() + dphi.square()
    if beta == 2:
        return z, squared
    # The root has no gradient at zero (a particle with itself): it is taken of 1 there.
    distinct = squared > 0
    return z, torch.where(distinct, torch.where(distinct, squared, 1).sqrt().pow(beta), 0)


# A step of a contraction read as a matrix, the other way round if True.
Operand = tuple[int, bool]


class Contraction:
    """Evaluate the polynomials of many connected multigraphs, sharing what they have in common.

    ``EFP_G = sum_{i_1..i_n} z_{i_1} ... z_{i_n} prod_{(j,k) in G} theta_{i_j i_k}``

    is summed one vertex at a time: a vertex with one neighbour leaves a vector, one with two a
    matrix product. A graph of n vertices then costs at most N^3 operations instead of N^n, or
    N^4 if it holds a complete graph of four. An intermediate is named by what it is
    made of, computed once for all graphs, and dropped after its last use.
    """

    def __init__(self, graphs: Sequence[Multigraph]) -> None:
        self._steps: list[tuple[str, tuple[Operand, ...]]] = []
        self._index: dict[tuple[str, tuple[Operand, ...]], int] = {}
        self._symmetric: list[bool] = []
        self._z, self._theta = self._step("z"), self._step("theta")
        self._outputs = [self._eliminate(graph)[0] for graph in graphs]
        last = {source: i for i, (_, used) in enumerate(self._steps) for source, _ in used}
        self._drop: dict[int, list[int]] = {}
        for source, i in last.items():
            self._drop.setdefault(i, []).append(source)

    def __call__(self, z: Tensor, theta: Tensor) -> Tensor:
        """Return the polynomials (B, graphs) of z (B, N) and symmetric theta (B, N, N)."""
        intermediates: dict[int, Tensor] = {}
        polynomials: dict[int, Tensor] = {}
        for i, (operation, operands) in enumerate(self._steps):
            x = [
                intermediates[source].mT if turned else intermediates[source]
                for source, turned in operands
            ]
            if operation == "z":
                intermediates[i] = z
            elif operation == "theta":
                intermediates[i] = theta
            elif operation == "times":
                intermediates[i] = x[0] * x[1]
            elif operation == "apply":
                intermediates[i] = (x[0] @ x[1][..., None])[..., 0]
            elif operation == "chain":
                intermediates[i] = (x[0] * x[1][:, None, :]) @ x[2]
            elif operation == "sum":
                polynomials[i] = x[0].sum(-1)
            else:
                intermediates[i] = _diamonds(*x)
            for source in self._drop.get(i, ()):
                del intermediates[source]
        return torch.stack([polynomials[i] for i in self._outputs], dim=-1)

    def _step(self, operation: str, *operands: Operand, mirror: Sequence[Operand] = ()) -> Operand:
        """Return the step that does `operation`, or `mirror` of it, which is its transpose."""
        key, turned = (operation, operands), False
        if mirror and (operation, tuple(mirror)) in self._index:
            key, turned = (operation, tuple(mirror)), True
        if key not in self._index:
            self._index[key] = len(self._steps)
            self._steps.append(key)
            self._symmetric.append(not mirror or tuple(mirror) == operands)
        index = self._index[key]
        return index, turned and not self._symmetric[index]

    def _turn(self, operand: Operand) -> Operand:
        index, turned = operand
        return index, not turned and not self._symmetric[index]

    def _times(self, factors: Sequence[Operand]) -> Operand:
        # Sorted, so that equal products are found again and powers of theta come first.
        product, *others = sorted(factors)
        for factor in others:
            mirror = sorted([self._turn(product), self._turn(factor)])
            product = self._step("times", *sorted([product, factor]), mirror=mirror)
        return product

    def _eliminate(self, graph: Multigraph) -> Operand:
        bonds: dict[tuple[int, int], list[Operand]] = {}
        for edge in graph:
            bonds.setdefault(edge, []).append(self._theta)
        vertices = {v: [self._z] for v in range(order(graph))}

        def neighbours(v: int) -> list[int]:
            return sorted(j + k - v for j, k in bonds if v in (j, k))

        def bond(u: int, v: int) -> Operand:
            """The product of all that joins u (rows) and v (columns)."""
            matrix = self._times(bonds[min(u, v), max(u, v)])
            return matrix if u < v else self._turn(matrix)

        while len(vertices) > 1:
            v = min(vertices, key=lambda v: (len(neighbours(v)), len(vertices[v]), v))
            vector, around = self._times(vertices[v]), neighbours(v)
            if len(around) == 1:
                (u,) = around
                vertices[u].append(self._step("apply", bond(u, v), vector))
            elif len(around) == 2:
                u, w = around
                left, right = bond(u, v), bond(v, w)
                reverse = (self._turn(right), vector, self._turn(left))
                chain = self._step("chain", left, vector, right, mirror=reverse)
                bonds.setdefault((u, w), []).append(chain)
            elif len(vertices) == 4:
                # Two vertices go at once. The other two are those least like the rest, so that
                # all graphs with a tetrahedron share this one costly matrix.
                pairs = combinations(sorted(vertices), 2)
                u, w = max(pairs, key=lambda p: (bonds[p], vertices[p[0]], vertices[p[1]]))
                v, x = sorted(vertices.keys() - {u, w})
                inner = (self._times(vertices[v]), self._times(vertices[x]), bond(v, x))
                outer = (bond(u, v), bond(u, x), bond(v, w), bond(x, w))
                mirror = (*inner, *(self._turn(outer[i]) for i in (2, 3, 0, 1)))
                bonds[u, w].append(self._step("diamond", *inner, *outer, mirror=mirror))
                bonds = {edge: factors for edge, factors in bonds.items() if x not in edge}
                del vertices[x]
            else:
                raise InputError(f"graph {graph} needs more than N^4 operations; leave it out.")
            bonds = {edge: factors for edge, factors in bonds.items() if v not in edge}
            del vertices[v]
        return self._step("sum", self._times(next(iter(vertices.values()))))


def _diamond(*operands: Tensor) -> Tensor:
    """Return ``sum_ij i j (ij)(li)(lj)(ik)(jk)`` as a matrix (B, l, k), in N^4."""
    i, j, ij, li, lj, ik, jk = operands
    lij = (lj * j[:, None])[:, :, None, :] * ij[:, None]
    if torch.compiler.is_exporting():
        inner = lij @ jk[:, None]
    else:
        # One product a jet is faster than one for each l, but cannot be traced for any length.
        inner = (lij.flatten(1, 2) @ jk).view_as(lij)
    lik = inner * ik[:, None]
    return ((li * i[:, None])[:, :, None, :] @ lik)[:, :, 0]


def _diamonds(*operands: Tensor) -> Tensor:
    """Return `_diamond` of a jets jets at a time."""
    if torch.compiler.is_exporting():
        return _diamond(*operands)
    jets = _few(operands[0].shape[1] ** 3)
    parts = zip(*(operand.split(jets) for operand in operands), strict=True)
    return torch.cat([_diamond(*part) for part in parts])


def _few(numbers: int) -> int:
    """The jets of a chunk, where the largest intermediate of each has so many numbers."""
    return max(1, NUMBERS_PER_CHUNK // max(1, numbers))


class EnergyFlow(nn.Module):
    """Represent a jet by its energy-flow polynomials (1712.07124).

    ``EFP_G = sum_{i_1..i_n} z_{i_1} ... z_{i_n} prod_{(j,k) in G} theta_{i_j i_k}``

    for every loopless multigraph G with up to `degree` edges: the values (B, size) of
    `forward(values (B, N, C), mask (B, N))`, px, py, pz, E being the first columns. There are
    1, 2, 5, 13, 36, 102, 314, 1000 up to degree 0, 1, ... 7, the dot (which is 1 for kappa = 1)
    first. A graph of several components is the product of these; `connected` leaves out such
    products. `beta` and `kappa` are those of `hadronic_measure`.

    The values are standardised once `fit` has seen jets, and clipped there to +-10. Memory is
    bounded: jets are done in chunks, whose intermediates are computed anew for gradients.
    Raises `InputError` for a degree outside 0 to 7.
    """

    components: Tensor

    def __init__(
        self, degree: int = 7, beta: float = 0.5, kappa: float = 1.0, connected: bool = False
    ) -> None:
        super().__init__()
        if degree not in range(HIGHEST_DEGREE + 1):
            raise InputError(f"degree {degree}: energy-flow polynomials go from 0 to 7 edges.")
        self.degree, self.beta, self.kappa = degree, beta, kappa
        every = [graph for d in range(degree + 1) for graph in products(d)]
        self.graphs = [g for g in every if len(g) == 1] if connected else every
        primes = [graph[0] for graph in every if len(graph) == 1]
        self.contraction = Contraction(primes)
        # Row g holds the connected components of graph g, filled up with the constant 1.
        widest = max(len(graph) for graph in self.graphs)
        column = {graph: i for i, graph in enumerate(primes)}
        rows = [[column[part] for part in graph] for graph in self.graphs]
        padded = [row + [len(primes)] * (widest - len(row)) for row in rows]
        self.register_buffer("components", torch.tensor(padded), persistent=False)
        self.scaling = Standardise(self.size)

    @property
    def size(self) -> int:
        """The number of polynomials."""
        return len(self.graphs)

    def fit(self, values: Tensor, mask: Tensor) -> "EnergyFlow":
        """Fit the standardisation to jets (B, N, C) and (B, N)."""
        with torch.no_grad():
            self.scaling.fit(self.polynomials(values, mask))
        return self

    def polynomials(self, values: Tensor, mask: Tensor) -> Tensor:
        """Return the polynomials (B, size) as they are defined, not standardised."""
        if torch.compiler.is_exporting():
            return self._polynomials(values, mask)
        jets = _few(values.shape[1] ** 2)
        parts = zip(values.split(jets), mask.split(jets), strict=True)
        if torch.is_grad_enabled() and values.requires_grad:
            results = [checkpoint(self._polynomials, *p, use_reentrant=False) for p in parts]
        else:
            results = [self._polynomials(*part) for part in parts]
        return torch.cat(results)

    def _polynomials(self, values: Tensor, mask: Tensor) -> Tensor:
        z, theta = hadronic_measure(values, mask, self.beta, self.kappa)
        primes = self.contraction(z, theta)
        constant = torch.cat([primes, torch.ones_like(primes[:, :1])], dim=1)
        return constant[:, self.components].prod(-1)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        scaled: Tensor = self.scaling(self.polynomials(values, mask))
        return scaled
