"""Calorimeters to simulate: a voxel geometry and what stands in each of its layers."""

from dataclasses import dataclass
from itertools import accumulate

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry, Grid, Layer

__all__ = ["CALORIMETERS", "Calorimeter", "Sampling", "calorimeter", "sandwich"]


@dataclass(frozen=True)
class Sampling:
    """Describe what a shower meets in one layer: `periods` of an absorber and an active slab.

    Materials are Geant4's names (G4_W, G4_Si, G4_Pb, G4_lAr, ...), thicknesses mm. Only the energy
    in the active slabs is seen; all periods of a layer are summed.
    """

    absorber: str
    absorber_thickness: float
    active: str
    active_thickness: float
    periods: int = 1

    @property
    def thickness(self) -> float:
        """The thickness of the layer [mm]."""
        return self.periods * (self.absorber_thickness + self.active_thickness)


@dataclass(frozen=True)
class Calorimeter:
    """Sampling calorimeter: voxels, the sampling of each layer, and the radius [mm] that is filled.

    Beyond the voxels of a layer the same slabs go on to `radius`, unseen, so that showers are
    contained. Raises `InputError` unless there is one sampling a layer and the voxels fit.
    """

    geometry: Geometry
    samplings: tuple[Sampling, ...]
    radius: float

    def __post_init__(self) -> None:
        if len(self.samplings) != len(self.geometry.layers):
            raise InputError(
                f"{len(self.samplings)} samplings for {len(self.geometry.layers)} layers; give one"
                " each."
            )
        widest = max(layer.radius for layer in self.geometry.layers)
        if widest > self.radius:
            raise InputError(f"the voxels reach {widest:g} mm, the slabs {self.radius:g} mm only.")
        for layer, sampling in zip(self.geometry.layers, self.samplings, strict=True):
            if isinstance(layer, Layer) and layer.r_edges[0] != 0:
                raise InputError(
                    f"layer {layer.number}: begins at r = {layer.r_edges[0]:g}, not 0."
                )
            thin = min(sampling.absorber_thickness, sampling.active_thickness)
            if thin <= 0 or sampling.periods < 1:
                raise InputError(f"layer {layer.number}: its slabs must be thicker than nothing.")

    @property
    def depth(self) -> float:
        """The thickness of all layers [mm]."""
        return sum(sampling.thickness for sampling in self.samplings)

    @property
    def middles(self) -> tuple[float, ...]:
        """The mean depth [mm] of the active slabs of each layer."""
        starts = accumulate((sampling.thickness for sampling in self.samplings), initial=0.0)
        return tuple(
            start + s.thickness / 2 + s.absorber_thickness / 2
            for start, s in zip(starts, self.samplings, strict=False)
        )


def _photons() -> Calorimeter:
    """368 voxels in the bins of data set 1, photons, of the CaloChallenge.

    A stand-in for ATLAS's barrel: lead and liquid argon in layers of 1.7, 4.3, 16 and 2 radiation
    lengths, the last a tile calorimeter's first layer, of iron and scintillator.
    """
    geometry = Geometry(
        "photon",
        (
            Layer(0, (0, 5, 10, 30, 50, 100, 200, 400, 600)),
            Layer(1, (0, 2, 4, 6, 8, 10, 12, 15, 20, 30, 40, 50, 70, 90, 120, 150, 200), 10),
            Layer(
                2,
                (
                    *(0, 2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100),
                    *(130, 160, 200, 250, 300, 350, 400),
                ),
                10,
            ),
            Layer(3, (0, 50, 100, 200, 400, 600)),
            Layer(12, (0, 100, 200, 400, 1000, 2000)),
        ),
        22,
    )
    samplings = (
        Sampling("G4_Pb", 9.5, "G4_lAr", 11.0),
        Sampling("G4_Pb", 2.0, "G4_lAr", 4.5, 11),
        Sampling("G4_Pb", 2.0, "G4_lAr", 4.5, 41),
        Sampling("G4_Pb", 2.0, "G4_lAr", 4.5, 5),
        Sampling("G4_Fe", 14.0, "G4_POLYSTYRENE", 3.0, 10),
    )
    return Calorimeter(geometry, samplings, 2500.0)


def _electrons(angles: int, rings: int, step: float) -> Calorimeter:
    """Return 45 layers of 1.4 mm tungsten and 0.3 mm silicon, as data sets 2 and 3."""
    edges = [round(i * step, 6) for i in range(rings + 1)]
    geometry = Geometry.regular("electron", 45, angles, edges, 11)
    return Calorimeter(geometry, (Sampling("G4_W", 1.4, "G4_Si", 0.3),) * 45, 300.0)


def _calogan() -> Calorimeter:
    """504 cells in the three layers of CaloGAN (1705.02355): 480 mm x 480 mm, lead and argon.

    80 periods of 2 mm of lead and 4 mm of argon, as there. There the layers end at 90, 437 and
    480 mm, the second of them 1 mm before the end of an argon gap; here at 90, 438 and 480 mm, with
    whole periods. A stand-in: there the lead's share of the energy was seen as well.
    """
    geometry = Geometry(
        "calogan",
        tuple(
            Grid(i, rows, columns, 480.0, 480.0)
            for i, (rows, columns) in enumerate(((3, 96), (12, 12), (12, 6)))
        ),
    )
    samplings = tuple(Sampling("G4_Pb", 2.0, "G4_lAr", 4.0, periods) for periods in (15, 58, 7))
    return Calorimeter(geometry, samplings, 500.0)


def _silicon_tungsten() -> Calorimeter:
    """22 layers of silicon cells of 10 mm, 480 mm square, behind tungsten: showers as images.

    10 layers of 2.1 mm and 12 of 4.2 mm of tungsten, 20 radiation lengths and about one interaction
    length: hadrons begin in it and are not contained.
    """
    geometry = Geometry("silicon-tungsten", tuple(Grid(i, 48, 48, 480.0, 480.0) for i in range(22)))
    samplings = tuple(Sampling("G4_W", 2.1 if i < 10 else 4.2, "G4_Si", 0.5) for i in range(22))
    return Calorimeter(geometry, samplings, 350.0)


def _ecal_hcal() -> Calorimeter:
    """Three layers of lead and three of iron with liquid argon, 1.28 m square.

    6, 16 and 3 radiation lengths in cells of 20 mm, then 1.7, 3.3 and 1.7 interaction lengths in
    cells of 40 mm: about the thicknesses of 2003.08863's layers, in finer cells, which may be
    summed. Argon stands for their scintillator, whose light Geant4's scorer does not quench.
    """
    geometry = Geometry(
        "ecal-hcal",
        (
            *(Grid(i, 64, 64, 1280.0, 1280.0) for i in range(3)),
            *(Grid(i, 32, 32, 1280.0, 1280.0) for i in range(3, 6)),
        ),
    )
    samplings = (
        *(Sampling("G4_Pb", 2.0, "G4_lAr", 4.0, periods) for periods in (16, 42, 8)),
        *(Sampling("G4_Fe", 20.0, "G4_lAr", 4.0, periods) for periods in (14, 28, 14)),
    )
    return Calorimeter(geometry, samplings, 950.0)


CALORIMETERS = {
    "photons-368": _photons,
    "electrons-6480": lambda: _electrons(16, 9, 4.65),
    "electrons-40500": lambda: _electrons(50, 18, 2.325),
    "calogan": _calogan,
    "silicon-tungsten": _silicon_tungsten,
    "ecal-hcal": _ecal_hcal,
}


def calorimeter(name: str) -> Calorimeter:
    """Return a ready calorimeter by name; raise `InputError` if there is none."""
    if name not in CALORIMETERS:
        raise InputError(f"no calorimeter '{name}'; choose from {', '.join(CALORIMETERS)}.")
    return CALORIMETERS[name]()


def sandwich(
    thickness: float,
    layers: int = 12,
    *,
    absorber: str = "G4_Pb",
    active: str = "G4_POLYSTYRENE",
    active_thickness: float = 4.0,
) -> Calorimeter:
    """Return `layers` equal layers of an absorber of some thickness [mm] and an active slab.

    One voxel a layer, as wide as the slabs: what a detector is designed with, the thickness of its
    absorber at a given number of active layers, which is what it costs.
    """
    geometry = Geometry.regular("electron", layers, 1, [0.0, 300.0], 11)
    sampling = Sampling(absorber, thickness, active, active_thickness)
    return Calorimeter(geometry, (sampling,) * layers, 300.0)
