"""Shoot showers with Geant4: one run a process, a shower an event, scored in C++."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Grid, Layer
from colliderkit.seeds import derive
from colliderkit.sources.geant4.calorimeters import Calorimeter, Sampling
from colliderkit.sources.geant4.physics import PARTICLES, geant4, physics_list, physics_name
from colliderkit.sources.pythia.tunes import quietly

__all__ = ["Beam", "simulate"]


@dataclass(frozen=True)
class Beam:
    """Beam on the calorimeter: a particle at (x, y) [mm], under an angle [rad] to z.

    The angle is in the x-z plane; the particle starts 1 mm before the first layer. Particles are
    those of `physics.PARTICLES`, by Geant4's names, and incident energies are kinetic ones.
    """

    particle: str = "e-"
    x: float = 0.0
    y: float = 0.0
    angle: float = 0.0

    def __post_init__(self) -> None:
        if self.particle not in PARTICLES:
            raise InputError(f"particle '{self.particle}' is none of {', '.join(PARTICLES)}.")
        if not abs(self.angle) < math.pi / 2:
            raise InputError(f"angle is {self.angle:g}; it must be within pi/2 of the axis.")


def simulate(
    calorimeter: Calorimeter,
    energies: ArrayLike,
    *,
    beam: Beam | None = None,
    seed: int = 1,
    cut: float = 0.7,
    physics: str | None = None,
    entry: ArrayLike | None = None,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Shoot one particle of each energy (N,) [MeV]; return the showers (N, V) [MeV], as seen.

    The energy in the active slabs of each voxel, without the sampling fraction divided out. Equal
    seeds (0 to 2^64 - 1) give equal showers. `physics` is that of the particle
    (`physics.physics_name`) if not given; `entry` (N, 2) [mm] is added to where the beam enters, of
    each particle. Geant4 can be set up once in a process: a second
    calorimeter, another `cut` [mm] of production or another physics needs another process
    (`colliderkit.sources.geant4.shards`).
    Raises `InputError` for energies that are not positive, entries that are not one a particle, or
    a second set-up.
    """
    energy = np.asarray(energies, dtype=np.float64).reshape(-1)
    if not ((energy > 0) & np.isfinite(energy)).all():
        bad = int(np.argmin((energy > 0) & np.isfinite(energy)))
        raise InputError(f"shower {bad} has an energy of {energy[bad]:g} MeV; give positive ones.")
    beam = beam or Beam()
    places = np.zeros((len(energy), 2)) if entry is None else np.asarray(entry, dtype=np.float64)
    if places.shape != (len(energy), 2):
        raise InputError(
            f"entry has shape {places.shape}; give x and y of {len(energy)} particles."
        )
    run = _Run.of(calorimeter, cut, physics or physics_name(beam.particle))
    return run.shoot(energy, places, beam, seed, progress)


class _Run:
    """Geant4's run manager, with what must not be collected while it lives."""

    current: "_Run | None" = None

    @classmethod
    def of(cls, calorimeter: Calorimeter, cut: float, physics: str) -> "_Run":
        if cls.current is None:
            cls.current = cls(calorimeter, cut, physics)
        run = cls.current
        if (run.calorimeter, run.cut) != (calorimeter, cut):
            raise InputError(
                "Geant4 is set up for another calorimeter in this process; start anew."
            )
        if run.physics != physics:
            raise InputError(
                f"Geant4 is set up in this process with '{run.physics}', and '{physics}' is asked"
                " for; start anew."
            )
        return run

    def __init__(self, calorimeter: Calorimeter, cut: float, physics: str) -> None:
        g4 = geant4()
        self.calorimeter, self.cut, self.physics = calorimeter, cut, physics
        self.energy: NDArray[np.float64] = np.zeros(0)
        self.entry: NDArray[np.float64] = np.zeros((0, 2))
        self.beam = Beam()
        self.showers: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self.progress: Callable[[int], None] | None = None
        self.voxel = _voxels(calorimeter)
        made: list[Any] = []
        quietly(lambda: made.append(g4.G4RunManager()))  # it greets with a page
        (self.manager,) = made
        self.manager.SetVerboseLevel(0)
        # Actions come after the physics list; all are kept, for Geant4 does not own Python's part.
        self.kept = [_construction(g4, calorimeter), physics_list(cut, physics)]
        for part in self.kept:
            self.manager.SetUserInitialization(part)
        parameters = g4.G4EmParameters.Instance()
        parameters.SetVerbose(0)
        parameters.SetFluo(False)
        self.kept += [_gun(g4, self), _reader(g4, self)]
        for part in self.kept[2:]:
            self.manager.SetUserAction(part)
        self.manager.Initialize()

    def shoot(
        self,
        energy: NDArray[np.float64],
        entry: NDArray[np.float64],
        beam: Beam,
        seed: int,
        progress: Callable[[int], None] | None,
    ) -> NDArray[np.float32]:
        self.energy, self.entry, self.beam, self.progress = energy, entry, beam, progress
        self.showers = np.zeros((len(energy), self.calorimeter.geometry.voxels), np.float32)
        geant4().G4Random.setTheSeed(derive(seed) >> 32)  # it takes 31 bits
        self.manager.BeamOn(len(energy))
        return self.showers


def _voxels(calorimeter: Calorimeter) -> NDArray[np.int64]:
    """Return the voxel of Geant4's index (layer * P + part) * S + slice, -1 for none."""
    layers = calorimeter.geometry.layers
    parts, slices = _most(layers)
    found = np.full((len(layers), parts, slices), -1, dtype=np.int64)
    for i, layer in enumerate(layers):
        start, stop = calorimeter.geometry.starts[i : i + 2]
        own = np.arange(start, stop).reshape(layer.shape)
        # Voxels run through the rings of an angle, Geant4 through the angles of a ring.
        own = own.T if isinstance(layer, Layer) else own
        found[i, : own.shape[0], : own.shape[1]] = own
    return found.reshape(-1)


def _most(layers: tuple[Layer | Grid, ...]) -> tuple[int, int]:
    """Return the most parts of a layer, rings or rows, and slices of a part, angles or columns."""
    counts = [
        (layer.rings, layer.angles) if isinstance(layer, Layer) else (layer.rows, layer.columns)
        for layer in layers
    ]
    return max(parts for parts, _ in counts), max(slices for _, slices in counts)


def _construction(g4: Any, calorimeter: Calorimeter) -> Any:
    layers = calorimeter.geometry.layers

    class Construction(g4.G4VUserDetectorConstruction):
        def Construct(self) -> Any:
            self.kept: list[Any] = []
            self.seen: list[Any] = []
            side = 2 * (calorimeter.radius + 1)
            deep = 2 * (calorimeter.depth + 10)
            box = g4.G4Box("world", side / 2 * g4.mm, side / 2 * g4.mm, deep / 2 * g4.mm)
            world = self._logical(box, "G4_Galactic", "world")
            whole = g4.G4PVPlacement(
                None, g4.G4ThreeVector(), world, "world", None, False, 0, False
            )
            self.kept.append(whole)
            z = 0.0
            for i, (layer, sampling) in enumerate(zip(layers, calorimeter.samplings, strict=True)):
                absorber = self._logical(
                    self._tube(0, calorimeter.radius, sampling.absorber_thickness),
                    sampling.absorber,
                    f"absorber-{i}",
                )
                active = self._active(i, layer, sampling)
                for _ in range(sampling.periods):
                    self._place(absorber, world, z + sampling.absorber_thickness / 2, i)
                    z += sampling.absorber_thickness
                    self._place(active, world, z + sampling.active_thickness / 2, i)
                    z += sampling.active_thickness
            return whole

        def _active(self, i: int, layer: Layer | Grid, sampling: Sampling) -> Any:
            """Return the active slab of a layer, which holds its voxels."""
            slab = self._logical(
                self._tube(0, calorimeter.radius, sampling.active_thickness),
                sampling.active,
                f"active-{i}",
            )
            if isinstance(layer, Layer):
                self._rings(i, layer, sampling, slab)
            else:
                self._cells(i, layer, sampling, slab)
            return slab

        def _rings(self, i: int, layer: Layer, sampling: Sampling, slab: Any) -> None:
            """Fill a slab with rings, copy number ring, cut into sectors."""
            thick = sampling.active_thickness
            for ring, (low, high) in enumerate(
                zip(layer.r_edges[:-1], layer.r_edges[1:], strict=True)
            ):
                whole = self._logical(
                    self._tube(low, high, thick), sampling.active, f"ring-{i}-{ring}"
                )
                self._place(whole, slab, 0.0, ring)
                width = 2 * math.pi / layer.angles
                sector = self._logical(
                    self._tube(
                        low, high, thick, -width / 2 if layer.angles > 1 else -math.pi, width
                    ),
                    sampling.active,
                    f"sector-{i}-{ring}",
                )
                if layer.angles > 1:
                    replica = g4.G4PVReplica(
                        f"sectors-{i}-{ring}",
                        sector,
                        whole,
                        g4.EAxis.kPhi,
                        layer.angles,
                        width,
                        -math.pi,
                    )
                    self.kept.append(replica)
                else:
                    self._place(sector, whole, 0.0, 0)
                self.seen.append(sector)

        def _cells(self, i: int, grid: Grid, sampling: Sampling, slab: Any) -> None:
            """Fill a slab with a box, copy number i as the slab's, of rows, and these of cells."""
            thick, across = sampling.active_thickness, grid.height / grid.rows
            made = []
            for name, width, height in (
                ("box", grid.width, grid.height),
                ("row", grid.width, across),
                ("cell", grid.width / grid.columns, across),
            ):
                solid = g4.G4Box(name, width / 2 * g4.mm, height / 2 * g4.mm, thick / 2 * g4.mm)
                made.append(self._logical(solid, sampling.active, f"{name}-{i}"))
            box, row, cell = made
            self._place(box, slab, 0.0, i)
            for name, part, whole, axis, count, width in (
                ("rows", row, box, g4.EAxis.kYAxis, grid.rows, across),
                ("cells", cell, row, g4.EAxis.kXAxis, grid.columns, grid.width / grid.columns),
            ):
                self.kept.append(
                    g4.G4PVReplica(f"{name}-{i}", part, whole, axis, count, width * g4.mm)
                )
            self.seen.append(cell)

        def _tube(
            self,
            low: float,
            high: float,
            thick: float,
            start: float = -math.pi,
            width: float = 2 * math.pi,
        ) -> Any:
            return g4.G4Tubs("tube", low * g4.mm, high * g4.mm, thick / 2 * g4.mm, start, width)

        def _logical(self, solid: Any, material: str, name: str) -> Any:
            found = g4.G4NistManager.Instance().FindOrBuildMaterial(material)
            if found is None:
                raise InputError(f"Geant4 knows no material '{material}'; give one of its names.")
            volume = g4.G4LogicalVolume(solid, found, name)
            self.kept += [solid, volume]
            return volume

        def _place(self, volume: Any, mother: Any, z: float, copy: int) -> None:
            where = g4.G4ThreeVector(0, 0, z * g4.mm)
            name = f"{volume.GetName()}-placed"
            self.kept.append(
                g4.G4PVPlacement(None, where, volume, name, mother, False, copy, False)
            )

        def ConstructSDandField(self) -> None:
            parts, slices = _most(layers)
            detector = g4.G4MultiFunctionalDetector("seen")
            g4.G4SDManager.GetSDMpointer().AddNewDetector(detector)
            # Copy numbers: the sector's or cell's at depth 0, the ring's or row's at 1, the
            # layer's at 2.
            score = g4.G4PSEnergyDeposit3D("energy", len(layers), parts, slices, 2, 1, 0)
            detector.RegisterPrimitive(score)
            self.kept += [detector, score]
            for volume in self.seen:
                self.SetSensitiveDetector(volume, detector)

    return Construction()


def _gun(g4: Any, run: _Run) -> Any:
    class Gun(g4.G4VUserPrimaryGeneratorAction):
        def __init__(self) -> None:
            super().__init__()
            self.gun = g4.G4ParticleGun(1)

        def GeneratePrimaries(self, event: Any) -> None:
            beam = run.beam
            table = g4.G4ParticleTable.GetParticleTable()
            self.gun.SetParticleDefinition(table.FindParticle(beam.particle))
            self.gun.SetParticleMomentumDirection(
                g4.G4ThreeVector(math.sin(beam.angle), 0, math.cos(beam.angle))
            )
            x, y = (beam.x, beam.y) + run.entry[event.GetEventID()]
            self.gun.SetParticlePosition(
                g4.G4ThreeVector(float(x) * g4.mm, float(y) * g4.mm, -1 * g4.mm)
            )
            self.gun.SetParticleEnergy(float(run.energy[event.GetEventID()]) * g4.MeV)
            self.gun.GeneratePrimaryVertex(event)

    return Gun()


def _reader(g4: Any, run: _Run) -> Any:
    class Reader(g4.G4UserEventAction):
        def __init__(self) -> None:
            super().__init__()
            self.collection: int | None = None

        def EndOfEventAction(self, event: Any) -> None:
            if self.collection is None:
                manager = g4.G4SDManager.GetSDMpointer()
                self.collection = manager.GetCollectionID("seen/energy")
            hits = event.GetHCofThisEvent().GetHC(self.collection)
            pairs = np.array([(index, energy) for index, energy in hits], dtype=np.float64)
            if len(pairs):
                place = run.voxel[pairs[:, 0].astype(np.int64)]
                run.showers[event.GetEventID(), place] = pairs[:, 1] / g4.MeV
            if run.progress is not None:
                run.progress(event.GetEventID() + 1)

    return Reader()
