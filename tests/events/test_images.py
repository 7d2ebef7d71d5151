"""Jet images: pixels, sums, rotations and flips."""

import math

import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.events.images import JetImage


def massless(pt, eta, phi):
    """Four-vectors (..., 4) of particles at (eta, phi)."""
    return torch.stack([pt * phi.cos(), pt * phi.sin(), pt * eta.sinh(), pt * eta.cosh()], -1)


def cloud(particles=8, seed=0, spread=0.15):
    random = torch.Generator().manual_seed(seed)
    pt = torch.rand(1, particles, generator=random) * 50 + 5
    x, y = torch.randn(2, 1, particles, generator=random) * spread
    return pt, x - (pt * x).sum() / pt.sum(), y - (pt * y).sum() / pt.sum()


def full(values):
    return torch.ones(values.shape[:2], dtype=torch.bool)


def test_one_particle_stands_in_its_pixel():
    # The centroid of 3 GeV at (+0.12, +0.32) and 1 GeV at (-0.36, -0.96) is the origin. Over
    # 2 rad in 20 pixels: columns (0.12 + 1) / 0.1 = 11.2 and 6.4, rows 13.2 and 0.4.
    pt = torch.tensor([[3.0, 1.0]])
    values = massless(pt, torch.tensor([[0.12, -0.36]]), torch.tensor([[0.32, -0.96]]) + 1)
    options = {"rotated": False, "flipped": False, "normalised": False}
    (image,) = JetImage(pixels=20, width=2.0, **options)(values, full(values))
    assert image.shape == (1, 1, 20, 20)
    expected = torch.zeros(20, 20)
    expected[13, 11], expected[0, 6] = 3.0, 1.0
    torch.testing.assert_close(image[0, 0], expected)


def test_centre_is_the_centroid_or_the_jet_axis():
    # A hard massive particle at rest in pz pulls the four-vector axis, not the pt centroid.
    values = massless(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2))
    axis_eta = math.asinh(math.sinh(2.0) / 2)
    options = {"pixels": 41, "width": 4.1, "rotated": False, "flipped": False}
    (centred,) = JetImage(**options)(values, full(values))
    (axis,) = JetImage(centred=False, **options)(values, full(values))
    assert centred[0, 0, 20].nonzero()[:, 0].tolist() == [10, 30]
    columns = [math.floor((x - axis_eta + 2.05) / 0.1) for x in (0.0, 2.0)]
    assert axis[0, 0, 20].nonzero()[:, 0].tolist() == columns


@pytest.mark.parametrize("rotated", [False, True])
def test_pt_is_conserved_in_the_window_and_lost_outside(rotated):
    pt, x, y = cloud()
    values = massless(pt, x, y)
    (image,) = JetImage(rotated=rotated, normalised=False, width=3.0)(values, full(values))
    torch.testing.assert_close(image.sum(), pt.sum())
    (image,) = JetImage(rotated=False, flipped=False, normalised=False, width=0.2)(
        values, full(values)
    )
    inside = (x.abs() < 0.1) & (y.abs() < 0.1)
    assert 0 < inside.sum() < 8
    torch.testing.assert_close(image.sum(), pt[inside].sum())
    (image,) = JetImage(width=0.2)(values, full(values))
    torch.testing.assert_close(image.sum(), torch.tensor(1.0))


@pytest.mark.parametrize("angle", [0.3, 1.2, math.pi / 2, 2.5, 4.0])
def test_a_turned_jet_gives_the_same_image(angle):
    pt, x, y = cloud(particles=5, seed=3)
    turned = massless(
        pt, x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
    )
    upright = JetImage(pixels=33, width=2.0)
    (image,), (again,) = (upright(v, full(v)) for v in (massless(pt, x, y), turned))
    # Rounding may move a particle over the edge of a pixel; for this jet none is that close.
    torch.testing.assert_close(again, image, atol=1e-5, rtol=0)
    (still,) = JetImage(pixels=33, width=2.0, rotated=False)(turned, full(turned))
    assert (still - image).abs().max() > 0.01


def test_the_principal_axis_points_along_phi():
    pt = torch.tensor([[2.0, 1.0, 1.0]])
    x = torch.tensor([[0.0, 0.4, -0.4]])
    values = massless(pt, x, 0.5 * x)
    (image,) = JetImage(pixels=41, width=2.05, normalised=False)(values, full(values))
    reach = round(0.4 * math.sqrt(1.25) / 0.05)
    assert image[0, 0, :, 20].nonzero()[:, 0].tolist() == [20 - reach, 20, 20 + reach]


@pytest.mark.parametrize("signs", [(1, -1), (-1, 1), (-1, -1)])
def test_a_mirrored_jet_gives_the_same_image(signs):
    pt, x, y = cloud(seed=5)
    flipped = JetImage(rotated=False, pixels=32)
    (image,) = flipped(massless(pt, x, y), full(pt[..., None]))
    (mirror,) = flipped(massless(pt, signs[0] * x, signs[1] * y), full(pt[..., None]))
    torch.testing.assert_close(mirror, image, atol=1e-5, rtol=0)
    assert image[..., 16:].sum() > image[..., :16].sum()
    assert image[..., 16:, :].sum() > image[..., :16, :].sum()


def test_padding_and_neighbours_are_not_seen_and_an_empty_jet_is_black():
    pt, x, y = cloud()
    values = massless(pt, x, y)
    mask = full(values)
    (image,) = JetImage()(values, mask)
    padded = torch.full((2, 12, 4), 7.0)
    padded[0, :8] = values
    real = torch.zeros(2, 12, dtype=torch.bool)
    real[0, :8] = True
    (batch,) = JetImage()(padded, real)
    torch.testing.assert_close(batch[0], image[0])
    assert batch[1].abs().max() == 0


def test_an_empty_window_is_refused():
    with pytest.raises(InputError, match=r"0 pixels over 1\.6 rad is empty"):
        JetImage(pixels=0)
