"""Processes that Pythia generates: settings of each, and the jets that are kept."""

from dataclasses import dataclass

from colliderkit.errors import InputError

__all__ = ["PROCESSES", "SAMPLES", "Process", "process_named"]


@dataclass(frozen=True)
class Process:
    """Definition of one class of jets: hard process, jet algorithm and cuts.

    - `title`: what the jets are, in words;
    - `settings`: Pythia 8 settings, beyond those of every process;
    - `energy`: of the collision [GeV]; `beams`: the PDG codes of what collides;
    - `radius`: of the anti-kT jets, or None for a process that is not clustered;
    - `pt`: the window of the jet [GeV]; `eta`: its largest |eta|;
    - `leading`: how many of the hardest jets of an event are looked at;
    - `match`: "top" or "W" keeps jets with that particle, and its decay quarks (three, two),
      within `radius` of the axis; "b", "c" or "light" keeps jets by the heavy hadrons of
      pt > 5 GeV within 0.3 of the axis; "tau" those with a tau that decays to hadrons within 0.2 of
      the axis, and what is true of it (`colliderkit.sources.pythia.tau_decays`); "" keeps all;
    - `parton`: jets carry the PDG code of the hard process's outgoing parton that is nearest to the
      axis within `radius`, as the column ``parton``, 0 where there is none;
    - `tracks`: the constituents are the charged particles alone, with impact parameters;
    - `impact`: with a detector, constituents keep the impact parameters of their tracks;
    - `z_pt`: the least transverse momentum of the event's Z [GeV], where it has one;
    - `dijet`: what a sample holds of an event is a row of numbers of its two hardest jets, of which
      one passes the cuts (see `colliderkit.sources.pythia.dijets`);
    - `collisions`: a sample holds whole events, with all particles and the collision of each (see
      `colliderkit.sources.pythia.collisions`).
    """

    title: str
    settings: tuple[str, ...]
    energy: float = 14_000.0
    radius: float | None = None
    pt: tuple[float, float] = (0.0, float("inf"))
    eta: float = 2.0
    leading: int = 2
    match: str = ""
    parton: bool = False
    tracks: bool = False
    impact: bool = False
    beams: tuple[int, int] = (2212, 2212)
    z_pt: float = 0.0
    dijet: bool = False
    collisions: bool = False


# The public top-tagging benchmark (arXiv:1902.09914): 14 TeV, no multiple interactions,
# anti-kT R = 0.8, 550 < pt < 650 GeV, |eta| < 2. The window on the hard process costs a fifth of
# the jets (measured: 21% come from below it, pushed by recoil; 2-3% from above) and doubles the
# speed.
TOP_JETS: dict = {"radius": 0.8, "pt": (550.0, 650.0), "eta": 2.0}
TOP_HARD = ("PartonLevel:MPI = off", "PhaseSpace:pTHatMin = 525.", "PhaseSpace:pTHatMax = 700.")
HADRONIC_W = ("24:onMode = off", "24:onIfAny = 1 2 3 4 5")

# The W-tagging set of DisCo (arXiv:2001.05310): 13 TeV, R = 1.0, 300 < pt < 400 GeV, |eta| < 2.
W_JETS: dict = {"energy": 13_000.0, "radius": 1.0, "pt": (300.0, 400.0), "eta": 2.0}
W_HARD = ("PhaseSpace:pTHatMin = 270.", "PhaseSpace:pTHatMax = 450.")

# energyflow's quark and gluon jets (arXiv:1810.05165, Zenodo 3164691): Z(nu nu) + parton at
# 14 TeV with multiple interactions; the hardest jet, R = 0.4, 500 < pt < 550 GeV, |y| < 1.7
# (|eta| here: the same within the mass of a jet).
Z_JETS: dict = {"radius": 0.4, "pt": (500.0, 550.0), "eta": 1.7, "leading": 1}
Z_HARD = (
    "WeakZ0:gmZmode = 2",
    "23:onMode = off",
    "23:onIfAny = 12 14 16",
    "PhaseSpace:pTHatMin = 475.",
    "PhaseSpace:pTHatMax = 600.",
)

# Mixed samples of quarks and gluons in one window of pt: beside a Z, and the hardest jet of two,
# in the shares that the matrix elements give. Multiple interactions are off for speed.
MIXED_JETS: dict = {"radius": 0.4, "pt": (200.0, 250.0), "eta": 1.7, "leading": 1, "parton": True}
MIXED_HARD = (
    "PartonLevel:MPI = off",
    "PhaseSpace:pTHatMin = 170.",
    "PhaseSpace:pTHatMax = 330.",
)

# Flavour: dijets at 13 TeV with multiple interactions, in one pt window for all flavours.
FLAVOUR_JETS: dict = {
    "energy": 13_000.0,
    "radius": 0.4,
    "pt": (50.0, 150.0),
    "eta": 2.1,
    "tracks": True,
}
FLAVOUR_HARD = ("PhaseSpace:pTHatMin = 50.", "PhaseSpace:pTHatMax = 200.")
LIGHT_DIJETS = ("gg2gg", "gg2qqbar", "qg2qg", "qq2qq", "qqbar2gg", "qqbar2qqbarNew")

# Taus: from Z and photons at 13 TeV, their decays polarised, beside quarks and gluons in the same
# window of pt. All that is seen within R = 0.5 is kept. Multiple interactions are off for speed.
TAU_JETS: dict = {
    "energy": 13_000.0,
    "radius": 0.5,
    "pt": (20.0, 100.0),
    "eta": 2.3,
    "impact": True,
}
TAU_PAIRS = (
    *("WeakSingleBoson:ffbar2gmZ = on", "PhaseSpace:mHatMin = 100."),
    *("23:onMode = off", "23:onIfAny = 15", "15:offIfAny = 11 13", "PartonLevel:MPI = off"),
)

# OmniFold's jets (arXiv:1911.09107): the hardest jet beside a Z of pt > 200 GeV at 14 TeV,
# R = 0.4, with the published window on the hard process. The Z decays to neutrinos, where the
# published one is stable: neither enters a jet. Multiple interactions are off for speed
# (with them Vincia makes ten events a second); "PartonLevel:MPI = on" brings them back.
# The published jets have pt > 10 GeV and any eta; here a detector's acceptance.
Z_RECOIL = (
    "WeakBosonAndParton:qqbar2gmZg = on",
    "WeakBosonAndParton:qg2gmZq = on",
    "WeakZ0:gmZmode = 2",
    "23:onMode = off",
    "23:onIfAny = 12 14 16",
    "PartonLevel:MPI = off",
    "PhaseSpace:pTHatMin = 150.",
)

# Jets to calibrate, of a decade of pt: the weight pt^4.5 on the hard process makes the spectrum
# about flat in ln pt from 50 to 500 GeV, and is not undone. Multiple interactions are off for
# speed (with them an event takes four times as long); "PartonLevel:MPI = on" brings them back.
CALIBRATION_JETS: dict = {"energy": 13_000.0, "radius": 0.4, "pt": (25.0, float("inf"))}
CALIBRATION_HARD = (
    "HardQCD:all = on",
    "PartonLevel:MPI = off",
    "PhaseSpace:pTHatMin = 20.",
    "PhaseSpace:bias2Selection = on",
    "PhaseSpace:bias2SelectionPow = 4.5",
    "PhaseSpace:bias2SelectionRef = 100.",
)

# Events for particle flow, of jets of 20 to 100 GeV: the spectrum is made flat, as above.
FLOW_HARD = (*CALIBRATION_HARD, "PhaseSpace:pTHatMax = 120.")

# DCTR's jets (arXiv:1907.08209): e+e- at the Z, without radiation off the beams, to all five
# quarks; R = 0.8 in pt, eta and phi as at a proton collider. The hardest jet alone, so that jets
# are independent of each other; both are alike.
Z_POLE = (
    "PDF:lepton = off",
    "WeakSingleBoson:ffbar2gmZ = on",
    "23:onMode = off",
    "23:onIfAny = 1 2 3 4 5",
)

# The R&D set of the LHC Olympics (arXiv:2101.08320): 13 TeV, no multiple interactions, a jet of
# R = 1.0 with pt > 1.2 TeV and |eta| < 2.5. The hard process begins at 1.1 TeV: 6 to 9% of the
# events come from below it, pushed by radiation, and more than half of the work would be there.
OLYMPICS: dict = {
    "energy": 13_000.0,
    "radius": 1.0,
    "pt": (1200.0, float("inf")),
    "eta": 2.5,
    "dijet": True,
}
# Resonance of 3.5 TeV to X of 500 and Y of 100 GeV, each to two quarks. A Z' with such a channel
# alone has no cross section in Pythia; a W' has, so that X carries its charge.
W_PRIME = (
    "NewGaugeBoson:ffbar2Wprime = on",
    "PartonLevel:MPI = off",
    "9000001:new = X+ X- 1 3 0 500. 1. 480. 520. 0.",
    "9000001:addChannel = 1 0.5 100 2 -1",
    "9000001:addChannel = 1 0.5 100 4 -3",
    "9000001:isResonance = true",
    "9000002:new = Y void 1 0 0 100. 1. 90. 110. 0.",
    "9000002:addChannel = 1 0.5 100 1 -1",
    "9000002:addChannel = 1 0.5 100 2 -2",
    "9000002:isResonance = true",
    "34:m0 = 3500.",
    "34:mWidth = 35.",
    "34:doForceWidth = true",
    "34:mMin = 3000.",
    "34:mMax = 4000.",
    "34:oneChannel = 1 1.0 100 9000001 9000002",
)

# Jets whose masses make a resonance of two quarks at 2 TeV, and QCD under it (after
# arXiv:2205.05084). The cut on the jets is far below the hard process, so that none is lost.
DIJETS: dict = {**OLYMPICS, "pt": (300.0, float("inf"))}

# What a trigger sees: a falling spectrum, made flat in ln pt by weights that its user undoes.
TRIGGER_EVENTS: dict = {"energy": 13_600.0, "radius": 0.4, "collisions": True}
TRIGGER_HARD = (
    "PhaseSpace:pTHatMin = 40.",
    "PhaseSpace:pTHatMax = 600.",
    "PhaseSpace:bias2Selection = on",
    "PhaseSpace:bias2SelectionPow = 4.5",
    "PhaseSpace:bias2SelectionRef = 100.",
)

PROCESSES: dict[str, Process] = {
    "top": Process(
        "top quarks, decayed to hadrons",
        ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on", *HADRONIC_W, *TOP_HARD),
        match="top",
        **TOP_JETS,
    ),
    "qcd": Process("quarks and gluons", ("HardQCD:all = on", *TOP_HARD), **TOP_JETS),
    "w": Process(
        "W bosons, decayed to hadrons",
        ("WeakDoubleBoson:ffbar2WW = on", *HADRONIC_W, *W_HARD),
        match="W",
        **W_JETS,
    ),
    "qcd-w": Process("quarks and gluons", ("HardQCD:all = on", *W_HARD), **W_JETS),
    "quark": Process(
        "light quarks beside a Z", ("WeakBosonAndParton:qg2gmZq = on", *Z_HARD), **Z_JETS
    ),
    "gluon": Process(
        "gluons beside a Z", ("WeakBosonAndParton:qqbar2gmZg = on", *Z_HARD), **Z_JETS
    ),
    "b": Process(
        "bottom jets",
        ("HardQCD:gg2bbbar = on", "HardQCD:qqbar2bbbar = on", *FLAVOUR_HARD),
        match="b",
        **FLAVOUR_JETS,
    ),
    "c": Process(
        "charm jets",
        ("HardQCD:gg2ccbar = on", "HardQCD:qqbar2ccbar = on", *FLAVOUR_HARD),
        match="c",
        **FLAVOUR_JETS,
    ),
    "light": Process(
        "jets without heavy hadrons",
        (*(f"HardQCD:{name} = on" for name in LIGHT_DIJETS), *FLAVOUR_HARD),
        match="light",
        **FLAVOUR_JETS,
    ),
    "tau": Process(
        "taus that decay to hadrons, of a Z or a photon", TAU_PAIRS, match="tau", **TAU_JETS
    ),
    "qcd-tau": Process(
        "quarks and gluons, as far as they are taken for taus",
        ("HardQCD:all = on", "PhaseSpace:pTHatMin = 20.", "PartonLevel:MPI = off"),
        **TAU_JETS,
    ),
    "z-mixed": Process(
        "the hardest jet beside a Z, quarks and gluons",
        (
            "WeakBosonAndParton:qqbar2gmZg = on",
            "WeakBosonAndParton:qg2gmZq = on",
            *("WeakZ0:gmZmode = 2", "23:onMode = off", "23:onIfAny = 12 14 16"),
            *MIXED_HARD,
        ),
        **MIXED_JETS,
    ),
    "dijet-mixed": Process(
        "the hardest jet of two, quarks and gluons",
        (*(f"HardQCD:{name} = on" for name in LIGHT_DIJETS), *MIXED_HARD),
        **MIXED_JETS,
    ),
    "z-jets": Process(
        "the hardest jet beside a Z of pt > 200 GeV",
        Z_RECOIL,
        radius=0.4,
        pt=(100.0, float("inf")),
        eta=2.5,
        leading=1,
        z_pt=200.0,
    ),
    "dijets": Process(
        "quarks and gluons of 25 GeV and more, about as many in each range of ln pt",
        CALIBRATION_HARD,
        eta=2.0,
        **CALIBRATION_JETS,
    ),
    "ee-dijets": Process(
        "the hardest jet of a Z made by electron and positron",
        Z_POLE,
        energy=91.2,
        beams=(11, -11),
        radius=0.8,
        pt=(10.0, float("inf")),
        leading=1,
    ),
    "lhco-qcd": Process(
        "events with two jets of quarks and gluons, one of pt > 1.2 TeV",
        ("HardQCD:all = on", "PartonLevel:MPI = off", "PhaseSpace:pTHatMin = 1100."),
        **OLYMPICS,
    ),
    "lhco-signal": Process(
        "events with two jets of a resonance: 3.5 TeV to 500 and 100 GeV, each to two quarks",
        W_PRIME,
        **OLYMPICS,
    ),
    "dijet-qcd": Process(
        "events with two jets of quarks and gluons of 500 GeV and more",
        ("HardQCD:all = on", "PartonLevel:MPI = off", "PhaseSpace:pTHatMin = 500."),
        **DIJETS,
    ),
    "dijet-signal": Process(
        "events with two jets of a resonance of 2 TeV to two quarks",
        (
            "NewGaugeBoson:ffbar2Wprime = on",
            "PartonLevel:MPI = off",
            "34:m0 = 2000.",
            "34:mWidth = 20.",
            "34:doForceWidth = true",
            "34:mMin = 1700.",
            "34:mMax = 2300.",
            "34:oneChannel = 1 1.0 100 2 -1",
        ),
        **DIJETS,
    ),
    "pileup-qcd": Process(
        "whole events of quarks and gluons of 80 GeV and more, to be given --pileup",
        ("HardQCD:all = on", "PhaseSpace:pTHatMin = 80."),
        energy=13_600.0,
        radius=0.4,
        collisions=True,
    ),
    "pileup-top": Process(
        "whole events of pairs of top quarks, to be given --pileup",
        ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on"),
        energy=13_600.0,
        radius=0.4,
        collisions=True,
    ),
    "trigger-qcd": Process(
        "whole events of quarks and gluons of 40 GeV and more, as many in each range of ln pt",
        ("HardQCD:all = on", *TRIGGER_HARD),
        **TRIGGER_EVENTS,
    ),
    "trigger-b": Process(
        "whole events of pairs of bottom quarks, as many in each range of ln pt",
        ("HardQCD:gg2bbbar = on", "HardQCD:qqbar2bbbar = on", *TRIGGER_HARD),
        **TRIGGER_EVENTS,
    ),
    "trigger-top": Process(
        "whole events of pairs of top quarks of 150 GeV and more, decayed to hadrons",
        ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on", *HADRONIC_W, "PhaseSpace:pTHatMin = 150."),
        **TRIGGER_EVENTS,
    ),
    "trigger-w": Process(
        "whole events of a W boson of 150 GeV and more, decayed to hadrons, beside a quark or"
        " gluon",
        (
            *("WeakBosonAndParton:qqbar2Wg = on", "WeakBosonAndParton:qg2Wq = on"),
            *(*HADRONIC_W, "PhaseSpace:pTHatMin = 150."),
        ),
        **TRIGGER_EVENTS,
    ),
    "flow-dijets": Process(
        "whole events of quarks and gluons of 20 to 120 GeV, about as many in each range of ln pt",
        FLOW_HARD,
        energy=13_600.0,
    ),
    "minimum-bias": Process("inelastic collisions", ("SoftQCD:inelastic = on",)),
}

# Samples of several classes: (process, label), 0 the background.
SAMPLES: dict[str, tuple[tuple[str, int], ...]] = {
    "top-qcd": (("qcd", 0), ("top", 1)),
    "w-qcd": (("qcd-w", 0), ("w", 1)),
    "quark-gluon": (("gluon", 0), ("quark", 1)),
    "flavour": (("light", 0), ("c", 1), ("b", 2)),
    "lhc-olympics": (("lhco-qcd", 0), ("lhco-signal", 1)),
    "quark-gluon-mixed": (("dijet-mixed", 0), ("z-mixed", 1)),
}


def process_named(name: str) -> Process:
    """Return the process; raise `InputError` listing the names if there is none such."""
    if name not in PROCESSES:
        known = ", ".join([*PROCESSES, *SAMPLES])
        raise InputError(f"process '{name}' is unknown; choose one of {known}.")
    return PROCESSES[name]
