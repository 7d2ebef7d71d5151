"""Binary clustering trees of many jets as flat arrays."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Tree"]


@dataclass(frozen=True)
class Tree:
    """Binary clustering trees of N jets, all nodes one after another.

    Jet i owns the nodes ``offsets[i] : offsets[i + 1]``: its n constituents in their own order,
    then its n - 1 sums in the order in which they were made; the last is the root, the jet. So
    children stand before their parents. A jet without constituents owns no node.

    - `offsets`: (N + 1,) int64;
    - `children`: (T, 2) int64, the nodes that were summed, higher pt first; -1 at a leaf;
    - `parents`: (T,) int64, -1 at a root;
    - `leaves`: (T,) int64, the row of a leaf among the flattened constituents; -1 at a sum;
    - `vectors`: (T, 4) float64, px, py, pz, E [GeV];
    - `positions`: (T, 3) float64, pt [GeV], rapidity, phi [rad].

    Arrays of this form feed a recursive network (TreeNiN, 1711.02633) one `heights` at a time.
    """

    offsets: NDArray[np.int64]
    children: NDArray[np.int64]
    parents: NDArray[np.int64]
    leaves: NDArray[np.int64]
    vectors: NDArray[np.float64]
    positions: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def multiplicity(self) -> NDArray[np.int64]:
        """The number of constituents of each jet, (N,)."""
        return (np.diff(self.offsets) + 1) // 2

    @property
    def roots(self) -> NDArray[np.int64]:
        """The node of each whole jet, (N,); -1 for a jet without constituents."""
        return np.where(np.diff(self.offsets) > 0, self.offsets[1:] - 1, -1)

    @property
    def sums(self) -> NDArray[np.int64]:
        """The nodes that have children, (S,)."""
        return np.flatnonzero(self.children[:, 0] >= 0)

    @property
    def jets(self) -> NDArray[np.int64]:
        """The jet of each node, (T,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def heights(self) -> NDArray[np.int64]:
        """The longest way down to a leaf, (T,): nodes of one height do not need each other."""
        return _heights(self.parents)

    def exclusive(self, subjets: int) -> NDArray[np.int64]:
        """Undo the last sums of each jet until `subjets` nodes stand, (N, subjets).

        These are the exclusive jets of hep-ph/9305266. A jet of fewer constituents gives them
        all and fills up with -1.
        """
        standing = np.full((len(self), subjets), -1, dtype=np.int64)
        standing[:, 0] = self.roots
        for k in range(1, subjets):
            # The last sum made has the largest number; leaves come before all sums.
            column = standing[:, :k].argmax(1)
            last = standing[np.arange(len(self)), column]
            jets = np.flatnonzero((last >= 0) & (self.children[last, 0] >= 0))
            standing[jets, column[jets]] = self.children[last[jets], 0]
            standing[jets, k] = self.children[last[jets], 1]
        return standing


@njit(cache=True)
def _heights(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    heights = np.zeros(len(parents), dtype=np.int64)
    for node, parent in enumerate(parents):
        if parent >= 0:
            heights[parent] = max(heights[parent], heights[node] + 1)
    return heights
