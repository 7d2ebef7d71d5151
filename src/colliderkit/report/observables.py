"""Names of observables on axes: a symbol and a unit for each, in one table.

>>> axis_label("mass")
'Jet mass $m$ [GeV]'
>>> with labelled({"m_true": "m [GeV]"}):
...     axis_label("m_true")
'm [GeV]'
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["OBSERVABLES", "Observable", "axis_label", "labelled", "symbol_of", "unit_of"]

# What a user calls columns; see `labelled`.
GIVEN: ContextVar[Mapping[str, str]] = ContextVar("GIVEN", default={})  # noqa: B039


@dataclass(frozen=True)
class Observable:
    """What an axis says of an observable: words, a symbol as TeX has it, and a unit.

    `words` or `symbol` may be empty.
    """

    words: str
    symbol: str = ""
    unit: str = ""

    @property
    def label(self) -> str:
        """The label of an axis."""
        text = " ".join(part for part in (self.words, self.symbol and f"${self.symbol}$") if part)
        return f"{text} [{self.unit}]" if self.unit else text


OBSERVABLES: Mapping[str, Observable] = {
    "jet_pt": Observable("Jet", "p_T", "GeV"),
    "jet_mass": Observable("Jet mass", "m", "GeV"),
    "jet_eta": Observable("Jet", r"\eta"),
    "jet_phi": Observable("Jet", r"\varphi", "rad"),
    "jet_energy": Observable("Jet energy", "E", "GeV"),
    "pt": Observable("", "p_T", "GeV"),
    "eta": Observable("", r"\eta"),
    "phi": Observable("", r"\varphi", "rad"),
    "E": Observable("Energy", "E", "GeV"),
    "energy": Observable("Energy", "E", "GeV"),
    "px": Observable("", "p_x", "GeV"),
    "py": Observable("", "p_y", "GeV"),
    "pz": Observable("", "p_z", "GeV"),
    "mass": Observable("Jet mass", "m", "GeV"),
    "m": Observable("Mass", "m", "GeV"),
    "softdrop_mass": Observable("Groomed jet mass", r"m_\mathrm{SD}", "GeV"),
    "ln_rho": Observable("Groomed jet mass", r"\ln\rho"),
    "multiplicity": Observable("Jet multiplicity", "M"),
    "constituents": Observable("Constituents", "N"),
    "charged": Observable("Charged particles", r"N_\mathrm{ch}"),
    "kaons": Observable("Kaons", "N_K"),
    "baryons": Observable("Baryons", "N_B"),
    "width": Observable("Jet width", "w"),
    "ptd": Observable("", r"p_T^D"),
    "tau1": Observable("", r"\tau_1"),
    "tau2": Observable("", r"\tau_2"),
    "tau3": Observable("", r"\tau_3"),
    "tau21": Observable("N-subjettiness ratio", r"\tau_{21}"),
    "tau32": Observable("N-subjettiness ratio", r"\tau_{32}"),
    "tau43": Observable("N-subjettiness ratio", r"\tau_{43}"),
    "C2": Observable("Energy correlation ratio", "C_2"),
    "D2": Observable("Energy correlation ratio", "D_2"),
    "M2": Observable("Energy correlation ratio", "M_2"),
    "N2": Observable("Energy correlation ratio", "N_2"),
    "zg": Observable("Groomed momentum fraction", "z_g"),
    "rg": Observable("Groomed radius", "R_g"),
    "zcut": Observable("Splitting fraction", r"z_\mathrm{cut}"),
    "kt_dr": Observable("Splitting distance", r"\Delta R_{k_T}"),
    "sqrt_d12": Observable("Splitting scale", "d_{12}^{1/2}", "GeV"),
    "lund_multiplicity": Observable("Lund multiplicity", r"N_\mathrm{Lund}"),
    "fox_wolfram": Observable("Fox-Wolfram moment", "R_2"),
    "aplanarity": Observable("Aplanarity", "A"),
    "planar_flow": Observable("Planar flow", "P"),
    "d0": Observable("Impact parameter", "d_0", "mm"),
    "z0": Observable("Impact parameter", "z_0", "mm"),
    "mjj": Observable("Dijet mass", "m_{jj}", "GeV"),
    "m_jj": Observable("Dijet mass", "m_{jj}", "GeV"),
    "MET": Observable("Missing", "E_T", "GeV"),
    "HT": Observable("", "H_T", "GeV"),
    "Q2": Observable("", "Q^2", r"GeV$^2$"),
    "x": Observable("", "x"),
    "y": Observable("", "y"),
    "z": Observable("", "z"),
    "score": Observable("Score"),
    "alphaS": Observable("", r"\alpha_s"),
    "aLund": Observable("", r"a_\mathrm{Lund}"),
    "probStoUD": Observable("", "P(s)/P(u,d)"),
}
LEVELS = {
    "true": "true",
    "truth": "true",
    "gen": "true",
    "reco": "measured",
    "rec": "measured",
    "seen": "measured",
    "measured": "measured",
    "data": "data",
}


@contextmanager
def labelled(labels: Mapping[str, str]) -> Iterator[None]:
    """Give axes of columns these labels, by the columns' names, in all figures drawn inside."""
    token = GIVEN.set(labels)
    try:
        yield
    finally:
        GIVEN.reset(token)


def axis_label(name: str) -> str:
    """Return the label of the axis of a column: a user's own, that of the table, or its name.

    A level at either end of the name, such as ``m_true`` or ``gen_pt``, is written out. What is a
    label already stays as it is.
    """
    if name in GIVEN.get():
        return GIVEN.get()[name]
    if (found := OBSERVABLES.get(name)) is not None:
        return found.label
    for level, word in LEVELS.items():
        stem = re.sub(rf"^{level}[_.]|[_.]{level}$", "", name, flags=re.IGNORECASE)
        if stem != name and stem in OBSERVABLES:
            known = OBSERVABLES[stem]
            words = known.words
            if words[1:2].islower():  # "N-subjettiness" stays
                words = words[0].lower() + words[1:]
            return Observable(
                f"{word.capitalize()} {words}".strip(), known.symbol, known.unit
            ).label
    return name if "$" in name else name.replace("_", " ")


def symbol_of(name: str) -> str:
    """Return the symbol of a column, as TeX has it, or its name where the table has none."""
    found = OBSERVABLES.get(name)
    return f"${found.symbol}$" if found is not None and found.symbol else name.replace("_", " ")


def unit_of(label: str) -> str:
    """Return the unit that ends a label in brackets, "" if none does."""
    found = re.search(r"\[([^\]]+)\]$", label)
    return found.group(1) if found else ""
