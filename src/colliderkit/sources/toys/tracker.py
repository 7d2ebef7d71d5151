"""Hits of helices in a tracker of TrackML's radii: vertices, smearing, misses, noise; no matter."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.hits import TrackerHits, offsets_of
from colliderkit.events.tables import Floats, Ints
from colliderkit.seeds import derive

__all__ = ["CURVATURE", "PIXELS", "STRIPS", "Layer", "helix_hits"]

CURVATURE = 0.299792458e-3  # GeV / (mm T): a charge of 1 turns with 1/R = this B / pT
FIELD = 2.0  # T
BEAM = (0.0125, 0.0125, 55.5)  # mm: spread of the vertices
DISCS = (600.0, 700.0, 820.0, 960.0, 1120.0, 1300.0, 1500.0)


@dataclass(frozen=True)
class Layer:
    """A cylinder of radius `at` and half length `end`, or a disc at z `at` of radii `begin`, `end`.

    `volume` and `number` are those of the TrackML detector; `across` and `along` are the errors of
    a hit in mm, across in azimuth and along the other direction.
    """

    volume: int
    number: int
    at: float
    begin: float
    end: float
    disc: bool = False
    across: float = 0.05 / 12**0.5
    along: float = 0.05 / 12**0.5


PIXELS = (
    *(Layer(8, 2 * i + 2, r, 0.0, 500.0) for i, r in enumerate((32.0, 72.0, 116.0, 172.0))),
    *(Layer(9, 2 * i + 2, z, 30.0, 176.0, True) for i, z in enumerate(DISCS)),
    *(Layer(7, 14 - 2 * i, -z, 30.0, 176.0, True) for i, z in enumerate(DISCS)),
)
STRIPS = (
    *(
        Layer(13, 2 * i + 2, r, 0.0, 1080.0, False, 0.08 / 12**0.5, 1.2 / 12**0.5)
        for i, r in enumerate((260.0, 360.0, 500.0, 660.0))
    ),
    *(
        Layer(17, 2 * i + 2, r, 0.0, 1080.0, False, 0.12 / 12**0.5, 10.8 / 12**0.5)
        for i, r in enumerate((820.0, 1020.0))
    ),
)


def helix_hits(
    count: int,
    *,
    vertices: int = 20,
    particles: int = 10,
    pt: tuple[float, float] = (0.3, 10.0),
    eta: float = 2.5,
    noise: float = 0.0,
    missed: float = 0.01,
    layers: tuple[Layer, ...] = PIXELS,
    seed: int = 0,
) -> TrackerHits:
    """Make `count` events of `vertices` collisions with `particles` charged particles each.

    Momenta are log-uniform between `pt` GeV, pseudorapidities uniform below `eta`, charges +-1 in
    2 T; vertices are normal along the beam, 55.5 mm wide. A hit is where the helix first crosses a
    layer, smeared by the layer's errors; a share `missed` is lost, and `noise` hits on each layer
    and event are of no particle. There is no scattering and no energy loss: an exact truth for
    tests, easier than any detector. Raises `InputError` for numbers that make no event.
    """
    for name, number in (("count", count), ("vertices", vertices), ("particles", particles)):
        if number < 0:
            raise InputError(f"{name} is {number}; it must be at least 0.")
    if not 0 < pt[0] <= pt[1]:
        raise InputError(f"pt is {pt[0]:g} to {pt[1]:g} GeV; it must be positive and rise.")
    random = np.random.default_rng(derive(seed, "helix hits"))
    each = vertices * particles
    total = count * each
    at = random.normal(size=(count * vertices, 3)) * BEAM
    x, y, z = np.repeat(at, particles, axis=0).T
    momentum = np.exp(random.uniform(np.log(pt[0]), np.log(pt[1]), total))
    phi = random.uniform(-np.pi, np.pi, total)
    slope = np.sinh(random.uniform(-eta, eta, total))
    charge = random.choice([-1.0, 1.0], total)
    event = np.repeat(np.arange(count), each)
    rows: list[dict[str, NDArray[np.float64]]] = []
    for i, layer in enumerate(layers):
        where, turned = crossings(layer, x, y, z, phi, slope, CURVATURE * FIELD * charge / momentum)
        there = np.isfinite(turned)
        there &= random.random(total) >= missed
        made = np.flatnonzero(there)
        position = smeared(layer, where[made], random)
        # Noise is even over the layer's surface.
        many = random.poisson(noise, count)
        false = flat(layer, int(many.sum()), random)
        kinds = ((position, made, event[made]), (false, None, np.repeat(np.arange(count), many)))
        for hit, owner, of in kinds:
            rows.append(
                {
                    "event": of.astype(np.float64),
                    "owner": np.full(len(of), -1.0) if owner is None else owner.astype(np.float64),
                    "layer": np.full(len(of), float(i)),
                    **dict(zip("xyz", hit.T, strict=True)),
                }
            )
    columns = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    # In no order that would tell which hits belong together.
    shuffled = random.permutation(len(columns["event"]))
    columns = {name: values[shuffled] for name, values in columns.items()}
    of, owner = columns["event"].astype(np.int64), columns["owner"].astype(np.int64)
    own = owner - of * each + 1
    which = columns["layer"].astype(np.int64)
    return TrackerHits.checked(
        of,
        columns["x"],
        columns["y"],
        columns["z"],
        volume=np.array([layer.volume for layer in layers])[which],
        layer=np.array([layer.number for layer in layers])[which],
        id=numbered(of, count),
        particle=np.where(owner >= 0, own, 0),
        particles={
            "event": event,
            "id": np.arange(total) % max(each, 1) + 1,
            "px": momentum * np.cos(phi),
            "py": momentum * np.sin(phi),
            "pz": momentum * slope,
            **{"vx": x, "vy": y, "vz": z},
            "charge": charge,
            "vertex": np.arange(total) % max(each, 1) // max(particles, 1) + 1,
        },
        numbers=np.arange(count),
    )


def crossings(
    layer: Layer, x: Floats, y: Floats, z: Floats, phi: Floats, slope: Floats, curvature: Floats
) -> tuple[Floats, Floats]:
    """Return where helices first cross a layer (P, 3), and how far they have turned (P,), or NaN.

    With w = -q B c / pT the signed curvature of the path, a turn of t from the vertex leads to

        x = x0 + (sin(phi + t) - sin phi) / w,  y = y0 - (cos(phi + t) - cos phi) / w,
        z = z0 + slope t / w.
    """
    w = -curvature
    if layer.disc:
        turn = (layer.at - z) / slope * w
        turn = np.where(turn * w > 0, turn, np.nan)
    else:
        # The centre of the circle, and where on it the radius is reached, by the cosine theorem.
        cx, cy = x - np.sin(phi) / w, y + np.cos(phi) / w
        distance, radius = np.hypot(cx, cy), np.abs(1 / w)
        with np.errstate(invalid="ignore"):
            angle = np.arccos((radius**2 + distance**2 - layer.at**2) / (2 * radius * distance))
        inward = np.arctan2(-cy, -cx)
        start = np.arctan2(y - cy, x - cx)
        sign = np.sign(w)
        # From the point nearest to the beam on in the direction of flight.
        turn = np.remainder(sign * (inward - start) + np.pi, 2 * np.pi) - np.pi + angle
        turn = np.where(turn > 0, sign * turn, np.nan)
    where = np.stack(
        [
            x + (np.sin(phi + turn) - np.sin(phi)) / w,
            y - (np.cos(phi + turn) - np.cos(phi)) / w,
            z + slope * turn / w,
        ],
        axis=1,
    )
    if layer.disc:
        radius = np.hypot(where[:, 0], where[:, 1])
        inside = (radius >= layer.begin) & (radius <= layer.end) & (np.abs(turn) < np.pi)
    else:
        inside = np.abs(where[:, 2]) <= layer.end
    return where, np.where(inside, turn, np.nan)


def smeared(layer: Layer, where: Floats, random: np.random.Generator) -> Floats:
    """Return positions (n, 3) on a layer with its errors."""
    across, along = random.normal(size=(2, len(where))) * [[layer.across], [layer.along]]
    r = np.hypot(where[:, 0], where[:, 1])
    azimuth = np.arctan2(where[:, 1], where[:, 0]) + across / np.maximum(r, 1e-9)
    z = where[:, 2]
    r, z = (r + along, z) if layer.disc else (r, z + along)
    return np.stack([r * np.cos(azimuth), r * np.sin(azimuth), z], axis=1)


def flat(layer: Layer, count: int, random: np.random.Generator) -> Floats:
    """Return positions (count, 3), even over a layer."""
    azimuth = random.uniform(-np.pi, np.pi, count)
    if layer.disc:
        r = np.sqrt(random.uniform(layer.begin**2, layer.end**2, count))
        z = np.full(count, layer.at)
    else:
        r, z = np.full(count, layer.at), random.uniform(-layer.end, layer.end, count)
    return np.stack([r * np.cos(azimuth), r * np.sin(azimuth), z], axis=1)


def numbered(event: Ints, count: int) -> Ints:
    """Return numbers from 1 on for the rows (H,) of each event, in any order."""
    order = np.argsort(event, kind="stable")
    numbers = np.empty(len(event), dtype=np.int64)
    numbers[order] = np.arange(len(event)) - offsets_of(event[order], count)[event[order]] + 1
    return numbers
