import math

import numpy as np
import pytest
import torch
import vector
from hypothesis import given
from hypothesis import strategies as st

from colliderkit.events import fourvectors
from colliderkit.events.ragged import Ragged
from samples import make_jets

# p, m, eta and phi span what detectors see.
kinematics = st.tuples(
    st.floats(0.1, 2000), st.floats(-5, 5), st.floats(-3.14, 3.14), st.floats(0.0, 300)
)


@given(kinematics)
def test_agrees_with_vector(kinematic: tuple[float, float, float, float]) -> None:
    pt, eta, phi, mass = kinematic
    reference = vector.obj(pt=pt, eta=eta, phi=phi, mass=mass)
    p4 = torch.tensor([reference.px, reference.py, reference.pz, reference.E], dtype=torch.float64)
    found_pt, found_eta, found_phi = fourvectors.pt_eta_phi(p4)
    assert float(found_pt) == pytest.approx(pt, rel=1e-12)
    assert float(found_eta) == pytest.approx(eta, abs=1e-12)
    assert float(found_phi) == pytest.approx(phi, abs=1e-12)
    _, rapidity, _ = fourvectors.pt_rapidity_phi(p4)
    assert float(rapidity) == pytest.approx(reference.rapidity, abs=1e-6)
    energy = float(p4[3])
    # The mass is a difference of squares: its precision is that of E^2.
    assert float(fourvectors.mass(p4)) ** 2 == pytest.approx(mass**2, abs=1e-10 * energy**2 + 1e-12)


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_delta_phi_wraps(a: float, b: float) -> None:
    found = float(fourvectors.delta_phi(torch.tensor(a, dtype=torch.float64), torch.tensor(b)))
    assert -math.pi <= found <= math.pi
    assert math.cos(found) == pytest.approx(math.cos(a - b), abs=1e-5)
    assert math.sin(found) == pytest.approx(math.sin(a - b), abs=1e-5)


def test_relative_is_centred_and_ignores_padding() -> None:
    ragged = Ragged.from_awkward(make_jets(30).constituents, ("px", "py", "pz", "E"))
    values, mask = ragged.padded(torch.arange(30))
    z, deta, dphi = fourvectors.relative(values, mask)
    torch.testing.assert_close(z.sum(1), torch.ones(30))
    # The azimuth of the sum is the direction of sum pt (cos, sin): components across vanish.
    pt = fourvectors.pt(values)
    across = (pt * dphi.sin() * mask).sum(1)
    torch.testing.assert_close(across / pt.sum(1), torch.zeros(30), atol=1e-5, rtol=0)
    wider = torch.nn.functional.pad(values, (0, 0, 0, 9))
    padded = fourvectors.relative(wider, torch.nn.functional.pad(mask, (0, 9)))
    for narrow, wide in zip((z, deta, dphi), padded, strict=True):
        torch.testing.assert_close(narrow, wide[:, : narrow.shape[1]])
        assert not wide[:, narrow.shape[1] :].any()


def test_gradients_of_padding_are_finite() -> None:
    p4 = torch.zeros(2, 3, 4, requires_grad=True)
    mask = torch.zeros(2, 3, dtype=torch.bool)
    z, deta, dphi = fourvectors.relative(p4, mask)
    (z.sum() + deta.sum() + dphi.sum() + fourvectors.mass(p4).sum()).backward()
    assert torch.isfinite(p4.grad).all()


def test_one_massless_particle() -> None:
    p4 = torch.tensor([3.0, 4.0, 0.0, 5.0])
    pt, eta, phi = fourvectors.pt_eta_phi(p4)
    assert (float(pt), float(eta)) == (5.0, 0.0)
    assert float(phi) == pytest.approx(np.arctan2(4, 3))
    assert float(fourvectors.mass(p4)) == pytest.approx(0, abs=1e-6)
