"""GFlash: electromagnetic showers parametrised by Grindhammer and Peters (hep-ex/0001020).

The classical fast simulation: the longitudinal profile of each shower is a gamma distribution
whose two parameters fluctuate together, and its energy falls in spots around the axis. Here for a
homogeneous medium, the effective one of a sampling calorimeter, with the sampling fluctuations on
top; all showers of a call at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.files import alone, refuse_existing
from colliderkit.seeds import derive
from colliderkit.sources.files.showers import drawn_energies, write_in_parts
from colliderkit.sources.geant4.calorimeters import Calorimeter, calorimeter

__all__ = ["TUNGSTEN_SILICON", "Medium", "effective_medium", "generate_showers", "showers"]

Floats = NDArray[np.float64]
SHOWERS = 2000  # at a time


class Material(NamedTuple):
    """Material: Z, X0 [mm], critical energy [MeV] and minimum energy loss [MeV/mm]."""

    z: float
    x0: float
    critical: float
    loss: float


# Of the Particle Data Group's tables of atomic and nuclear properties; polystyrene's Z is that of
# carbon and hydrogen weighted by mass.
MATERIALS = {
    "G4_W": Material(74, 3.504, 7.97, 2.210),
    "G4_Pb": Material(82, 5.612, 7.43, 1.274),
    "G4_Fe": Material(26, 17.57, 21.68, 1.143),
    "G4_Si": Material(14, 93.70, 40.19, 0.388),
    "G4_lAr": Material(18, 140.0, 32.84, 0.211),
    "G4_POLYSTYRENE": Material(5.6, 413.1, 93.11, 0.205),
}
DENSITIES = {
    "G4_W": 19.30,
    "G4_Pb": 11.35,
    "G4_Fe": 7.874,
    "G4_Si": 2.329,
    "G4_lAr": 1.396,
    "G4_POLYSTYRENE": 1.060,
}
SCALE_ENERGY = 21.2  # MeV, of multiple scattering


@dataclass(frozen=True)
class Medium:
    """Describe the effective medium of a calorimeter.

    - `z`: the effective atomic number; `critical`: the critical energy [MeV];
    - `x0`, `moliere`: radiation length and Moliere radius [mm];
    - `thickness`: of one layer along the shower [mm];
    - `sampling`: sigma(E)/E = sampling / sqrt(E/GeV) of the visible energy.
    """

    z: float
    critical: float
    x0: float
    moliere: float
    thickness: float
    sampling: float


# 1.4 mm tungsten and 0.3 mm silicon a layer, as data sets 2 and 3 of the CaloChallenge: X0 of
# tungsten is 3.504 mm, silicon adds little; its Moliere radius is 9.3 mm, thinned by 1.7 / 1.4.
TUNGSTEN_SILICON = Medium(z=74.0, critical=7.97, x0=4.2, moliere=11.3, thickness=1.7, sampling=0.12)


def showers(
    incident: ArrayLike,
    geometry: Geometry,
    medium: Medium,
    *,
    seed: int,
    depths: ArrayLike | None = None,
) -> NDArray[np.float32]:
    """Draw showers (N, V) [MeV] of electrons or photons of `incident` energies (N,) [MeV].

    With y = E / E_c and t in radiation lengths the mean profile of one shower is the gamma density
    of T = (alpha - 1) / beta and alpha, which are drawn by

        <ln T> = ln(ln y - 0.812),                 sigma = 1 / (-1.4 + 1.26 ln y),
        <ln alpha> = ln(0.81 + (0.458 + 2.26 / Z) ln y),   sigma = 1 / (-0.58 + 0.86 ln y),

    with the correlation rho = 0.705 - 0.023 ln y; 93 ln(Z) E^0.876 spots fall at
    r = R sqrt(u / (1 - u)), R that of the core or of the tail at the spot's depth (ibid., 3.2).
    All spots have the same energy here, where the paper gives them a profile of their own.
    `depths` (L + 1,) [mm] are the ends of the layers, multiples of the medium's thickness if not
    given. The seed and the number of the shower alone decide a shower. Raises `InputError` for
    an energy that is too low for the formulas (E < 10 E_c).
    """
    energy = np.asarray(incident, dtype=np.float64).reshape(-1)
    low = 10 * medium.critical
    if not (energy >= low).all():
        bad = int(np.argmin(energy >= low))
        raise InputError(
            f"shower {bad} has an energy of {energy[bad]:g} MeV; the parametrisation begins at"
            f" {low:.0f} MeV."
        )
    ends = (
        np.arange(len(geometry.layers) + 1) * medium.thickness
        if depths is None
        else np.asarray(depths, dtype=np.float64)
    )
    if len(ends) != len(geometry.layers) + 1 or (np.diff(ends) <= 0).any():
        raise InputError(
            f"depths have {len(ends)} ends for {len(geometry.layers)} layers; give one more than"
            " layers, rising."
        )
    found = np.empty((len(energy), geometry.voxels), dtype=np.float32)
    for start in range(0, len(energy), SHOWERS):
        part = slice(start, start + SHOWERS)
        random = np.random.default_rng(derive(seed, "showers", start // SHOWERS))
        found[part] = _drawn(energy[part], geometry, medium, ends / medium.x0, random)
    return found


def effective_medium(given: Calorimeter, sampling: float = 0.12) -> tuple[Medium, Floats, Floats]:
    """Return one medium for a calorimeter, the ends of its layers (L + 1,) and what is seen (L,).

    With w the share of a material's mass, Z = sum w Z_i, 1/X0 = sum w/X0_i (in mass), E_c =
    X0 sum w E_c,i/X0_i and R_M = 21.2 MeV X0/E_c (hep-ex/0001020), over all layers; the ends
    [mm of this medium] keep the radiation lengths of each layer. Seen is the share of a minimum
    ionising particle's loss that is in the active slabs, times

        e/mip = 1 / (1 + 0.007 (Z_absorber - Z_active)),

    as the many slow electrons of a shower stop where they are made, which is where Z is high
    (ibid.). It is an estimate: of thin plates more is seen. Raises `InputError` for a material
    that is not in the table.
    """
    thick: dict[str, float] = {}
    lengths, seen = [], []
    for layer in given.samplings:
        parts = {}
        for name, thickness in (
            (layer.absorber, layer.absorber_thickness),
            (layer.active, layer.active_thickness),
        ):
            if name not in MATERIALS:
                raise InputError(
                    f"material {name} has no parametrisation; there are {', '.join(MATERIALS)}."
                )
            parts[name] = layer.periods * thickness
            thick[name] = thick.get(name, 0.0) + parts[name]
        lengths.append(sum(t / MATERIALS[name].x0 for name, t in parts.items()))
        loss = {name: t * MATERIALS[name].loss for name, t in parts.items()}
        apart = MATERIALS[layer.absorber].z - MATERIALS[layer.active].z
        seen.append(loss[layer.active] / sum(loss.values()) / (1 + 0.007 * apart))
    total = sum(t / MATERIALS[name].x0 for name, t in thick.items())
    mass = sum(t * DENSITIES[name] for name, t in thick.items())
    z = sum(t * DENSITIES[name] * MATERIALS[name].z for name, t in thick.items()) / mass
    # The sum of w E_c / X0 over that of w / X0; thickness over X0 in mm is that in mass.
    critical = sum(t / m.x0 * m.critical for n, t in thick.items() for m in (MATERIALS[n],)) / total
    x0 = given.depth / total
    medium = Medium(
        z, critical, x0, SCALE_ENERGY * x0 / critical, given.depth / len(lengths), sampling
    )
    return medium, x0 * np.cumsum([0.0, *lengths]), np.array(seen)


def generate_showers(
    geometry: str | Calorimeter,
    count: int,
    output: str | Path,
    *,
    energies: tuple[float, float],
    index: float = 1.0,
    seed: int = 0,
    force: bool = False,
) -> Path:
    """Draw `count` showers in a calorimeter and return the file, in the CaloChallenge's layout.

    As `colliderkit.sources.geant4.shards.generate_showers`: incident energies [MeV] with
    dN/dE ~ E^-index, voxels the visible energy [MeV]. Its bits depend on the request alone.
    """
    low, high = energies
    if not 0 < low <= high:
        raise InputError(f"energies are {low:g} to {high:g} MeV; they must be positive and rise.")
    if count < 1:
        raise InputError(f"count is {count}; it must be at least 1.")
    detector = calorimeter(geometry) if isinstance(geometry, str) else geometry
    medium, depths, share = effective_medium(detector)
    visible = share[detector.geometry.layer].astype(np.float32)

    def parts() -> Iterator[tuple[Floats, NDArray[np.float32]]]:
        for number, start in enumerate(range(0, count, SHOWERS)):
            random = np.random.default_rng(derive(seed, "energies", number))
            incident = drawn_energies(min(SHOWERS, count - start), low, high, index, random)
            sample = derive(seed, "sample", number)
            drawn = showers(incident, detector.geometry, medium, seed=sample, depths=depths)
            yield incident, drawn * visible

    refuse_existing(output, force)
    physics = "parametrisation of Grindhammer and Peters (hep-ex/0001020)"
    shape = (count, detector.geometry.voxels)
    attributes = {"physics": physics, "seed": seed}
    with alone(output):
        return write_in_parts(output, parts(), shape, attributes=attributes, force=force)


def _drawn(
    energy: Floats,
    geometry: Geometry,
    medium: Medium,
    ends: NDArray[Any],
    random: np.random.Generator,
) -> Floats:
    """Draw some showers; `ends` of the layers in radiation lengths."""
    ln_y = np.log(energy / medium.critical)
    mean_t = np.log(ln_y - 0.812)
    mean_a = np.log(0.81 + (0.458 + 2.26 / medium.z) * ln_y)
    sigma_t, sigma_a = 1 / (-1.4 + 1.26 * ln_y), 1 / (-0.58 + 0.86 * ln_y)
    rho = 0.705 - 0.023 * ln_y
    first, second = random.normal(size=(2, len(energy)))
    top = np.exp(mean_t + sigma_t * first)
    alpha = np.exp(mean_a + sigma_a * (rho * first + np.sqrt(1 - rho**2) * second))
    alpha = np.maximum(alpha, 1.05)
    scale = top / (alpha - 1)
    visible = energy * np.maximum(
        1 + medium.sampling / np.sqrt(energy / 1e3) * random.normal(size=len(energy)), 0.05
    )
    spots = np.maximum(93 * np.log(medium.z) * (energy / 1e3) ** 0.876, 10).astype(np.int64)
    shower = np.repeat(np.arange(len(energy)), spots)
    t = random.gamma(alpha[shower]) * scale[shower]
    layer = np.searchsorted(ends, t, side="right") - 1
    r = medium.moliere * _radius(
        t / top[shower], ln_y[shower], energy[shower] / 1e3, medium.z, random
    )
    angle = random.uniform(-np.pi, np.pi, len(r))
    seen = layer < len(geometry.layers)
    voxel = geometry.locate(layer[seen], (r * np.cos(angle))[seen], (r * np.sin(angle))[seen])
    hit = voxel >= 0
    row = shower[seen][hit]
    flat = row * geometry.voxels + voxel[hit]
    weight = (visible / spots)[row]
    sums: Floats = np.bincount(flat, weight, len(energy) * geometry.voxels).astype(np.float64)
    return sums.reshape(len(energy), geometry.voxels)


def _radius(
    tau: Floats, ln_y: Floats, gev: Floats, z: float, random: np.random.Generator
) -> Floats:
    """Draw r in Moliere radii at the depth tau = t / T: core and tail of hep-ex/0001020."""
    ln_e = np.log(gev)
    z1, z2 = 0.0251 + 0.00319 * ln_e, 0.1162 - 0.000381 * z
    k1, k2 = 0.659 - 0.00309 * z, 0.645
    k3, k4 = -2.59, 0.3585 + 0.0421 * ln_e
    p1, p2 = 2.632 - 0.00094 * z, 0.401 + 0.00187 * z
    p3 = 1.313 - 0.0686 * ln_e
    core = z1 + z2 * tau
    tail = k1 * (np.exp(k3 * (tau - k2)) + np.exp(k4 * (tau - k2)))
    inside = (p2 - tau) / p3
    share = np.clip(p1 * np.exp(inside - np.exp(inside)), 0, 1)
    radius = np.where(random.random(len(tau)) < share, core, tail)
    u = random.random(len(tau))
    return radius * np.sqrt(u / (1 - u))
