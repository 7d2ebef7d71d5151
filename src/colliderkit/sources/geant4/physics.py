"""Geant4's physics: stock where its data sets are found, data-free electromagnetic where not.

The wheel of geant4_pybind brings Geant4 without the data sets that most of its models read. What
needs none is enough for electromagnetic showers: photoelectric effect, Compton scattering and
conversion; multiple scattering, ionisation, annihilation, and bremsstrahlung by the relativistic
model at all energies, where Geant4 takes Seltzer and Berger's tables below 1 GeV. There is no
Rayleigh scattering, no fluorescence and nothing nuclear: electrons, positrons and photons only.
"""

import atexit
import ctypes
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from colliderkit.errors import InputError

__all__ = ["DATA_FREE", "STOCK", "geant4", "physics_list", "physics_name"]

DATA_FREE, STOCK = "Geant4, data-free EM", "Geant4, FTFP_BERT"
# The folder that tells whether low-energy electromagnetic data are there, by its prefix.
LOW_ENERGY = "G4EMLOW"
EMPTY = "colliderkit-geant4-"
PLACES = ("GEANT4_DATA_DIR", "G4LEDATA")
Pointer = ctypes.c_void_p


def physics_name() -> str:
    """Return the physics list of this machine; raise `InputError` if the data's path is wrong."""
    for variable in PLACES:
        value = os.environ.get(variable)
        # A worker inherits the empty folder of the process that started it.
        if value is None or Path(value).name.startswith(EMPTY):
            continue
        folder = Path(value)
        if not folder.is_dir():
            raise InputError(
                f"{variable} is {value}, which is no folder; correct it, or unset it for the"
                " data-free electromagnetic physics."
            )
        if variable == "G4LEDATA" or any(folder.glob(f"{LOW_ENERGY}*")):
            return STOCK
        raise InputError(
            f"{variable} is {value}, which holds no {LOW_ENERGY} data; correct it, or unset it"
            " for the data-free electromagnetic physics."
        )
    return DATA_FREE


@cache
def _empty_data() -> str:
    """Make a folder with the one (empty) table that Geant4 wants to open without data."""
    folder = tempfile.mkdtemp(prefix=EMPTY)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (Path(folder) / "ENSDFSTATE.dat").touch()
    return folder


@cache
def geant4() -> Any:
    """Import geant4_pybind, without its prompt for a download; raise `InputError` if missing."""
    if physics_name() == DATA_FREE:
        for variable in (*PLACES, "G4ENSDFSTATEDATA"):
            os.environ[variable] = _empty_data()
    try:
        import geant4_pybind
    except ImportError as error:
        raise InputError(
            "Geant4 is missing; run: pip install 'colliderkit[geant4]' (Linux wheels)."
        ) from error
    return geant4_pybind


def physics_list(cut: float) -> Any:
    """Return the physics of this machine with a production cut [mm]."""
    g4 = geant4()
    if physics_name() == STOCK:
        stock = g4.FTFP_BERT(0)
        stock.SetDefaultCutValue(cut * g4.mm)
        return stock
    return _data_free(g4, cut)


def _data_free(g4: Any, cut: float) -> Any:
    exported = _Exported(g4)

    class DataFree(g4.G4VUserPhysicsList):
        def __init__(self) -> None:
            super().__init__()
            self.SetDefaultCutValue(cut * g4.mm)
            self.SetVerboseLevel(0)

        def SetCuts(self) -> None:
            self.SetCutsWithDefault()

        def ConstructParticle(self) -> None:
            g4.G4Gamma.GammaDefinition()
            g4.G4Electron.ElectronDefinition()
            g4.G4Positron.PositronDefinition()
            g4.G4Proton.ProtonDefinition()  # its range table is asked for, whatever is simulated

        def ConstructProcess(self) -> None:
            exported.construct()

    return DataFree()


class _Exported:
    """Reach the C++ classes that the bindings do not wrap, by the symbols that they export.

    The names are those of the Itanium ABI, fixed for the one version of the wheel that the extra
    pins. Objects belong to Geant4 once registered and are never freed here.
    """

    def __init__(self, g4: Any) -> None:
        self.library = ctypes.CDLL(g4.__file__)
        self.new = ctypes.CDLL("libstdc++.so.6")["_Znwm"]
        self.new.restype, self.new.argtypes = Pointer, [ctypes.c_size_t]
        self.kept: list[Any] = []

    def construct(self) -> None:
        """Register transport and the data-free processes of photon, electron and positron."""
        helper = self._call("_ZN19G4PhysicsListHelper20GetPhysicsListHelperEv", Pointer)
        self._call("_ZN19G4PhysicsListHelper17AddTransportationEv", None, helper)
        photon = self._call("_ZN7G4Gamma5GammaEv", Pointer)
        electron = self._call("_ZN10G4Electron8ElectronEv", Pointer)
        positron = self._call("_ZN10G4Positron8PositronEv", Pointer)
        self._register(helper, self._typed("G4PhotoElectricEffect", "phot"), photon)
        self._register(helper, self._typed("G4ComptonScattering", "compt"), photon)
        self._register(helper, self._typed("G4GammaConversion", "conv"), photon)
        for particle in (electron, positron):
            self._register(helper, self._named("G4eMultipleScattering", "msc"), particle)
            self._register(helper, self._named("G4eIonisation", "eIoni"), particle)
            brems = self._named("G4eBremsstrahlung", "eBrem")
            # Both slots, below and above 1 GeV: the first would be Seltzer and Berger's.
            for slot in (0, 1):
                model = self._made(
                    "_ZN25G4eBremsstrahlungRelModelC1EPK20G4ParticleDefinitionRK8G4String",
                    None,
                    self._string(f"eBremRel{slot}"),
                )
                self._call(
                    "_ZN20G4VEnergyLossProcess10SetEmModelEP10G4VEmModeli",
                    None,
                    brems,
                    model,
                    ctypes.c_int(slot),
                )
            self._register(helper, brems, particle)
        self._register(helper, self._named("G4eplusAnnihilation", "annihil"), positron)

    def _register(self, helper: int, process: int, particle: int) -> None:
        symbol = "_ZN19G4PhysicsListHelper15RegisterProcessEP10G4VProcessP20G4ParticleDefinition"
        if not self._call(symbol, ctypes.c_bool, helper, process, particle):
            raise RuntimeError("Geant4 refused a process of the data-free physics list")

    def _named(self, cls: str, name: str) -> int:
        return self._made(f"_ZN{len(cls)}{cls}C1ERK8G4String", self._string(name))

    def _typed(self, cls: str, name: str) -> int:
        symbol = f"_ZN{len(cls)}{cls}C1ERK8G4String13G4ProcessType"
        return self._made(symbol, self._string(name), ctypes.c_int(2))  # 2: electromagnetic

    def _made(self, symbol: str, *arguments: Any) -> int:
        """Construct an object in memory of `operator new`; 16 kB hold any of these classes."""
        place = self.new(16384)
        ctypes.memset(place, 0, 16384)
        self._call(symbol, None, place, *arguments)
        return int(place)

    def _call(self, symbol: str, result: Any, *arguments: Any) -> Any:
        function = self.library[symbol]
        function.restype = result
        function.argtypes = [
            type(a) if isinstance(a, ctypes._SimpleCData) else Pointer for a in arguments
        ]
        return function(*arguments)

    def _string(self, text: str) -> int:
        """Return the address of a std::string of libstdc++'s new ABI: data, size, capacity."""
        characters = ctypes.create_string_buffer(text.encode())
        image = (ctypes.c_uint64 * 4)()
        image[0], image[1] = ctypes.addressof(characters), len(text)
        image[2] = len(text) + 15  # more than the short form holds: data is looked up
        self.kept += [characters, image]
        return ctypes.addressof(image)
