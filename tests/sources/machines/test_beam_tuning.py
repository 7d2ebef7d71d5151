"""Optics of a beam line against closed forms, symplecticity, single particles, and Cheetah."""

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.sources.machines.beam_tuning import DRIFTS, QUADRUPOLE, STEERER, BeamTuning
from colliderkit.sources.machines.optics import cosine_and_sine, quadrupole

STRENGTHS = torch.tensor([-72.0, -30.0, -1.0, 0.0, 1e-9, 2.0, 30.0, 72.0], dtype=torch.float64)


def drawn(count: int) -> tuple[BeamTuning, torch.Tensor, torch.Tensor]:
    machine = BeamTuning(noise=0.0)
    random = torch.Generator().manual_seed(1)
    scaled = 2 * torch.rand(count, 5, generator=random, dtype=torch.float64) - 1
    return machine, torch.from_numpy(machine.draw(count, 1)), machine.unscaled(scaled)


def test_series_are_cosine_and_sine():
    z = torch.linspace(0.01, 1.2, 50, dtype=torch.float64)
    root = z.sqrt()
    cosine, sine = cosine_and_sine(z)
    torch.testing.assert_close(cosine, root.cos(), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(sine, root.sin() / root, rtol=1e-14, atol=1e-14)
    cosine, sine = cosine_and_sine(-z)
    torch.testing.assert_close(cosine, root.cosh(), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(sine, root.sinh() / root, rtol=1e-14, atol=1e-14)


def test_a_quadrupole_is_symplectic_and_a_drift_without_strength():
    m11, m12, m21 = quadrupole(STRENGTHS, QUADRUPOLE)
    torch.testing.assert_close(m11**2 - m12 * m21, torch.ones_like(m11), rtol=0, atol=1e-14)
    zero = quadrupole(torch.zeros(1, dtype=torch.float64), QUADRUPOLE)
    assert [float(part[0, 0]) for part in zero] == [1.0, QUADRUPOLE, 0.0]
    # It focuses in x where it is positive, and in y where it is negative.
    assert float(m21[-1, 0]) < 0 < float(m21[-1, 1])


def test_a_strength_beyond_the_series_is_refused():
    with pytest.raises(InputError, match=r"0.122 m has a strength of more than 80.62 /m\^2"):
        quadrupole(torch.tensor([90.0]), QUADRUPOLE)


def test_moments_are_those_of_tracked_particles():
    """One particle after another through each element, forwards: mean and size follow exactly."""
    machine, conditions, settings = drawn(3)
    beams = machine.beam(conditions, settings).numpy()
    for trial, setting, beam in zip(conditions.numpy(), settings.numpy(), beams, strict=True):
        of = dict(zip(machine.conditions, trial, strict=True))
        for plane, axis in enumerate("xy"):
            mean = np.array([of[f"mean_{axis}"], of[f"angle_{axis}"]])
            spread = np.diag([of[f"size_{axis}"] ** 2, of[f"divergence_{axis}"] ** 2])
            for element, name in enumerate((*machine.settings, "screen")):
                mean, spread = through(drift(DRIFTS[element]), mean, spread)
                if name[0] == "q":
                    k = (1 - 2 * plane) * setting[element]
                    off = np.array([of[f"{name}_{axis}"], 0.0])
                    mean, spread = through(thick(k), mean - off, spread)
                    mean = mean + off
                elif name[0] == "c":
                    mean, spread = through(drift(STEERER), mean, spread)
                    kick = setting[element] if (name == "ch") == (axis == "x") else 0.0
                    mean = mean + np.array([0.0, kick])
            found = beam[plane], beam[2 + plane]
            expected = mean[0] - of[f"screen_{axis}"], spread[0, 0] ** 0.5
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def through(matrix: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> tuple:
    return matrix @ mean, matrix @ spread @ matrix.T


def drift(length: float) -> np.ndarray:
    return np.array([[1.0, length], [0.0, 1.0]])


def thick(k: float) -> np.ndarray:
    root, length = abs(k) ** 0.5, QUADRUPOLE
    if k > 0:
        c, s = np.cos(root * length), np.sin(root * length)
        return np.array([[c, s / root], [-root * s, c]])
    c, s = np.cosh(root * length), np.sinh(root * length)
    return np.array([[c, s / root], [root * s, c]])


def test_a_machine_does_not_see_its_batch_mates():
    machine, conditions, settings = drawn(4)
    together = machine.beam(conditions, settings)
    alone = torch.cat([machine.beam(conditions[[i]], settings[[i]]) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-14, atol=0)


def test_the_gradient_is_that_of_differences():
    machine, conditions, settings = drawn(2)
    scaled = machine.scaled(settings)
    assert torch.autograd.gradcheck(
        lambda s: 1e3 * machine.beam(conditions, machine.unscaled(s)),
        scaled.requires_grad_(),
    )


def test_cheetah_has_the_same_beam():
    cheetah = pytest.importorskip("cheetah")
    machine, conditions, settings = drawn(5)
    beams = machine.beam(conditions, settings).numpy()

    def number(value: float) -> torch.Tensor:
        return torch.tensor(float(value), dtype=torch.float64)

    for trial, setting, beam in zip(conditions.numpy(), settings.numpy(), beams, strict=True):
        of = dict(zip(machine.conditions, trial, strict=True))
        elements = []
        for length, name, value in zip(DRIFTS, machine.settings, setting, strict=False):
            elements.append(cheetah.Drift(number(length)))
            if name[0] == "q":
                off = torch.tensor([of[f"{name}_x"], of[f"{name}_y"]], dtype=torch.float64)
                elements.append(
                    cheetah.Quadrupole(
                        number(QUADRUPOLE),
                        k1=number(value),
                        misalignment=off,
                        dtype=torch.float64,
                    )
                )
            else:
                kind = cheetah.VerticalCorrector if name == "cv" else cheetah.HorizontalCorrector
                elements.append(kind(number(STEERER), angle=number(value)))
        elements.append(cheetah.Drift(number(DRIFTS[-1])))
        incoming = cheetah.ParameterBeam.from_parameters(
            **{f"mu_{a}": number(of[f"mean_{a}"]) for a in "xy"},
            **{f"mu_p{a}": number(of[f"angle_{a}"]) for a in "xy"},
            **{f"sigma_{a}": number(of[f"size_{a}"]) for a in "xy"},
            **{f"sigma_p{a}": number(of[f"divergence_{a}"]) for a in "xy"},
            **{"sigma_tau": number(1e-6), "sigma_p": number(1e-6), "energy": number(1e8)},
            dtype=torch.float64,
        )
        seen = cheetah.Segment(elements).track(incoming)
        expected = [
            float(seen.mu_x) - of["screen_x"],
            float(seen.mu_y) - of["screen_y"],
            float(seen.sigma_x),
            float(seen.sigma_y),
        ]
        np.testing.assert_allclose(beam, expected, rtol=1e-9, atol=1e-13)
