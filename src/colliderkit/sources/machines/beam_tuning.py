"""Beam tuning: position and size of an electron beam on a screen, by three quadrupoles and two
steerers, as in the experimental area of ARES at DESY."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from colliderkit.seeds import derive
from colliderkit.sources.machines.machine import Floats, Limits, Machine, Seen, State
from colliderkit.sources.machines.optics import drift, quadrupole

__all__ = ["BeamTuning"]

MICRON = 1e-6
QUADRUPOLE, STEERER = 0.122, 0.02  # lengths in m
# Drifts in m before each of q1, q2, cv, q3, ch and the screen.
DRIFTS = (0.17504, 0.428, 0.204, 0.204, 0.179, 0.45)
# What a trial draws, uniformly: means in m and rad, sizes, offsets of quadrupoles and screen.
DRAWN: dict[str, tuple[float, float]] = {
    **{f"mean_{axis}": (-1e-3, 1e-3) for axis in "xy"},
    **{f"angle_{axis}": (-1e-4, 1e-4) for axis in "xy"},
    **{f"size_{axis}": (1e-5, 5e-4) for axis in "xy"},
    **{f"divergence_{axis}": (1e-5, 5e-5) for axis in "xy"},
    **{f"q{i}_{axis}": (-4e-4, 4e-4) for i in (1, 2, 3) for axis in "xy"},
    **{f"screen_{axis}": (-4e-4, 4e-4) for axis in "xy"},
    **{f"target_mu_{axis}": (-2e-3, 2e-3) for axis in "xy"},
    **{f"target_sigma_{axis}": (2e-5, 5e-4) for axis in "xy"},
}


class BeamTuning(Machine):
    """Steer and focus a beam onto a target on a screen (ARES-EA, arXiv:2306.03739).

    The line is q1, q2, vertical steerer cv, q3, horizontal steerer ch, screen, in linear optics
    (`optics`), which is exact for a beam without energy spread. Settings are strengths [1/m^2] and
    kicks [rad], within ±30 /m^2 and ±6.18 mrad. What is read is mean and size of the beam in x
    and y [m] with a Gaussian error of `noise`. A trial draws the incoming beam, the offsets of
    quadrupoles and screen, up to 0.4 mm, and the target. The error is the mean of |difference to
    the target| over the four, of the true beam; the loss its logarithm.

    A beam beyond the edge of the screen, `edge`, is read at the edge, and counted as lost.

    Args:
        noise: error of each reading in m.
        limits: {setting: [low, high]}, narrower than the machine's own.
    """

    name: ClassVar[str] = "beam-tuning"
    settings = ("q1", "q2", "cv", "q3", "ch")
    units = ("1/m²", "1/m²", "rad", "1/m²", "rad")
    readings = ("mu_x", "mu_y", "sigma_x", "sigma_y")
    goals: ClassVar[tuple[str, ...]] = (
        *("target_mu_x", "target_mu_y"),
        *("target_sigma_x", "target_sigma_y"),
    )
    conditions: ClassVar[tuple[str, ...]] = tuple(DRAWN)
    judged: ClassVar[str] = "error"
    higher: ClassVar[bool] = False
    steady: ClassVar[bool] = True
    slewed: ClassVar[bool] = False
    unit: ClassVar[tuple[str, float]] = ("µm", MICRON)
    edge: ClassVar[float] = 4e-3

    def __init__(self, *, noise: float = 2 * MICRON, limits: Limits | None = None) -> None:
        self.noise = noise
        self.horizon = 50
        k, kick = 30.0, 6.1782e-3
        self.high = (k, k, kick, k, kick)
        self.low = tuple(-end for end in self.high)
        self.table = (10.0, -10.0, 0.0, 10.0, 0.0)
        self._limit(limits)
        # A policy moves a tenth of the range at a time; searches may jump.
        self.change = tuple((b - a) / 10 for a, b in zip(self.low, self.high, strict=True))

    def draw(self, count: int, seed: int | Sequence[int]) -> Floats:
        """Return the conditions of `count` trials, (count, 20), each uniform in its range."""
        parts = [seed] if isinstance(seed, int) else list(seed)
        random = np.random.default_rng(derive(parts[0], "beam-tuning", *parts[1:]))
        low, high = np.array(list(DRAWN.values())).T
        return random.uniform(low, high, (count, len(DRAWN)))

    def beam(self, conditions: Tensor, settings: Tensor) -> Tensor:
        """Return the true mean and size on the screen: mu_x, mu_y, sigma_x, sigma_y, (B, 4), m."""
        mean, angle, size, divergence, *quads, screen = (
            conditions[:, i : i + 2] for i in range(0, 16, 2)
        )
        strengths = settings[:, [0, 1, 3]]
        m11, m12, m21 = (part.unbind(1) for part in quadrupole(strengths, QUADRUPOLE))
        zero = torch.zeros_like(settings[:, 0])
        kicks = {2: (zero, settings[:, 2]), 4: (settings[:, 4], zero)}
        u = torch.ones_like(mean)
        row = drift((u, torch.zeros_like(u)), DRIFTS[5])
        centre = -screen
        for element in range(4, -1, -1):
            if element in kicks:
                # The steerer kicks at its end.
                centre = centre + row[1] * torch.stack(kicks[element], 1)
                row = drift(row, STEERER)
            else:
                q = min(element, 2)
                u = row[0] * m11[q] + row[1] * m21[q]
                centre = centre + (row[0] - u) * quads[q]
                row = u, row[0] * m12[q] + row[1] * m11[q]
            row = drift(row, DRIFTS[element])
        centre = centre + row[0] * mean + row[1] * angle
        spread = ((row[0] * size) ** 2 + (row[1] * divergence) ** 2).sqrt()
        return torch.cat([centre, spread], 1)

    def respond(self, state: State, settings: Tensor) -> State:
        """Return the beam with these settings, as it is and as it is read."""
        beam = self.beam(state.conditions, settings)
        goal = state.seen.goal
        error = (beam - goal).abs().mean(1)
        shown = beam.clamp(-self.edge, self.edge) + self.noise * self.normal(beam, state.noise)
        lost = (beam[:, :2].abs() > self.edge).any(1)
        figures = {"error": error, "lost": lost.to(error.dtype)}
        seen = Seen(settings, shown, goal, state.seen.time + 1)
        return replace(state, seen=seen, loss=(error + MICRON).log(), figures=figures)

    def observe(self, seen: Seen) -> Tensor:
        """Return settings, beam, target and what is between these, coarse and fine, (B, 22)."""
        off = seen.reading - seen.goal
        return torch.cat(
            [
                self.scaled(seen.settings),
                1e3 * seen.reading,
                1e3 * seen.goal,
                1e3 * off,
                torch.asinh(off / (20 * MICRON)) / 3,
                torch.full_like(off[:, :1], seen.time / self.horizon),
            ],
            1,
        )

    def cost(self, seen: Seen) -> Tensor:
        """Return the mean of |difference to the target| of what is read, (B,), m."""
        return (seen.reading - seen.goal).abs().mean(1)
