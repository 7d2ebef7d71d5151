"""Diffusion model, score-based or DDPM: a denoising network (2006.11239, 2011.13456)."""

import math
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.generators.diffusion.processes import PROCESSES
from colliderkit.generators.diffusion.samplers import SAMPLERS
from colliderkit.generators.noising import Noising
from colliderkit.networks.denoising import ResidualDenoiser

__all__ = ["Diffusion"]

PREDICTIONS = ("noise", "x0", "v")


class Diffusion(Noising):
    """Diffusion model of p(x | c), x (F,) and c (C,): noise is removed step by step.

    Noisy data x_t = alpha_t x + sigma_t z, over sqrt(alpha^2 + sigma^2), are

        u = cos(a) x + sin(a) z,   tan(a) = s = sigma_t / alpha_t,

    for each process: it says which s the network is trained on, with t uniform, and where steps
    fall. The network f is called as f(u, 2a/pi, c) and minimises < |f - target|^2 >, target the
    noise z, x itself or v = cos(a) z - sin(a) x (2202.00512).

    Args:
        features, context: F and C.
        process: "vp", "sub-vp", "ve" or "cosine", see `processes`.
        prediction: "noise", "x0" or "v".
        sampler: "ddpm", "ddim", "dpm-solver++", or, with two calls of the network a step, "heun",
            "midpoint" and "predictor-corrector"; "distilled" for what
            `distillation` has made; see `samplers`.
        steps: of a sample.
        network: see `networks.denoising`; residual blocks of `width` if not given.
        symmetry: see `Noising`.
    """

    def __init__(
        self,
        features: int,
        context: int,
        *,
        network: nn.Module | None = None,
        width: int = 512,
        blocks: int = 4,
        process: str = "cosine",
        prediction: Literal["noise", "x0", "v"] = "v",
        sampler: str = "midpoint",
        steps: int = 8,
        symmetry: Tensor | None = None,
    ) -> None:
        for name, value, known in (
            ("process", process, PROCESSES),
            ("prediction", prediction, PREDICTIONS),
        ):
            if value not in known:
                names = ", ".join(known)
                raise InputError(
                    f"no {name} of diffusion is called '{value}'; choose from {names}."
                )
        super().__init__(features, context, steps=steps, symmetry=symmetry)
        self.network = network or ResidualDenoiser(features, context, width=width, blocks=blocks)
        self.process = PROCESSES[process]
        self.prediction = prediction
        self.sample_by(sampler, steps)

    def sample_by(self, sampler: str, steps: int) -> Self:
        """Set the sampler and its steps; nothing that was trained depends on them."""
        if sampler not in SAMPLERS:
            raise InputError(
                f"no sampler of diffusion is called '{sampler}'; choose from {', '.join(SAMPLERS)}."
            )
        self.sampler, self.steps = SAMPLERS[sampler], steps
        if steps < self.sampler.fewest:
            raise InputError(
                f"{sampler} takes {self.sampler.fewest} steps at least, not {steps}; for fewer see"
                " `generators.distillation`."
            )
        # Here and not in `decode`: an export knows plain numbers only.
        self.levels = self.sampler.levels(self.process, steps)
        return self

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return the loss of rows (B, F) with their conditions (B, C), the mean over F: (B, 1)."""
        x, z, t = self.drawn(self.scaled(values))
        process = self.process
        a = process.ratio(process.first + (process.last - process.first) * t).atan()
        target = {"noise": z, "x0": x, "v": a.cos() * z - a.sin() * x}[self.prediction]
        noisy = a.cos() * x + a.sin() * z
        found = self.network(noisy, a * (2 / math.pi), self.context_scaling(context))
        return (found - target).square().mean(1, keepdim=True)

    def denoise(self, y: Tensor, s: Tensor | float, c: Tensor) -> Tensor:
        """Return <x | y> of y = x + s z (B, F), s (B, 1) or a number and c (B, C), all scaled."""
        a: Any
        if isinstance(s, float):
            # Exact, and the same in ONNX, whose arc tangent rounds otherwise.
            a = math.atan(s)
            cosine, sine, t = math.cos(a), math.sin(a), torch.full_like(y[:, :1], 2 * a / math.pi)
        else:
            a = s.atan()
            cosine, sine, t = a.cos(), a.sin(), a * (2 / math.pi)
        u = cosine * y
        found: Tensor = self.network(u, t, c)
        if self.prediction == "noise":
            return y - s * found
        return found if self.prediction == "x0" else cosine * u - sine * found

    @property
    def noise_size(self) -> int:
        """Z: F where a sample begins and, if the sampler draws more, F for each of them."""
        return self.features * (1 + self.sampler.draws * (self.steps - 1))

    def decode(self, noise: Tensor, context: Tensor) -> Tensor:
        """Step from noise (B, Z) to data (B, F)."""
        c = self.context_scaling(context)
        z = noise.reshape(-1, self.noise_size // self.features, self.features)
        # Of data with unit variance y has 1 + s^2.
        y = math.sqrt(1 + self.levels[0] ** 2) * z[:, 0]

        def denoise(y: Tensor, s: float) -> Tensor:
            return self.denoise(y, s, c)

        return self.unscaled(self.sampler.solve(denoise, y, self.levels, z[:, 1:]))
