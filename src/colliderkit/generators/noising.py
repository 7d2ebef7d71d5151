"""Base of denoising generators (diffusion, flow matching): noise, symmetry, <x | noisy x>."""

from typing import Self

import torch
from torch import Tensor

from colliderkit.generators.generator import Generator

__all__ = ["Noising"]


class Noising(Generator):
    """Denoising model of p(x | c), x (F,) and c (C,).

    Whatever the process that adds it, noisy data in units of what is left of the signal are
    y = x + s z, z normal; a subclass says by ``denoise`` what its network holds to be <x | y>.

    Args:
        features, context: F and C.
        steps: of a sample.
        symmetry: (G, F) permutations of the features under which p(x | c) does not change; in
            training each row is permuted by one of them, at random.
    """

    symmetry: Tensor

    def __init__(
        self,
        features: int,
        context: int,
        *,
        steps: int,
        symmetry: Tensor | None = None,
    ) -> None:
        super().__init__(features, context)
        self.steps = steps
        group = torch.arange(features)[None] if symmetry is None else symmetry
        self.register_buffer("symmetry", group, persistent=False)

    def fit_scaling(self, x: Tensor, context: Tensor) -> Self:
        """Take mean and standard deviation of x (N, F), over its symmetry, and of c (N, C)."""
        super().fit_scaling(x, context)
        mean, square = self.scaling.mean, self.scaling.std**2 + self.scaling.mean**2
        mean, square = (value[self.symmetry].mean(0) for value in (mean, square))
        self.scaling.mean.copy_(mean)
        self.scaling.std.copy_((square - mean**2).clamp(min=1e-12).sqrt())
        return self

    def drawn(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return x (B, F), permuted at random in training, noise (B, F) and uniform u (B, 1)."""
        if self.training:
            if len(self.symmetry) > 1:
                chosen = torch.randint(len(self.symmetry), (len(x),), device=x.device)
                x = x.gather(1, self.symmetry[chosen])
            return x, torch.randn_like(x), torch.rand_like(x[:, :1])
        # The same noise for every epoch, so that they can be compared.
        random = torch.Generator().manual_seed(len(x))
        z = torch.randn(x.shape, generator=random)
        u = torch.rand(len(x), 1, generator=random)
        return x, z.to(x.device), u.to(x.device)

    def denoise(self, y: Tensor, s: Tensor | float, c: Tensor) -> Tensor:
        """Return <x | y> of y = x + s z (B, F), s (B, 1) or a number and c (B, C), all scaled."""
        raise NotImplementedError
