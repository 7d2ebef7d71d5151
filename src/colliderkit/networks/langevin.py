"""Markov chains along the gradient of an energy: Langevin steps that are accepted or refused."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["langevin"]

ACCEPTED = 0.57  # the best share of steps to accept (Roberts and Rosenthal, 1998)
HASTE = 0.1  # how fast a step's length follows the share of steps that are accepted


def langevin(
    energy: Callable[[Tensor], Tensor],
    start: Tensor,
    steps: int,
    length: Tensor,
    random: torch.Generator | None = None,
    *,
    bound: float | None = None,
) -> Tensor:
    """Return chains of exp(-U) after some steps from `start` (B, ...), of the same shape.

    A step proposes x' = x - l^2/2 grad U(x) + l n, n normal, and takes it with the probability
    min(1, p(x') q(x | x') / (p(x) q(x' | x))), so that no length l biases the samples
    (Metropolis-adjusted Langevin; Roberts and Tweedie, Bernoulli 2 (1996) 341). With `bound` the
    density is 0 where any |x| is larger. ``energy`` gives U (B,) of (B, ...).

    `length` () is moved towards the one whose steps are accepted `ACCEPTED` of the time; give a
    copy where it should stay.
    """
    x = start.detach().clone()
    value, slope = _sloped(energy, x)
    for _ in range(steps):
        noise = torch.randn(x.shape, generator=random).to(x)
        other = x - 0.5 * length**2 * slope + length * noise
        other_value, other_slope = _sloped(energy, other)
        # The noise that would lead back.
        back = (x - other + 0.5 * length**2 * other_slope) / length
        ways = 0.5 * (noise.square() - back.square()).flatten(1).sum(1)
        chance = (value - other_value + ways).clamp(max=0).exp()
        if bound is not None:
            chance = chance * (other.abs().flatten(1).amax(1) <= bound)
        chance = chance.nan_to_num()  # a step to where there is no number is refused
        taken = torch.rand(len(x), generator=random).to(x) < chance
        wide = taken.view(-1, *[1] * (x.ndim - 1))
        x, slope = torch.where(wide, other, x), torch.where(wide, other_slope, slope)
        value = torch.where(taken, other_value, value)
        length *= (HASTE * (chance.mean() - ACCEPTED)).exp()
    return x


def _sloped(energy: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return U (B,) and its gradient, of the shape of x, also where gradients are turned off."""
    with torch.inference_mode(False), torch.enable_grad():
        x = x.clone().requires_grad_()
        value = energy(x)
        (slope,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), slope
