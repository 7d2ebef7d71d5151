"""Flow matching: a velocity that carries noise to data (2210.02747)."""

from torch import Tensor

from colliderkit.generators.noising import Noising

__all__ = ["FlowMatching"]


class FlowMatching(Noising):
    """Model p(x | c), x (F,) and c (C,), by straight paths from noise to data.

    With z normal and x_t = (1 - t) z + t x, the network v minimises

        < |v(x_t, t, c) - (x - z)|^2 >,

    and a sample is the end of dx/dt = v(x, t, c), from z at t = 0 to t = 1, in `steps` midpoint
    steps of two calls. For the arguments see `Noising`.
    """

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return the loss of rows (B, F) with their conditions (B, C), the mean over F: (B, 1)."""
        x, z, t = self.drawn(self.scaled(values))
        v = self.network((1 - t) * z + t * x, t, self.context_scaling(context))
        return (v - (x - z)).square().mean(1, keepdim=True)

    def denoise(self, y: Tensor, s: Tensor, c: Tensor) -> Tensor:
        """Return <x | y> = x_t + (1 - t) v, with t = 1 / (1 + s) and x_t = t y."""
        t = 1 / (1 + s)
        found: Tensor = t * y + (1 - t) * self.network(t * y, t, c)
        return found

    def decode(self, noise: Tensor, context: Tensor) -> Tensor:
        """Follow the velocity from noise (B, F) to data."""
        c = self.context_scaling(context)
        x, h = noise, 1.0 / self.steps
        for i in range(self.steps):
            t = x.new_full((len(x), 1), i * h)
            half = x + 0.5 * h * self.network(x, t, c)
            x = x + h * self.network(half, t + 0.5 * h, c)
        return self.unscaled(x)
