"""Geant4's physics: stock where its data sets are found, data-free where not.

The wheel of geant4_pybind brings Geant4 without the data sets that most of its models read.

What needs none is enough for electromagnetic showers (`DATA_FREE`): photoelectric effect, Compton
scattering and conversion; multiple scattering, ionisation, annihilation, and bremsstrahlung by the
relativistic model at all energies, where Geant4 takes Seltzer and Berger's tables below 1 GeV.
There is no Rayleigh scattering, no fluorescence and nothing nuclear: electrons, positrons and
photons only.

And for hadrons and muons (`DATA_FREE_HADRONS`), to which the stock constructors of FTFP_BERT bring
data that few of their classes want: Bertini's cascade below 6 GeV and FTF strings above 3 GeV for
pions, kaons, nucleons, hyperons and light antiions, with cross-sections of Barashenkov, Glauber and
Gribov; elastic scattering, capture at rest, decays; ionisation and multiple scattering of all that
is charged. `MISSING` says what it lacks.
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

__all__ = [
    "DATA_FREE",
    "DATA_FREE_HADRONS",
    "ELECTROMAGNETIC",
    "GATE",
    "MISSING",
    "PARTICLES",
    "STOCK",
    "geant4",
    "missing_physics",
    "physics_list",
    "physics_name",
]

GATE = 1000.0  # ns after which neutrons are dropped: what they leave later is not read out
DATA_FREE, STOCK = "Geant4, data-free EM", "Geant4, FTFP_BERT"
DATA_FREE_HADRONS = "Geant4, data-free FTFP_BERT"
MISSING = {
    DATA_FREE: "Rayleigh scattering, fluorescence, Seltzer-Berger bremsstrahlung, all that is"
    " nuclear",
    DATA_FREE_HADRONS: "neutron capture and tables of low-energy neutrons, photonuclear and"
    " electronuclear reactions, discrete nuclear levels, inelastic scattering of light ions,"
    " bremsstrahlung and pairs of muons, Rayleigh scattering, fluorescence, Seltzer-Berger"
    f" bremsstrahlung; neutrons are dropped after {GATE:g} ns",
    STOCK: "",
}
# Geant4's names of what may enter a calorimeter.
ELECTROMAGNETIC = ("gamma", "e-", "e+")
PARTICLES = (
    *ELECTROMAGNETIC,
    *("pi+", "pi-", "pi0", "kaon+", "kaon-", "kaon0L", "kaon0S"),
    *("proton", "anti_proton", "neutron", "anti_neutron", "mu-", "mu+"),
)
# The folder that tells whether low-energy electromagnetic data are there, by its prefix.
LOW_ENERGY = "G4EMLOW"
EMPTY = "colliderkit-geant4-"
# Hadrons that ionise, beside muons and the ions that have a process of their own.
CHARGED = (
    *("pi+", "pi-", "kaon+", "kaon-", "proton", "anti_proton", "deuteron", "triton"),
    *("sigma+", "sigma-", "xi-", "omega-", "anti_sigma+", "anti_sigma-", "anti_xi-", "anti_omega-"),
)
IONS = ("alpha", "He3", "GenericIon")
PLACES = ("GEANT4_DATA_DIR", "G4LEDATA")
# Where hadronic classes look for tables that they can do without, if the folder is there.
EMPTIED = tuple(
    f"G4{name}DATA"
    for name in (
        *("ENSDFSTATE", "LEVELGAMMA", "PARTICLEXS", "SAIDXS", "NEUTRONHP", "RADIOACTIVE"),
        *("ABLA", "INCL", "PII", "REALSURFACE"),
    )
)
Pointer = ctypes.c_void_p


def physics_name(particle: str = "e-") -> str:
    """Return the physics list of a particle on this machine: its own, or one without data sets.

    Raises `InputError` if the path of the data is wrong.
    """
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
    return DATA_FREE if particle in ELECTROMAGNETIC else DATA_FREE_HADRONS


def missing_physics(physics: str) -> str:
    """Say what a physics list lacks, for the files and pages that it has made."""
    return MISSING.get(physics, "")


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
        for variable in (*PLACES, *EMPTIED):
            os.environ[variable] = _empty_data()
    try:
        import geant4_pybind
    except ImportError as error:
        raise InputError(
            "Geant4 is missing; run: pip install 'colliderkit[geant4]' (Linux wheels)."
        ) from error
    return geant4_pybind


def physics_list(cut: float, physics: str | None = None, gate: float = GATE) -> Any:
    """Return a physics list with a production cut [mm], that of electrons if none is named.

    `gate` [ns] is when neutrons are dropped, of the list of hadrons without data.
    """
    g4 = geant4()
    physics = physics or physics_name()
    if physics == STOCK:
        stock = g4.FTFP_BERT(0)
        stock.SetDefaultCutValue(cut * g4.mm)
        return stock
    return _data_free(g4, cut) if physics == DATA_FREE else _data_free_hadrons(g4, cut, gate)


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
            exported.electromagnetic()

    return DataFree()


def _data_free_hadrons(g4: Any, cut: float, gate: float) -> Any:
    exported = _Exported(g4)

    class DataFreeHadrons(g4.G4VUserPhysicsList):
        def __init__(self) -> None:
            super().__init__()
            self.SetDefaultCutValue(cut * g4.mm)
            self.SetVerboseLevel(0)
            g4.G4HadronicParameters.Instance().SetVerboseLevel(0)
            self.kept: list[Any] = []

        def SetCuts(self) -> None:
            self.SetCutsWithDefault()

        def ConstructParticle(self) -> None:
            exported.all_particles()

        def ConstructProcess(self) -> None:
            exported.electromagnetic()
            exported.ionisation()
            self._wrapped(g4.G4DecayPhysics())
            exported.hadronic()
            self._wrapped(g4.G4StoppingPhysics())
            neutrons = g4.G4NeutronTrackingCut(0)
            neutrons.SetTimeLimit(gate * g4.ns)
            neutrons.SetKineticEnergyLimit(0.0)
            neutrons.ConstructParticle()
            self._wrapped(neutrons)

        def _wrapped(self, part: Any) -> None:
            """Add what the bindings do wrap; Geant4 does not own Python's part of it."""
            self.kept.append(part)
            part.ConstructProcess()

    return DataFreeHadrons()


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

    def electromagnetic(self) -> None:
        """Register transport and the data-free processes of photon, electron and positron."""
        helper = self._helper()
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

    def all_particles(self) -> None:
        """Make all particles that hadronic models may ask for."""
        for kind in ("Boson", "Lepton", "Meson", "Baryon", "Ion"):
            name = f"G4{kind}Constructor"
            self._call(f"_ZN{len(name)}{name}17ConstructParticleEv", None)
        # A member, which uses nothing of its object.
        self._call("_ZN23G4ShortLivedConstructor17ConstructParticleEv", None, self._place(64))

    def ionisation(self) -> None:
        """Register ionisation and multiple scattering of muons, hadrons and ions."""
        helper = self._helper()
        for particles, kind, name, scattering in (
            (("mu+", "mu-"), "G4MuIonisation", "muIoni", ("G4MuMultipleScattering", "msc")),
            (CHARGED, "G4hIonisation", "hIoni", ("G4hMultipleScattering", "msc")),
            (IONS, "G4ionIonisation", "ionIoni", ("G4hMultipleScattering", "ionmsc")),
        ):
            for particle in map(self._particle, particles):
                self._register(helper, self._named(*scattering), particle)
                self._register(helper, self._named(kind, name), particle)

    def hadronic(self) -> None:
        """Register inelastic and elastic scattering, as FTFP_BERT builds them."""
        self._call(
            "_ZN17G4HadronicBuilder14BuildFTFP_BERTERKSt6vectorIiSaIiEEbRK8G4String",
            None,
            self._integers(211, -211, 2212, 2112),
            ctypes.c_bool(True),
            self._string("Glauber-Gribov"),
        )
        for what in (
            "19BuildKaonsFTFP_BERT",
            "22BuildHyperonsFTFP_BERT",
            "22BuildAntiLightIonsFTFP",
        ):
            self._call(f"_ZN17G4HadronicBuilder{what}Ev", None)
        # Barashenkov's cross-sections below 91 GeV, on top for pions and nucleons.
        for name, kind in (
            ("pi+", "G4BGGPionInelasticXS"),
            ("pi-", "G4BGGPionInelasticXS"),
            ("proton", "G4BGGNucleonInelasticXS"),
            ("neutron", "G4BGGNucleonInelasticXS"),
        ):
            particle = self._particle(name)
            process = self._call(
                "_ZN14G4HadProcesses20FindInelasticProcessEPK20G4ParticleDefinition",
                Pointer,
                particle,
            )
            self._call(
                "_ZN17G4HadronicProcess10AddDataSetEP22G4VCrossSectionDataSet",
                None,
                process,
                self._made(f"_ZN{len(kind)}{kind}C1EPK20G4ParticleDefinition", particle),
            )
        self._call(
            "_ZN17G4HadronicBuilder12BuildElasticERKSt6vectorIiSaIiEE",
            None,
            self._integers(211, -211, 321, -321, 130, 310, 2212, 2112, -2212, -2112, 3122),
        )

    def _helper(self) -> int:
        helper: int = self._call("_ZN19G4PhysicsListHelper20GetPhysicsListHelperEv", Pointer)
        return helper

    def _particle(self, name: str) -> int:
        table = self._call("_ZN15G4ParticleTable16GetParticleTableEv", Pointer)
        symbol = "_ZN15G4ParticleTable12FindParticleERK8G4String"
        particle: int | None = self._call(symbol, Pointer, table, self._string(name))
        if particle is None:
            raise RuntimeError(f"Geant4 has made no particle {name}")
        return particle

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
        """Construct an object in memory of `operator new`; 64 kB hold any of these classes."""
        place = self._place(65536)
        self._call(symbol, None, place, *arguments)
        return place

    def _place(self, size: int) -> int:
        place = int(self.new(size))
        ctypes.memset(place, 0, size)
        return place

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

    def _integers(self, *numbers: int) -> int:
        """Return the address of a std::vector<int>: where it begins, ends, and may end."""
        values = (ctypes.c_int * len(numbers))(*numbers)
        image = (ctypes.c_uint64 * 3)()
        image[0] = ctypes.addressof(values)
        image[1] = image[2] = image[0] + ctypes.sizeof(values)
        self.kept += [values, image]
        return ctypes.addressof(image)
