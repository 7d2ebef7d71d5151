"""Sums over all pairs of events of |x_i - x_j| k(m_i, m_j): O(n log n), not O(n^2).

Such a sum is linear in x as long as the order of x stays, and so it is x . g with its own gradient
g, which depends on signs alone. Here are the sums of signs; everything is float64.
"""

from typing import Protocol, TypeAlias

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Distances", "Line", "Order", "Space", "distances", "signed_crossings"]

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

ROWS = 2**22  # entries of the distances held at a time where there is no order


class Order:
    """Sort events by a number x (B,), and know which of them tie."""

    def __init__(self, x: Tensor) -> None:
        self.x = x.detach()
        ranked, self.order = torch.sort(self.x, stable=True)
        self.first = torch.searchsorted(ranked, ranked)
        self.end = torch.searchsorted(ranked, ranked, right=True)

    def signed(self, values: Tensor) -> Tensor:
        """Return sum_j v_j sign(x_k - x_j) of values (..., B), (..., B)."""
        below = torch.nn.functional.pad(values[..., self.order].cumsum(-1), (1, 0))
        ranked = below[..., self.first] + below[..., self.end] - below[..., -1:]
        return torch.empty_like(ranked).index_copy(-1, self.order, ranked)

    def below(self, weight: Tensor) -> Tensor:
        """Return the weight at smaller x plus half of that at the same x, (B,)."""
        return (self.signed(weight) + weight.sum()) / 2


class Distances(Protocol):
    """The distances d_ij of events in m, and sums over them with weights p (B,)."""

    def means(self, values: Tensor) -> Tensor:
        """Return sum_i p_i v_i d_ij of values (A, B), (A, B)."""
        ...

    def square(self) -> Tensor:
        """Return sum_ij p_i p_j d_ij^2, ()."""
        ...

    def signed(self, x: Order) -> Tensor:
        """Return sum_j p_j sign(x_k - x_j) d_kj, (B,)."""
        ...


class Line:
    """Distances |m_i - m_j| of one number m (B,): O(B log B) time, O(B) memory."""

    def __init__(self, m: Tensor, p: Tensor) -> None:
        self.p = p
        # Sums of m and their differences lose no digits to a far origin.
        self.m = m - (p * m).sum().detach()
        self.order = Order(m)

    def means(self, values: Tensor) -> Tensor:
        """Return sum_i p_i v_i |m_i - m_j|, (A, B); differentiable in m."""
        weighted = self.p * values
        return self.m * self.order.signed(weighted) - self.order.signed(weighted * self.m)

    def square(self) -> Tensor:
        """Return sum_ij p_i p_j (m_i - m_j)^2, (); differentiable in m."""
        mean = (self.p * self.m).sum()
        return 2 * (self.p * (self.m - mean).square()).sum()

    def signed(self, x: Order) -> Tensor:
        """Return sum_j p_j sign(x_k - x_j) |m_k - m_j|, (B,)."""
        number, moment = signed_crossings(x, self.order, torch.stack([self.p, self.p * self.m]))
        return self.m * number - moment


class Space:
    """Euclidean distances of several numbers m (B, D): O(B^2) time, a block of rows at a time."""

    def __init__(self, m: Tensor, p: Tensor) -> None:
        self.m, self.p = m, p
        self.blocks = torch.arange(len(m), device=m.device).split(max(1, ROWS // max(len(m), 1)))

    def _rows(self, block: Tensor) -> Tensor:
        # Not by the matrix product, whose rounding gives a point a distance from itself.
        return torch.cdist(self.m[block], self.m, compute_mode="donot_use_mm_for_euclid_dist")

    def means(self, values: Tensor) -> Tensor:
        """Return sum_i p_i v_i |m_i - m_j|, (A, B)."""
        weighted = (self.p * values).t()
        return torch.cat([self._rows(block) @ weighted for block in self.blocks]).t()

    def square(self) -> Tensor:
        """Return sum_ij p_i p_j |m_i - m_j|^2, ()."""
        mean = self.p @ self.m
        return 2 * (self.p @ (self.m - mean).square()).sum()

    def signed(self, x: Order) -> Tensor:
        """Return sum_j p_j sign(x_k - x_j) |m_k - m_j|, (B,)."""
        signs = (torch.sign(x.x[block, None] - x.x) for block in self.blocks)
        pairs = zip(self.blocks, signs, strict=True)
        return torch.cat([(self._rows(block) * sign) @ self.p for block, sign in pairs])


def distances(m: Tensor, p: Tensor) -> Distances:
    """Return the distances of m (B,) or (B, D) with weights p (B,)."""
    if m.ndim == 2 and m.shape[1] > 1:
        return Space(m, p)
    return Line(m.reshape(len(m)), p)


@torch.no_grad()
def signed_crossings(x: Order, m: Order, values: Tensor) -> Tensor:
    """Return sum_j v_j sign(x_k - x_j) sign(m_k - m_j) of values (C, B), (C, B); pairs that tie: 0.

    A kernel on the CPU, where the events of another device are brought and from where the sums
    return: at the size of a batch no chain of tensor operations comes near it.
    """
    rank = torch.empty_like(m.order).index_copy(0, m.order, m.first)[x.order]
    ordered = values[:, x.order].t().double().contiguous()
    crossings = _crossings(*(t.cpu().numpy() for t in (rank, x.end, ordered)))
    ranked = torch.from_numpy(crossings).to(values.device).t() - m.signed(values)[:, x.order]
    return torch.empty_like(ranked).index_copy(1, x.order, ranked)


@njit(cache=True)
def _crossings(rank: Ints, end: Ints, values: Floats) -> Floats:
    """Return the sum of sign(m_k - m_j) v_j over x_j < x_k and that over x_j <= x_k, added, (B, C).

    Events come by rising x, with their rank in m (those that tie have one) and the end of their
    tie in x. A binary indexed tree holds the sums over ranks of what came so far.
    """
    count, channels = values.shape
    sums = np.zeros((count, channels))
    tree = np.zeros((count + 1, channels))
    total = np.zeros(channels)
    begin = 0
    while begin < count:
        stop = end[begin]
        for k in range(begin, stop):
            _add_signed(tree, total, rank[k], sums[k])
        for k in range(begin, stop):
            node = rank[k] + 1
            while node <= count:
                for c in range(channels):
                    tree[node, c] += values[k, c]
                node += node & -node
            for c in range(channels):
                total[c] += values[k, c]
        for k in range(begin, stop):
            if stop - begin == 1:  # nothing new: no event lies above or below itself
                for c in range(channels):
                    sums[k, c] *= 2
            else:
                _add_signed(tree, total, rank[k], sums[k])
        begin = stop
    return sums


@njit(cache=True)
def _add_signed(tree: Floats, total: Floats, rank: int, sums: Floats) -> None:
    """Add to `sums` (C,) the sum over lower ranks minus that over higher ones."""
    for node in (rank, rank + 1):
        while node > 0:
            for c in range(len(sums)):
                sums[c] += tree[node, c]
            node -= node & -node
    for c in range(len(sums)):
        sums[c] -= total[c]
