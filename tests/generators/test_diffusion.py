"""Diffusion against normal densities, whose best denoiser is known, and a learned mixture."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from colliderkit.errors import InputError
from colliderkit.generators.diffusion import PROCESSES, SAMPLERS, Diffusion
from colliderkit.generators.flow_matching import FlowMatching
from colliderkit.generators.generator import own_loss, rows_at_once
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Training

MEAN, WIDTH = 0.7, 0.4
# The other is Euler's too, for networks that know more than the mean of what may be.
SOLVERS = [name for name in SAMPLERS if name != "distilled"]


class Best(nn.Module):
    """<prediction | u> for data N(MEAN, WIDTH^2)."""

    def __init__(self, prediction: str) -> None:
        super().__init__()
        self.prediction = prediction

    def forward(self, u, t, c):
        a = t * math.pi / 2
        y, s = u / a.cos(), a.tan()
        x = MEAN + WIDTH**2 / (WIDTH**2 + s**2) * (y - MEAN)
        z = (y - x) / s
        return {"x0": x, "noise": z, "v": a.cos() * z - a.sin() * x}[self.prediction]


def best(sampler="dpm-solver++", steps=8, process="cosine", prediction="v"):
    model = Diffusion(
        1, 1, network=Best(prediction), sampler=sampler, steps=steps, process=process,
        prediction=prediction,
    )  # fmt: skip
    return model.double().eval()


def moments(model):
    """Mean and width of the samples, exactly: with this network x is linear in the noise."""
    noise = torch.cat([torch.zeros(1, model.noise_size), torch.eye(model.noise_size)]).double()
    x = model.decode(noise, torch.zeros(len(noise), 1).double())[:, 0]
    return float(x[0]), float((x[1:] - x[0]).square().sum().sqrt())


def path_end(model, z):
    """Where the path dy/ds = (y - D) / s is at the last level, exactly, for noise z."""
    first, last = model.levels[0], model.levels[-1]
    shrunk = math.sqrt((WIDTH**2 + last**2) / (WIDTH**2 + first**2))
    return MEAN + shrunk * (math.sqrt(1 + first**2) * z - MEAN)


# What is not an error of steps: the end of the path is one step from the lowest level, which
# leaves 1/2 (s / WIDTH)^2 of the width, and the noise has not quite the mean that data at the
# highest level have, WIDTH MEAN / s.
def rest(model):
    return 0.5 * (model.levels[-2] / WIDTH) ** 2 + 1.1 * WIDTH * MEAN / model.levels[0]


@pytest.mark.parametrize("process", list(PROCESSES))
@pytest.mark.parametrize("sampler", SOLVERS)
def test_every_sampler_reproduces_a_normal(sampler, process):
    model = best(sampler, 400, process)
    mean, width = moments(model)
    # First-order samplers: 2% of the width after 400 steps.
    loose = 0.02 if SAMPLERS[sampler].draws or sampler == "ddim" else 1e-3
    assert mean == pytest.approx(MEAN, abs=loose * WIDTH + rest(model))
    assert width == pytest.approx(WIDTH, rel=loose + rest(model))


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
@pytest.mark.parametrize("sampler", SOLVERS)
def test_what_the_network_predicts_does_not_matter(sampler, prediction):
    assert moments(best(sampler, 12, prediction=prediction)) == pytest.approx(
        moments(best(sampler, 12)), abs=1e-9
    )


@pytest.mark.parametrize(
    ("sampler", "order"), [("ddim", 1), ("dpm-solver++", 2), ("heun", 2), ("midpoint", 2)]
)
def test_the_error_of_a_path_falls_with_the_order_of_the_solver(sampler, order):
    z = torch.linspace(-2, 2, 9).double()[:, None]
    errors = []
    for steps in (32, 64, 128):
        model = best(sampler, steps)
        # The same lowest level for all: the last step, to 0, is left out.
        model.levels = model.levels[:-1]
        drawn = model.decode(z, torch.zeros_like(z))
        errors.append(float((drawn - path_end(model, z)).abs().max()))
    for coarse, fine in zip(errors[:-1], errors[1:], strict=True):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.3)


@pytest.mark.parametrize("sampler", ["ddpm", "predictor-corrector"])
def test_the_width_of_noisy_samplers_converges_with_the_steps(sampler):
    errors = [abs(moments(best(sampler, steps))[1] / WIDTH - 1) for steps in (50, 100, 200)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[0] / errors[2] > 3  # first order: 4


@pytest.mark.parametrize(
    ("sampler", "steps", "allowed"),
    [
        ("midpoint", 8, 0.03),
        ("dpm-solver++", 8, 0.12),
        ("dpm-solver++", 16, 0.08),
        ("heun", 18, 0.06),  # the steps of 2206.00364 for images
    ],
)
def test_few_steps_are_enough_for_a_normal(sampler, steps, allowed):
    mean, width = moments(best(sampler, steps))
    assert mean == pytest.approx(MEAN, abs=allowed * WIDTH)
    assert width == pytest.approx(WIDTH, rel=allowed)


def test_variances_are_those_of_the_paper():
    # 2011.13456, eq. 29: B = 0.1 t + 19.9 t^2 / 2.
    t = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    b = torch.tensor([0.0, 0.646875, 10.05], dtype=torch.float64)
    vp, sub, ve, cosine = (PROCESSES[name] for name in ("vp", "sub-vp", "ve", "cosine"))
    close = {"rtol": 1e-12, "atol": 0.0}
    torch.testing.assert_close(vp.alpha(t), torch.exp(-b / 2), **close)
    torch.testing.assert_close(vp.sigma(t) ** 2, 1 - torch.exp(-b), **close)
    torch.testing.assert_close(sub.alpha(t), vp.alpha(t), **close)
    torch.testing.assert_close(sub.sigma(t), 1 - torch.exp(-b), **close)
    assert ve.alpha(t).tolist() == [1, 1, 1]
    torch.testing.assert_close(
        ve.sigma(t), torch.tensor([0.01, 0.01 * 5000**0.25, 50.0], dtype=torch.float64), **close
    )
    # 2102.09672, eq. 17.
    f = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    torch.testing.assert_close(cosine.alpha(t) ** 2, f / f[0], rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(cosine.sigma(t) ** 2, 1 - f / f[0], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", ["vp", "sub-vp", "ve"])
def test_marginals_are_those_of_the_stochastic_equation(name):
    # d alpha / dt = f alpha and d sigma^2 / dt = 2 f sigma^2 + g^2, of dx = f x dt + g dw:
    # f = -beta / 2, g^2 = beta, times 1 - exp(-2 B) for subVP; VE 0 and d sigma^2 / dt.
    process = PROCESSES[name]
    t = torch.linspace(0.05, 0.95, 7).double()
    h = 1e-5
    beta = 0.1 + 19.9 * t
    b = 0.1 * t + 9.95 * t**2
    drift = {"vp": -beta / 2, "sub-vp": -beta / 2, "ve": 0 * t}[name]
    grow = {
        "vp": beta,
        "sub-vp": beta * (1 - torch.exp(-2 * b)),
        "ve": 2 * math.log(5000) * (0.01 * 5000**t) ** 2,
    }[name]
    alpha, square = process.alpha(t), process.sigma(t) ** 2
    d_alpha = (process.alpha(t + h) - process.alpha(t - h)) / (2 * h)
    d_square = (process.sigma(t + h) ** 2 - process.sigma(t - h) ** 2) / (2 * h)
    torch.testing.assert_close(d_alpha, drift * alpha, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(d_square, 2 * drift * square + grow, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("process", list(PROCESSES))
def test_levels_fall_to_zero_within_what_was_trained(process):
    for sampler in SOLVERS:
        model = best(sampler, 9, process)
        ends = [
            model.process.ratio(torch.tensor(t)) for t in (model.process.last, model.process.first)
        ]
        assert len(model.levels) == 10
        assert model.levels[-1] == 0
        assert all(a > b for a, b in zip(model.levels[:-1], model.levels[1:], strict=True))
        assert model.levels[0] <= ends[0] * (1 + 1e-5)
        assert model.levels[-2] >= ends[1] * (1 - 1e-5)


def test_the_best_network_has_the_least_loss():
    # v has the variance cos^2 + sin^2 WIDTH^2; what u tells leaves (WIDTH / |(cos WIDTH, sin)|)^2.
    model = best()
    x = MEAN + WIDTH * torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0)).double()
    loss = float(model(x, None, torch.zeros_like(x)).mean())
    t = torch.linspace(model.process.first, model.process.last, 20_001).double()
    s = model.process.ratio(t)
    a = s.atan()
    left = WIDTH**2 / (WIDTH**2 * a.cos() ** 2 + a.sin() ** 2)
    assert loss == pytest.approx(float(left.mean()), rel=0.01)


def test_a_velocity_denoises_as_well():
    # Flow matching's v = <x - z | x_t> of a normal; its denoiser is that of diffusion.
    class Velocity(nn.Module):
        def forward(self, x, t, c):
            y, s = x / t, (1 - t) / t
            d = MEAN + WIDTH**2 / (WIDTH**2 + s**2) * (y - MEAN)
            return d - (y - d) / s

    y = torch.linspace(-3, 3, 7).double()[:, None]
    s = torch.full_like(y, 1.7)
    flow = FlowMatching(1, 1, network=Velocity()).double()
    expected = MEAN + WIDTH**2 / (WIDTH**2 + 1.7**2) * (y - MEAN)
    torch.testing.assert_close(flow.denoise(y, s, y), expected)
    torch.testing.assert_close(best().denoise(y, s, y), expected)


def test_a_conditional_mixture_is_learned(tmp_path: Path) -> None:
    # At +-(c, 1), half each, of width 0.2.
    random = torch.Generator().manual_seed(0)
    c = 1 + torch.rand(12_000, 1, generator=random)
    sign = torch.randint(2, (12_000, 1), generator=random) * 2.0 - 1
    x = sign * torch.cat([c, torch.ones_like(c)], 1)
    x += 0.2 * torch.randn(12_000, 2, generator=random)
    torch.manual_seed(1)
    model = Diffusion(2, 1, width=48, blocks=2).fit_scaling(x, c)
    data = Dataset(x, torch.zeros(len(x)), torch.ones(len(x)), c)
    held = torch.arange(len(x)) % 10 == 0
    parts = data.at(torch.nonzero(~held)[:, 0]), data.at(torch.nonzero(held)[:, 0])
    settings = Training(epochs=25, batch_size=500, learning_rate=5e-3, schedule="cosine")
    fit(model, own_loss, *parts, settings, folder=tmp_path, progress=False)
    for sampler in ("dpm-solver++", "ddpm"):
        model.sample_by(sampler, 30)
        drawn = model.sample(torch.full((4000, 1), 1.5), seed=2)
        upper = drawn[:, 1] > 0
        assert float(upper.float().mean()) == pytest.approx(0.5, abs=0.05)
        side = drawn * torch.where(upper, 1.0, -1.0)[:, None]
        assert side.mean(0).tolist() == pytest.approx([1.5, 1.0], abs=0.05)
        assert side.std(0).tolist() == pytest.approx([0.2, 0.2], rel=0.3)


def test_wrong_names_are_named():
    for option in ("process", "prediction", "sampler"):
        with pytest.raises(InputError, match=f"no {option} of diffusion is called 'nonsense'"):
            Diffusion(1, 1, **{option: "nonsense"})
    with pytest.raises(InputError, match="2 steps at least"):
        Diffusion(1, 1, steps=1)


@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_calls_are_counted(sampler):
    class Counting(Best):
        calls = 0

        def forward(self, u, t, c):
            self.calls += 1
            return super().forward(u, t, c)

    network = Counting("v")
    model = Diffusion(1, 1, network=network, sampler=sampler, steps=5)
    model.sample(torch.zeros(3, 1))
    assert network.calls == model.sampler.calls(5)


def test_noise_of_many_steps_is_drawn_in_pieces():
    assert rows_at_once(368) == 4096
    # The largest geometry of the CaloChallenge in 200 steps: 32 MB a shower.
    assert rows_at_once(40_500 * 200) == 8
