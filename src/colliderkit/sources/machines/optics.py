"""Linear beam optics in closed form: drifts, thick quadrupoles, steerers, for many beams at once.

In a plane a particle is (x, x'), and an element maps it linearly. All is written for a row (u, v),
the position at the screen as a function of (x, x') before an element: the tracking runs backwards,
and of the whole line only the row is kept. Tensors end in the two planes, x and y.
"""

import torch
from torch import Tensor

from colliderkit.errors import InputError

__all__ = ["cosine_and_sine", "drift", "quadrupole"]

TERMS = 9
STRONGEST = 1.2  # |k| L^2 up to which the series are exact to 1e-15


def cosine_and_sine(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return C = sum (-z)^n / (2 n)! and S = sum (-z)^n / (2 n + 1)!, both smooth at z = 0.

    C is cos(sqrt z) for z >= 0 and cosh(sqrt -z) below, S is sin(sqrt z) / sqrt z and so on.
    """
    # 1 - z c_1 (1 - z c_2 (1 - ...)), both series in one tensor.
    n = torch.arange(1.0, TERMS + 1, dtype=z.dtype)
    ratio = torch.stack([1 / ((2 * n - 1) * 2 * n), 1 / (2 * n * (2 * n + 1))], 1)
    factors = ratio.reshape(TERMS, 2, *[1] * z.ndim) * z
    one = torch.ones((), dtype=z.dtype)
    total = 1 - factors[-1]
    for factor in reversed(factors.unbind(0)[:-1]):
        total = torch.addcmul(one, total, factor, value=-1)
    cosine, sine = total.unbind(0)
    return cosine, sine


def drift(row: tuple[Tensor, Tensor], length: float) -> tuple[Tensor, Tensor]:
    """Return the row before a drift of `length` [m]: (x, x') -> (x + L x', x')."""
    u, v = row
    return u, v + length * u


def quadrupole(strength: Tensor, length: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return m11 = m22, m12 and m21 of a thick quadrupole, each (..., 2) for x and y.

    With k = `strength` (...) [1/m^2] in x and -k in y, and z = k L^2:

        M = [[C(z), L S(z)], [-k L S(z), C(z)]],  C and S of `cosine_and_sine`.

    It focuses in x where k > 0. M has the determinant 1, and is a drift at k = 0. Raises
    `InputError` for |k| L^2 above 1.2, where the series end.
    """
    k = torch.stack([strength, -strength], dim=-1)
    z = k * length**2
    if strength.numel() and float(z.detach().abs().amax()) > STRONGEST:
        raise InputError(
            f"a quadrupole of {length:g} m has a strength of more than"
            f" {STRONGEST / length**2:.4g} /m^2; lower its limits."
        )
    cosine, sine = cosine_and_sine(z)
    return cosine, length * sine, -k * (length * sine)
