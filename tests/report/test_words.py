"""Symbols for their spelling, and links."""

import pytest

from colliderkit.report.words import plain, prose, symbols


@pytest.mark.parametrize(
    ("spelled", "sign"),
    [
        ("chi^2 / bin", "χ² / bin"),
        (r"$\chi^2$", "χ²"),
        ("eps_B at eps_S", "εB at εS"),
        ("alphaS = 0.12", "αs = 0.12"),
        ("300 < pt < 400 GeV, |eta| < 2", "300 < pT < 400 GeV, |η| < 2"),
        ("Jet mass / $p_T$", "Jet mass / pT"),
        (r"Jet $|\eta|$ [%]", "Jet |η| [%]"),
        (r"$\sigma_\mathrm{eff} / E$", "σeff / E"),
        ("a / sqrt(E / GeV) (+) b", "a / √(E / GeV) ⊕ b"),
        ("MMD^2 x 1000", "MMD² x 1000"),
        ("-2 Delta ln L", "−2 Δ ln L"),
        (r"$\tau_{21}$", "τ₂₁"),
        ("falls as E^-2, 10^3 D", "falls as E⁻², 10³ D"),
        ("+-0.02", "±0.02"),
        # Names of code and of columns stay as they are.
        ("--eta x, tau_21, jet_pt, constituents.phi", "--eta x, tau_21, jet_pt, constituents.phi"),
    ],
)
def test_symbols(spelled, sign):
    assert symbols(spelled) == sign


def test_labels_of_figures_are_one_line():
    label = "$\\varepsilon_S$,\n$\\varphi \\to \\ln\\,x$ [%]"
    assert plain(label) == "εS, φ → ln x [%]"


def test_numbers_are_no_papers():
    assert "<a" not in prose("1234.56789 of 2.5, 0.98123 ± 0.00041, 9913.12345")
    assert prose("(1902.09914)") == '(<a href="https://arxiv.org/abs/1902.09914">1902.09914</a>)'
    assert 'abs/hep-ex/0001020">' in prose("after hep-ex/0001020,")
    assert 'abs/physics/0608012">' in prose("arXiv:physics/0608012")
    assert prose("a < b & c") == "a &lt; b &amp; c"
