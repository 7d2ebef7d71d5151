"""Samplers of diffusion (DDPM, DDIM, DPM-Solver++, Heun, midpoint): from large noise s to 0.

In y = x_t / alpha_t = x + s z all processes are one, noise alone being added to it. With
D(y, s) = <x | y> the path without noise obeys dy/ds = (y - D) / s, and D - y is s^2 times the
score. Each sampler takes y at the first of N + 1 falling levels `s`, the last of them 0, and
returns x. Those that add noise find it in `noise`, (B, draws (N - 1), F): the last step adds none.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from colliderkit.generators.diffusion.processes import Process

__all__ = ["SAMPLERS", "Sampler", "arcs", "jumps", "karras", "uniform"]

Denoise = Callable[[Tensor, float], Tensor]
LOWEST, HIGHEST, RHO = 0.002, 80.0, 7.0
CORRECTION = 0.16  # the signal-to-noise ratio of a corrector's step, as in 2011.13456


def uniform(process: Process, steps: int) -> list[float]:
    """Return the levels at times spread evenly from the last to the first, and 0."""
    t = torch.linspace(process.last, process.first, steps, dtype=torch.float64)
    return [*process.ratio(t).tolist(), 0.0]


def karras(process: Process, steps: int) -> list[float]:
    """Return levels evenly spread in s^(1/7), and 0 (2206.00364); within those of the process."""
    ends = torch.tensor([process.first, process.last], dtype=torch.float64)
    low, high = process.ratio(ends).tolist()
    a, b = min(HIGHEST, high) ** (1 / RHO), max(LOWEST, low) ** (1 / RHO)
    return [*((a + (b - a) * i / max(steps - 1, 1)) ** RHO for i in range(steps)), 0.0]


def arcs(process: Process, steps: int) -> list[float]:
    """Return levels evenly spread in atan(s^1/2), and 0."""
    a, b = _ends(process)
    return [*(math.tan(a + (b - a) * i / max(steps - 1, 1)) ** 2 for i in range(steps)), 0.0]


def jumps(process: Process, steps: int) -> list[float]:
    """Return the levels of `arcs` without the lowest, as a step to 0 may be a long one here."""
    a, b = _ends(process)
    return [*(math.tan(a + (b - a) * i / steps) ** 2 for i in range(steps)), 0.0]


def _ends(process: Process) -> tuple[float, float]:
    """Return atan(s^1/2) of the last and of the first time."""
    ends = torch.tensor([process.last, process.first], dtype=torch.float64)
    a, b = process.ratio(ends).clamp(LOWEST, HIGHEST).sqrt().atan().tolist()
    return a, b


def ancestral(denoise: Denoise, y: Tensor, s: list[float], noise: Tensor) -> Tensor:
    """DDPM, ancestral sampling: draw y from its density given the last and x = D (2006.11239).

    For s -> s' that is N(D + (s'/s)^2 (y - D), s'^2 (1 - (s'/s)^2)).
    """
    for i, (now, then) in enumerate(zip(s[:-1], s[1:], strict=True)):
        y = _ancestral(denoise(y, now), y, now, then, noise[:, i] if then > 0 else None)
    return y


def _ancestral(d: Tensor, y: Tensor, now: float, then: float, z: Tensor | None) -> Tensor:
    share = (then / now) ** 2
    y = d + share * (y - d)
    return y if z is None else y + then * math.sqrt(1 - share) * z


def corrected(denoise: Denoise, y: Tensor, s: list[float], noise: Tensor) -> Tensor:
    """Predictor-corrector: ancestral steps, each followed by one of Langevin (2011.13456).

    y + h (D - y) / s^2 + sqrt(2h) z, h = 2 (r s)^2, r = 0.16: the paper's step, 2 (r |z| /
    |score|)^2, with the score's expected size, so that a row does not depend on its batch mates.
    """
    for i, (now, then) in enumerate(zip(s[:-1], s[1:], strict=True)):
        d = denoise(y, now)
        if then == 0:
            return d
        y = _ancestral(d, y, now, then, noise[:, 2 * i])
        h = 2 * CORRECTION**2
        y = y + h * (denoise(y, then) - y) + then * math.sqrt(2 * h) * noise[:, 2 * i + 1]
    return y


def euler(denoise: Denoise, y: Tensor, s: list[float], noise: Tensor) -> Tensor:
    """DDIM, Euler's steps of dy/ds: y' = D + (s'/s) (y - D) (2010.02502)."""
    for now, then in zip(s[:-1], s[1:], strict=True):
        d = denoise(y, now)
        y = d + then / now * (y - d)
    return y


def multistep(denoise: Denoise, y: Tensor, s: list[float], noise: Tensor) -> Tensor:
    """DPM-Solver++(2M), dy/ds with D linear in ln s (2211.01095).

    y' = (s'/s) y + (1 - s'/s) (D + (D - D_before) h / (2 h_before)), h = ln(s/s').
    """
    before: Tensor | None = None
    last = 0.0
    for now, then in zip(s[:-1], s[1:], strict=True):
        d = denoise(y, now)
        if then == 0:
            return d
        h = math.log(now / then)
        ahead = d if before is None else d + (d - before) * (h / (2 * last))
        y = then / now * y + (1 - then / now) * ahead
        before, last = d, h
    return y


def heun(denoise: Denoise, y: Tensor, s: list[float], noise: Tensor) -> Tensor:
    """Heun's steps of dy/ds, two calls a step but the last (2206.00364)."""
    for now, then in zip(s[:-1], s[1:], strict=True):
        slope = (y - denoise(y, now)) / now
        ahead = y + (then - now) * slope
        if then > 0:
            slope = 0.5 * (slope + (ahead - denoise(ahead, then)) / then)
            ahead = y + (then - now) * slope
        y = ahead
    return y


def midpoint(denoise: Denoise, y: Tensor, s: list[float], noise: Tensor) -> Tensor:
    """Midpoint steps of du/da = v, two calls each, with s = tan(a) and u = y cos(a).

    v = cos(a) z - sin(a) D is what `Diffusion` may predict; it vanishes for normal data of unit
    width, so that the path is straight where the data are nearly normal. Of the solvers here it
    has the least error at 8 steps.
    """

    def velocity(u: Tensor, a: float) -> Tensor:
        d = denoise(u / math.cos(a), math.tan(a))
        return (u * math.cos(a) - d) / math.sin(a)

    angles = [math.atan(level) for level in s]
    u = y * math.cos(angles[0])
    for a, b in zip(angles[:-1], angles[1:], strict=True):
        half = u + 0.5 * (b - a) * velocity(u, a)
        u = u + (b - a) * velocity(half, 0.5 * (a + b))
    return u / math.cos(angles[-1])


@dataclass(frozen=True)
class Sampler:
    """Sampler: a solver and its noise levels.

    A step draws noise `draws` times and calls the network `each` times, the last one `last` times;
    `fewest` are the steps that it takes at least.
    """

    solve: Callable[[Denoise, Tensor, list[float], Tensor], Tensor]
    levels: Callable[[Process, int], list[float]]
    draws: int = 0
    each: int = 1
    last: int = 1
    fewest: int = 2

    def calls(self, steps: int) -> int:
        """Return the calls of the network that one sample takes."""
        return self.each * (steps - 1) + self.last


SAMPLERS: dict[str, Sampler] = {
    "ddpm": Sampler(ancestral, uniform, draws=1),
    "ddim": Sampler(euler, uniform),
    "distilled": Sampler(euler, jumps, fewest=1),
    "dpm-solver++": Sampler(multistep, karras),
    "heun": Sampler(heun, karras, each=2),
    "midpoint": Sampler(midpoint, arcs, each=2, last=2),
    "predictor-corrector": Sampler(corrected, uniform, draws=2, each=2),
}
