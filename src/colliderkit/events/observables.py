"""Jet substructure observables by name, as a table."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, TypeAlias

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.clustering import cluster
from colliderkit.events.correlators import Correlators, energy_correlators
from colliderkit.events.grooming import Groomed, soft_drop
from colliderkit.events.lund import lund_multiplicity, splittings
from colliderkit.events.nsubjettiness import nsubjettiness
from colliderkit.events.schema import CONSTITUENTS, FOURVECTOR, check_jets
from colliderkit.events.shapes import Shapes, jet_shapes
from colliderkit.events.trees import Tree

__all__ = ["OBSERVABLES", "PRESETS", "Substructure", "nsubjettiness_basis", "table"]

Floats: TypeAlias = NDArray[np.floating[Any]]

BETAS = (0.5, 1.0, 2.0)
SUBJETS = 7
# Jets are worked on in pieces, so that the trees of a large file never stand in memory at once.
PIECE = 4096
# The published range of ln rho ends here, and momenta in float32 resolve no lighter jets.
LEAST_LN_RHO = -14.0


class Substructure:
    """Compute what several observables of the same N jets share, once and on demand."""

    def __init__(self, jets: ak.Array) -> None:
        self.constituents = jets[CONSTITUENTS]

    @cached_property
    def kt(self) -> Tree:
        """The kT trees."""
        return cluster(self.constituents, "kt")

    @cached_property
    def ca(self) -> Tree:
        """The Cambridge/Aachen trees."""
        return cluster(self.constituents, "ca")

    @cached_property
    def vectors(self) -> Floats:
        """The four-vectors of the jets, (N, 4): px, py, pz, E [GeV]."""
        return np.stack(
            [
                ak.to_numpy(ak.sum(ak.values_astype(self.constituents[c], np.float64), axis=1))
                for c in FOURVECTOR
            ],
            axis=-1,
        )

    @cached_property
    def transverse(self) -> ak.Array:
        """The pt of the constituents, ``N * var * float64`` [GeV]."""
        px, py = (ak.values_astype(self.constituents[c], np.float64) for c in FOURVECTOR[:2])
        return np.hypot(px, py)

    @cached_property
    def taus(self) -> Floats:
        """The N-subjettiness, (N, SUBJETS, len(BETAS))."""
        return nsubjettiness(self.kt, SUBJETS, BETAS)

    @cached_property
    def correlators(self) -> Correlators:
        """The energy-correlation functions at beta = 1."""
        return energy_correlators(self.constituents)

    @cached_property
    def shapes(self) -> Shapes:
        """The event shapes."""
        return jet_shapes(self.constituents)

    @cached_property
    def last_kt(self) -> tuple[Floats, Floats]:
        """Angle and sqrt(d12) = min(pt) Delta [GeV] of the last kT recombination, each (N,)."""
        angle_and_root = np.zeros((2, len(self.kt)))
        split = self.kt.multiplicity > 1
        angle_and_root[:, split] = splittings(self.kt, self.kt.roots[split])[:2]
        return angle_and_root[0], angle_and_root[1]

    @cached_property
    def groomed(self) -> Groomed:
        """The jets after soft drop with z_cut = 0.1, beta = 0."""
        return soft_drop(self.ca)

    def tau(self, subjets: int, beta: float = 1.0) -> Floats:
        """tau_N^(beta), (N,)."""
        return self.taus[:, subjets - 1, BETAS.index(beta)]


def _tau(subjets: int, beta: float, jets: Substructure) -> Floats:
    return jets.tau(subjets, beta)


def _ratio(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def _mass(vectors: Floats) -> Floats:
    return np.sqrt(np.maximum(vectors[:, 3] ** 2 - (vectors[:, :3] ** 2).sum(1), 0))


def _ln_rho(jets: Substructure) -> Floats:
    square = _mass(jets.groomed.vectors) ** 2
    pt2 = (jets.vectors[:, :2] ** 2).sum(1)
    rho = np.maximum(_ratio(square, pt2), np.exp(LEAST_LN_RHO))
    return np.where(pt2 > 0, np.log(rho), 0.0)


def _zcut(jets: Substructure) -> Floats:
    d12 = jets.last_kt[1] ** 2
    return _ratio(d12, d12 + _mass(jets.vectors) ** 2)


def _ptd(jets: Substructure) -> Floats:
    squares = ak.to_numpy(ak.sum(jets.transverse**2, axis=1))
    return _ratio(np.sqrt(squares), ak.to_numpy(ak.sum(jets.transverse, axis=1)))


def _tau_name(subjets: int, beta: float) -> str:
    return f"tau{subjets}" + {0.5: "_b05", 1.0: "", 2.0: "_b2"}[beta]


# Each takes the N jets and gives (N,). What is not defined for a jet of too few particles is 0.
OBSERVABLES: dict[str, Callable[[Substructure], NDArray[Any]]] = {
    # Of the summed constituents, GeV.
    "pt": lambda jets: np.hypot(jets.vectors[:, 0], jets.vectors[:, 1]),
    "mass": lambda jets: _mass(jets.vectors),
    "multiplicity": lambda jets: ak.to_numpy(ak.num(jets.constituents, axis=1)),
    # sum pt R / sum pt with R the distance to the jet's axis; the same number as tau1.
    "width": lambda jets: jets.tau(1),
    # sqrt(sum pt^2) / sum pt
    "ptd": _ptd,
    # tau_N^(beta): "tau3" is of beta = 1, "tau3_b05" of 0.5, "tau3_b2" of 2.
    **{
        _tau_name(subjets, beta): partial(_tau, subjets, beta)
        for subjets in range(1, SUBJETS + 1)
        for beta in BETAS
    },
    "tau21": lambda jets: _ratio(jets.tau(2), jets.tau(1)),
    "tau32": lambda jets: _ratio(jets.tau(3), jets.tau(2)),
    "tau43": lambda jets: _ratio(jets.tau(4), jets.tau(3)),
    "C2": lambda jets: jets.correlators.C2,
    "D2": lambda jets: jets.correlators.D2,
    "M2": lambda jets: jets.correlators.M2,
    "N2": lambda jets: jets.correlators.N2,
    "softdrop_mass": lambda jets: _mass(jets.groomed.vectors),
    # ln(m_SD^2 / pt^2), pt before grooming (1911.09107); at least -14, also without any mass.
    "ln_rho": _ln_rho,
    "zg": lambda jets: jets.groomed.z,
    "rg": lambda jets: jets.groomed.radius,
    # Splittings above kt = 1 GeV, plus one.
    "lund_multiplicity": lambda jets: lund_multiplicity(jets.ca),
    "fox_wolfram": lambda jets: jets.shapes.fox_wolfram,
    "aplanarity": lambda jets: jets.shapes.aplanarity,
    "planar_flow": lambda jets: jets.shapes.planar_flow,
    # The last kT recombination: its angle, sqrt(d12) [GeV], and d12 / (d12 + m^2) (0806.0023).
    "kt_dr": lambda jets: jets.last_kt[0],
    "sqrt_d12": lambda jets: jets.last_kt[1],
    "zcut": _zcut,
}


def nsubjettiness_basis(bodies: int) -> tuple[str, ...]:
    """Return the names of 3M - 4 observables that span the phase space of M bodies (1704.08249):

    tau_1^(0.5), tau_1^(1), tau_1^(2), ..., tau_{M-2}^(2), tau_{M-1}^(1), tau_{M-1}^(2).
    """
    names = [_tau_name(n, beta) for n in range(1, bodies - 1) for beta in BETAS]
    return (*names, _tau_name(bodies - 1, 1.0), _tau_name(bodies - 1, 2.0))


# The basis is blind to scale, so that pt stands beside it, and mass (1807.04769).
PRESETS: dict[str, tuple[str, ...]] = {
    "nsubjettiness-6": (*nsubjettiness_basis(6), "mass", "pt"),
    "nsubjettiness-8": (*nsubjettiness_basis(8), "mass", "pt"),
    "standard": (
        *("pt", "mass", "multiplicity", "width", "ptd", "tau21", "tau32", "C2", "D2", "M2", "N2"),
        *("softdrop_mass", "zg", "rg", "lund_multiplicity"),
    ),
    # The six of OmniFold (1911.09107).
    "unfolding": ("mass", "multiplicity", "width", "ln_rho", "tau21", "zg"),
    # The ten of the public W-tagging set beside the mass (2001.05310, ATL-PHYS-PUB-2018-014).
    "w-tagging": (
        *("pt", "tau21", "C2", "D2", "fox_wolfram", "planar_flow", "aplanarity", "zcut"),
        *("kt_dr", "sqrt_d12"),
    ),
}


def table(
    jets: ak.Array, names: str | Sequence[str] = "standard"
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Compute observables of N jets: return the table (N, K) float32 and the K names.

    `names` is one of `PRESETS` or a sequence of names of `OBSERVABLES`. All entries are finite:
    an observable that is not defined for a jet of too few particles is 0. Raises `InputError`
    if a name is unknown or a constituent is not finite.
    """
    if isinstance(names, str):
        if names not in PRESETS:
            raise InputError(f"preset '{names}' is none of {', '.join(PRESETS)}.")
        names = PRESETS[names]
    for name in names:
        if name not in OBSERVABLES:
            raise InputError(f"observable '{name}' is none of {', '.join(OBSERVABLES)}.")
    values = np.empty((len(jets), len(names)), dtype=np.float32)
    if len(jets):
        check_jets(jets, "jets")
    for start in range(0, len(jets), PIECE):
        piece = Substructure(jets[start : start + PIECE])
        for i, name in enumerate(names):
            values[start : start + PIECE, i] = OBSERVABLES[name](piece)
    return values, tuple(names)
