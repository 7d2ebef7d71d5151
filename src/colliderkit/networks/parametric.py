"""Parametrised likelihood-ratio network: z(x, theta) of an event and the parameters theta."""

from collections.abc import Sequence
from itertools import combinations_with_replacement

import torch
from torch import Tensor, nn

from colliderkit.events.scaling import Standardise
from colliderkit.networks.dense import dense
from colliderkit.networks.mlp import MLP

__all__ = ["Parametric"]

DEGREE = 3  # of the polynomials in theta


class Parametric(nn.Module):
    """Model a log-density ratio as an exponential family in theta of learned statistics,

        z(x, theta) = eta(theta) . T(x) - A(theta),

    T(x) the E outputs of any `model` of the package; eta and A are polynomials of theta to the
    third degree, plus a perceptron where it is given widths `hidden`. All begin at zero: the ratio
    begins at 1. The event is embedded once, whatever theta it is asked for: a scan or a gradient
    in theta costs E products an event, and a polynomial has no kinks for it to stumble over. DCTR
    (1907.08209) gives theta to each particle instead, and runs through all particles again for
    each value; a head that takes (T, theta) together needs far longer to find that the two belong
    together.

    ``forward(values, mask, theta (B, P)) -> (B, 1)``. `fit` standardises theta.
    """

    def __init__(
        self, model: nn.Module, size: int, parameters: int, *, hidden: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.model = model
        self.scaling = Standardise(parameters)
        self.powers = [
            powers
            for degree in range(1, DEGREE + 1)
            for powers in combinations_with_replacement(range(parameters), degree)
        ]
        self.straight = dense(len(self.powers), size + 1)
        last: list[nn.Module] = [self.straight]
        self.curved: MLP | None = None
        if hidden:
            self.curved = MLP(parameters, size + 1, hidden=hidden)
            last.append(self.curved.layers[-1])
        for parameter in (p for layer in last for p in layer.parameters()):
            nn.init.zeros_(parameter)
        self.scale = size**-0.5

    def fit(self, theta: Tensor) -> "Parametric":
        """Fit the standardisation to theta (N, P)."""
        self.scaling.fit(theta)
        return self

    def statistics(self, values: Tensor, mask: Tensor | None) -> Tensor:
        """Return T(x), (B, E)."""
        t: Tensor = self.model(values, mask)
        return t * self.scale

    def natural(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return eta (B, E) and A (B, 1) of theta (B, P)."""
        t = self.scaling(theta)
        both = self.straight(torch.stack([t[:, i].prod(1) for i in self.powers], 1))
        if self.curved is not None:
            both = both + self.curved(t)
        return both[:, 1:], both[:, :1]

    def forward(self, values: Tensor, mask: Tensor | None, theta: Tensor) -> Tensor:
        eta, a = self.natural(theta)
        return (eta * self.statistics(values, mask)).sum(1, keepdim=True) - a
