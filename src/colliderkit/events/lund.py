"""Lund jet plane and multiplicity: the splittings of a jet, read from its Cambridge/Aachen tree."""

from typing import TypeAlias

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.events.trees import Tree

__all__ = ["lund_multiplicity", "lund_plane", "primary", "splittings"]

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

TINY = 1e-8


def primary(tree: Tree) -> tuple[Ints, Ints]:
    """Follow the harder child from each root down: return the sums sums (D,) and their jets (D,).

    Jets come in order, and within a jet the widest splitting (the root) comes first.
    """
    nodes = tree.roots[tree.multiplicity > 1]
    levels = [nodes]
    while len(nodes):
        nodes = tree.children[nodes, 0]
        nodes = nodes[tree.children[nodes, 0] >= 0]
        levels.append(nodes)
    sums = np.concatenate(levels)
    jets = tree.jets[sums]
    order = np.lexsort((-sums, jets))
    return sums[order], jets[order]


def splittings(tree: Tree, nodes: Ints) -> tuple[Floats, Floats, Floats, Floats]:
    """Return (Delta, kt, z, psi) of the splitting of each sum, each (D,) float64.

    With a the harder and b the softer child, Delta^2 = (y_a - y_b)^2 + (phi_a - phi_b)^2,
    kt = pt_b Delta [GeV], z = pt_b / (pt_a + pt_b) and psi = atan2(y_b - y_a, phi_b - phi_a)
    [rad] (1807.04758). All are 0 where both children have no pt.
    """
    pt_a, y_a, phi_a = tree.positions[tree.children[nodes, 0]].T
    pt_b, y_b, phi_b = tree.positions[tree.children[nodes, 1]].T
    dphi = np.remainder(phi_b - phi_a + np.pi, 2 * np.pi) - np.pi
    delta = np.hypot(y_b - y_a, dphi)
    total = pt_a + pt_b
    z = np.divide(pt_b, total, out=np.zeros_like(total), where=total > 0)
    return delta, pt_b * delta, z, np.arctan2(y_b - y_a, dphi)


def lund_plane(tree: Tree) -> ak.Array:
    """Return the primary Lund plane, ``N * var * {ln_inverse_delta, ln_kt, z, psi, node}``.

    `tree` is of Cambridge/Aachen. One record is one splitting along the harder branch, widest
    first: ln(1/Delta), ln(kt / GeV), the momentum share z and the azimuth psi [rad] of
    `splittings`, float32, and the node of the tree that splits. Delta and kt below 1e-8 count as
    1e-8, so that logarithms are finite. A jet of one particle has no splitting. (1807.04758)
    """
    nodes, jets = primary(tree)
    delta, kt, z, psi = splittings(tree, nodes)
    records = ak.Array(
        {
            "ln_inverse_delta": -np.log(np.maximum(delta, TINY)).astype(np.float32),
            "ln_kt": np.log(np.maximum(kt, TINY)).astype(np.float32),
            "z": z.astype(np.float32),
            "psi": psi.astype(np.float32),
            "node": nodes,
        }
    )
    return ak.unflatten(records, np.bincount(jets, minlength=len(tree)))


def lund_multiplicity(tree: Tree, kt_cut: float = 1.0) -> Ints:
    """Count the splittings with kt > `kt_cut` [GeV] on all branches, plus one, (N,) int64.

    `tree` is of Cambridge/Aachen; a jet without constituents counts 0. (2212.05076)
    """
    _, kt, _, _ = splittings(tree, tree.sums)
    counts = np.bincount(tree.jets[tree.sums[kt > kt_cut]], minlength=len(tree))
    return counts + (tree.multiplicity > 0)
