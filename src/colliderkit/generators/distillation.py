"""Progressive distillation of diffusion and flow matching to few steps (2202.00512)."""

import copy
import math

import torch
from torch import Tensor, nn

from colliderkit.generators.diffusion.diffusion import Diffusion
from colliderkit.generators.diffusion.samplers import jumps, midpoint
from colliderkit.generators.noising import Noising

__all__ = ["Distillation"]


class Distillation(nn.Module):
    """Distil a trained generator: a student takes one step where it takes many.

    The student steps through levels s_0 > s_1 > ... > 0, each step y' = f + (s'/s) (y - f). From
    data with noise, y = x + s_n z, the teacher follows its path to s_n+1, where it is at y', by
    many midpoint steps; the student's f minimises

        < |f(y, s_n, c) - (y' - (s'/s) y) / (1 - s'/s)|^2 >.

    That is progressive distillation with all of its halvings in one: the targets never are those
    of another student. Training is that of any generator, with `own_loss`, on the teacher's data;
    the teacher's calls add the cost of (teacher_steps / steps) / 1.5 ordinary steps to each.

    Args:
        teacher: a trained `FlowMatching` or `Diffusion`, which is left as it is.
        network: the student's; a copy of the teacher's if not given.
        steps: of the student, one call of its network each.
        teacher_steps: of a path from noise to data, two calls each; a multiple of `steps`.

    Attributes:
        student: a `Diffusion` with the sampler "distilled".
    """

    def __init__(
        self,
        teacher: Noising,
        *,
        network: nn.Module | None = None,
        steps: int = 1,
        teacher_steps: int = 16,
    ) -> None:
        super().__init__()
        self.teacher = copy.deepcopy(teacher).requires_grad_(False)
        self.student = Diffusion(
            teacher.features,
            teacher.context,
            network=network or _Velocity(teacher),
            sampler="distilled",
            steps=steps,
            symmetry=teacher.symmetry,
        )
        self.student.scaling.load_state_dict(teacher.scaling.state_dict())
        self.student.context_scaling.load_state_dict(teacher.context_scaling.state_dict())
        self.part = max(1, teacher_steps // steps)
        self.levels = jumps(self.student.process, self.part * steps)

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return the loss of rows (B, F) with their conditions (B, C), the mean over F: (B, 1).

        In training one step of the student, drawn for all rows; else the mean of all of them.
        """
        x, z, _ = self.student.drawn(self.student.scaled(values))
        c = self.student.context_scaling(context)
        steps = self.student.steps
        numbers = [int(torch.randint(steps, ()))] if self.training else range(steps)
        losses = [self._loss(n, x, z, c) for n in numbers]
        return torch.stack(losses).mean(0)

    def _loss(self, n: int, x: Tensor, z: Tensor, c: Tensor) -> Tensor:
        path = self.levels[n * self.part : (n + 1) * self.part + 1]
        now, then = path[0], path[-1]
        y = x + now * z
        with torch.no_grad():
            ahead = midpoint(lambda y, s: self.teacher.denoise(y, s, c), y, path, z)
            target = (ahead - then / now * y) / (1 - then / now)
        found = self.student.denoise(y, now, c)
        return (found - target).square().mean(1, keepdim=True)


class _Velocity(nn.Module):
    """Read v = cos(a) z - sin(a) x, as `Diffusion` predicts it, off any generator's denoiser."""

    def __init__(self, model: Noising) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)

    def forward(self, u: Tensor, t: Tensor, c: Tensor) -> Tensor:
        a = t * (math.pi / 2)
        found: Tensor = (a.cos() * u - self.model.denoise(u / a.cos(), a.tan(), c)) / a.sin()
        return found
