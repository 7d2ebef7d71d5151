"""Jet grooming by soft drop: wide-angle soft branches are taken off."""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.lund import primary, splittings
from colliderkit.events.trees import Tree

__all__ = ["Groomed", "soft_drop"]

Floats: TypeAlias = NDArray[np.float64]


class Groomed(NamedTuple):
    """N groomed jets.

    - `vectors`: (N, 4) float64, px, py, pz, E [GeV], zero for a jet without constituents;
    - `z`: (N,) float64, the momentum share z_g of the softer branch at the splitting that stopped
      the grooming; 0 where none did;
    - `radius`: (N,) float64, the opening angle R_g of that splitting; 0 where none did.
    """

    vectors: Floats
    z: Floats
    radius: Floats


def soft_drop(tree: Tree, z_cut: float = 0.1, beta: float = 0.0, radius: float = 0.8) -> Groomed:
    """Drop the softer branch of a Cambridge/Aachen `tree`, from the root down, until

        min(pt_a, pt_b) / (pt_a + pt_b) > z_cut (Delta_ab / radius)^beta

    holds: what is left is the groomed jet (1402.2657). ``beta=0`` is the modified mass drop
    (1307.0007). A jet in which no splitting passes is groomed down to one particle. `radius` is
    the radius of the jets; it has no effect for ``beta=0``.
    """
    nodes, jets = primary(tree)
    delta, _, z, _ = splittings(tree, nodes)
    passed = z > z_cut * (delta / radius) ** beta

    # Assignment to a repeated index keeps the last value: here the end of the harder branch...
    groomed = tree.roots.copy()
    groomed[jets] = tree.children[nodes, 0]
    # ...and, read backwards, the first splitting that passes.
    first = np.flatnonzero(passed)[::-1]
    z_g, r_g = np.zeros(len(tree)), np.zeros(len(tree))
    groomed[jets[first]], z_g[jets[first]], r_g[jets[first]] = nodes[first], z[first], delta[first]

    vectors = np.zeros((len(tree), 4))
    vectors[groomed >= 0] = tree.vectors[groomed[groomed >= 0]]
    return Groomed(vectors, z_g, r_g)
