"""One step of a student against a path's end that is known exactly."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm
from torch import nn

from colliderkit.generators.diffusion import Diffusion
from colliderkit.generators.distillation import Distillation
from colliderkit.generators.flow_matching import FlowMatching
from colliderkit.generators.generator import own_loss
from colliderkit.networks.denoising import ResidualDenoiser
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Training

WIDTH = 0.4


class Mixture(nn.Module):
    """v of (N(c, WIDTH^2) + N(-c, WIDTH^2)) / 2, exactly: c is the condition."""

    def forward(self, u, t, c):
        a = t * math.pi / 2
        y, s = u / a.cos(), a.tan()
        variance = WIDTH**2 + s**2
        pull = c * (y * c / variance).tanh()  # the mean place of the two, given y
        x = pull + WIDTH**2 / variance * (y - pull)
        z = (y - x) / s
        return a.cos() * z - a.sin() * x


def exact(z, c):
    """In one dimension paths do not cross: the quantile of z in the mixture."""
    return np.array([brentq(lambda x, z: noise(x, c) - z, -9, 9, args=(one,)) for one in z])


def noise(x, c):
    """The inverse: the normal number whose quantile x is."""
    return norm.ppf(0.5 * (norm.cdf((x - c) / WIDTH) + norm.cdf((x + c) / WIDTH)))


def trained(task, x, c, folder, epochs, seed):
    data = Dataset(x, torch.zeros(len(x)), torch.ones(len(x)), c)
    held = torch.arange(len(x)) % 20 == 0
    parts = data.at(torch.nonzero(~held)[:, 0]), data.at(torch.nonzero(held)[:, 0])
    settings = Training(epochs=epochs, batch_size=500, learning_rate=5e-3, schedule="cosine")
    fit(task, own_loss, *parts, settings, folder=folder, seed=seed, progress=False)
    return task.eval()


def sample(count, seed):
    random = torch.Generator().manual_seed(seed)
    c = 0.5 + torch.rand(count, 1, generator=random)
    sign = torch.randint(2, (count, 1), generator=random) * 2.0 - 1
    return sign * c + WIDTH * torch.randn(count, 1, generator=random), c


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("steps", [1, 2])
def test_few_steps_end_where_the_path_does(steps: int, tmp_path: Path, seed: int) -> None:
    x, c = sample(20_000, seed)
    teacher = Diffusion(1, 1, network=Mixture(), sampler="heun", steps=200)
    torch.manual_seed(seed + 1)
    task = Distillation(teacher, network=ResidualDenoiser(1, 1, width=48, blocks=2), steps=steps)
    trained(task, x, c, tmp_path, 25, seed)
    z = torch.linspace(-2, 2, 41)[:, None]
    for place in (0.6, 1.4):
        given, width = torch.full_like(z, place), math.hypot(place, WIDTH)
        with torch.no_grad():
            few, many = (m.decode(z, given)[:, 0].numpy() for m in (task.student, teacher))
        end = exact(z[:, 0].numpy(), place)
        assert np.abs(many - end).max() < 1e-3 * width
        assert np.sqrt(np.mean((few - end) ** 2)) < 0.025 * width
        # Between the two modes the path is steep: a small error in z is a large one in x.
        apart = np.minimum(np.abs(few - end) / width, np.abs(noise(few, place) - z[:, 0].numpy()))
        assert apart.max() < 0.06


def test_a_student_begins_as_its_teacher_and_leaves_it() -> None:
    torch.manual_seed(0)
    teacher = FlowMatching(3, 2, width=16, blocks=1)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    x, c = torch.randn(200, 3) * 4 + 1, torch.randn(200, 2)
    task = Distillation(teacher.fit_scaling(x, c), steps=2, teacher_steps=6)
    y, s = torch.randn(5, 3), torch.rand(5, 1) + 0.5
    # The time of the one is rounded on its way to that of the other, by 1e-7: its highest wave,
    # of 2^9 quarter turns, by 5e-5.
    torch.testing.assert_close(
        task.student.denoise(y, s, c[:5]), teacher.denoise(y, s, c[:5]), rtol=0, atol=5e-5
    )
    task.train()(x, None, c).mean().backward()
    assert all(p.grad is None for p in task.teacher.parameters())
    grads = [p.grad for p in task.student.parameters()]
    assert all(g is not None and bool(g.any()) for g in grads)
    assert task.student.noise_size == 3
    assert torch.equal(task.student.scaling.mean, teacher.scaling.mean)
    assert task.student.sample(c, seed=1).shape == (200, 3)
