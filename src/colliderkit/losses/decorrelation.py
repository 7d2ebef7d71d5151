"""Decorrelation losses: distance correlation (DisCo) and moment decomposition (MoDe).

Penalties on a score that depends on protected quantities m of the background (DisCo, 2001.05310;
MoDe, 2010.09745). Both are exact for the weighted events of a batch, in O(B log B) time and O(B)
memory for one number m.

Both are sums over pairs of events of |s_i - s_j|, times what depends on m alone: between two
orders of the scores s they are linear in s, so that value = s . gradient, and the gradient is made
of signs (`losses.pairs`).
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.losses.pairs import Distances, Line, Order, distances

__all__ = [
    "DistanceCorrelation",
    "MomentDecomposition",
    "Penalty",
    "background_score",
    "distance_correlation",
    "distance_covariance",
]


class Penalty(Protocol):
    """A loss of logits (B, K) and a target (B, 1 + M): the class and M protected quantities.

    It sees the background alone, and its score s = 1 - p(background), the probability of the
    signal where there is one. A batch in which it is not defined (fewer than two background
    events, a constant quantity) contributes 0 with a gradient of 0.
    """

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the penalty of a batch with weights (B,), ()."""
        ...


def distance_covariance(
    x: Tensor, m: Tensor, weight: Tensor | None = None, *, unbiased: bool = False
) -> Tensor:
    r"""Return the squared distance covariance of x (B,) and m (B,) or (B, D), ().

    .. math:: \mathrm{dCov}^2 = \sum_{ij} p_i p_j A_{ij} B_{ij}

    with the weights p of sum 1, A the distances |x_i - x_j| less their mean over i and that over j
    plus that over both, B likewise of m (0803.4101). It is 0 for independent x and m alone, in the
    limit of many events; of B events it is about 1 / B too large. `unbiased` is what the
    U-statistic (1310.2926) makes of the same sums, exact for equal weights; for others B is the
    effective number of events, (sum w)^2 / sum w^2.

    Differentiable in x; O(B log B) for one number m, else O(B^2) time and O(B) memory. Raises
    `InputError` for fewer than two events (four if `unbiased`) or weights of no positive sum.
    """
    x, m, p = _checked(x, m, weight, unbiased)
    return _covariance(x, p, distances(m, p), unbiased)


def distance_correlation(
    x: Tensor,
    m: Tensor,
    weight: Tensor | None = None,
    *,
    unbiased: bool = False,
    power: float = 1.0,
) -> Tensor:
    r"""Return the squared distance correlation of x (B,) and m (B,) or (B, D), ().

    .. math:: \mathrm{dCorr}^2 = \mathrm{dCov}^2(x, m) / \sqrt{\mathrm{dCov}^2(x, x)
              \, \mathrm{dCov}^2(m, m)}

    between 0 (independent) and 1, to the power of `power`: what 2001.05310 adds to its loss is
    power 1, which its code calls power = 1 as well. `unbiased` may come out negative. The rest is
    as of `distance_covariance`; raises `InputError` for a constant x or m too.
    """
    x, m, p = _checked(x, m, weight, unbiased)
    correlation = _correlation(x, m, p, unbiased)
    if correlation is None:
        raise InputError("x or m is constant; it has no correlation.")
    return _signed_power(correlation, power)


@dataclass(frozen=True)
class DistanceCorrelation:
    """Penalise the squared distance correlation of the background's score and m.

    `power` and `unbiased` are those of `distance_correlation`; with `unbiased` the mean over
    batches is, to 1 / B of itself, that of a large sample.
    """

    power: float = 1.0
    unbiased: bool = False
    background: int = 0

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the penalty of logits (B, K), target (B, 1 + M) and weights (B,), ()."""
        score, m, p = background_score(outputs, target, weight, self.background)
        if len(p) >= 2 and (not self.unbiased or float(1 / (p @ p)) > 3):
            correlation = _correlation(score, m, p, self.unbiased)
            if correlation is not None:
                return _signed_power(correlation, self.power).to(outputs.dtype)
        return outputs.sum() * 0.0


@dataclass(frozen=True)
class MomentDecomposition:
    r"""Penalise what of the background's F(s | m) = P(score < s | m) is no polynomial in m.

    F_l(s | m) is the polynomial of degree `order` in m that fits F(s | m) best, by least squares
    with the background's density of m as weight. With ``bins`` of equal probability b,

    .. math:: L = \sum_b p_b \int ds (F_b(s) - F_l(s | m_b))^2,

    the form of 2010.09745 (whose Legendre integrals in m, without the density, are the same fit
    where the density is flat or the bins' F is a polynomial). The integral over s is exact: F is
    constant between scores.

    Without ``bins`` the residual is summed over m before it is squared,

    .. math:: L = c \int dP(m) \int ds R(s, m)^2, \quad
              R = \int_{m' < m} dP(m') (F(s | m') - F_l(s | m')),

    which vanishes exactly where F - F_l does, and has a limit for bins of one event each, where
    F_b itself is noise. With r_i(s) = theta(s - s_i) less its projection on polynomials,
    R = sum_i p_i r_i theta(m - m_i), and both integrals give -|.|/2 but for terms that
    sum(p r) = 0 removes:

    .. math:: L = \frac{c}{4} \sum_{ij} p_i p_j |s_i - s_j| [(1 - \Pi) U (1 - \Pi)]_{ij}, \quad
              U_{ij} = |u_i - u_j|,

    u the probability below m. For order 0 this is c/4 times the squared distance covariance of s
    and u. c = 2 (2 l + 1) (2 l + 5): the Legendre polynomial of degree l + 1 in u then counts as
    in bins, and higher ones less, by about 1 / degree^2.

    `order`: 0 allows no dependence, 1 a linear one, 2 a quadratic one; m is taken from -1 to 1
    over the batch. `monotonic`: at order 2, F_l must rise or fall with m throughout,
    |c_2| <= |c_1| / 3 of its Legendre coefficients. `max_slope`: |c_1| is at most this share of
    c_0; 1 lets the efficiency reach 0 at one end. Coefficients are cut there, where the published
    code bends them by tanh, and so penalises part of what is allowed. `unbiased` removes what
    independent scores would give in the mean, in proportion to 1 / B.
    """

    order: int = 0
    bins: int | None = None
    max_slope: float | None = None
    monotonic: bool = True
    unbiased: bool = False
    background: int = 0

    def __post_init__(self) -> None:
        if self.order not in (0, 1, 2):
            raise InputError(f"the order of MoDe is {self.order}; give 0, 1 or 2.")
        if self.bins is not None and self.bins < self.order + 2:
            raise InputError(
                f"{self.bins} bins leave nothing of MoDe[{self.order}]; give {self.order + 2} or"
                " more, or none."
            )
        if self.max_slope is not None and not self.max_slope > 0:
            raise InputError(f"max_slope is {self.max_slope}; it must be positive.")

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the penalty of logits (B, K), target (B, 2) and weights (B,), ()."""
        if target.shape[1] != 2:
            raise InputError(f"MoDe protects one quantity, not {target.shape[1] - 1}.")
        score, m, p = background_score(outputs, target, weight, self.background)
        m = m.reshape(-1)
        # What is left of as many values of m as coefficients is nothing.
        if len(m.unique()) < self.order + 2:
            return outputs.sum() * 0.0
        scaled = 2 * (m - m.min()) / (m.max() - m.min()) - 1
        below = Order(m).below(p)
        form = self._whole if self.bins is None else self._binned
        return form(score, scaled, below, p).to(outputs.dtype)

    def _binned(self, s: Tensor, m: Tensor, below: Tensor, p: Tensor) -> Tensor:
        assert self.bins is not None
        number = (below * self.bins).long().clamp(0, self.bins - 1)
        member = torch.nn.functional.one_hot(number, self.bins).double().t() * p
        member = member[member.sum(1) > 0]
        share = member.sum(1)
        ranked, order = torch.sort(s)
        F = member[:, order].cumsum(1) / share[:, None]
        basis = _legendre((member @ m) / share, self.order)
        weighted = basis * share
        inverse = torch.linalg.pinv(weighted @ basis.t())
        fitted = basis.t() @ self._limited(inverse @ (weighted @ F), weighted.sum(1))
        square = share @ (F - fitted).square()
        if self.unbiased:
            # The variance of F_b as its own events tell it, less what the fit follows.
            noise = member.square().sum(1) / share.square()
            spread = share * noise / (1 - noise).clamp(min=0.5)
            left = 1 - share * (basis * (inverse @ basis)).sum(0)
            square = square - (spread * left) @ (F * (1 - F))
        return (ranked.diff() * square[:-1]).sum()

    def _whole(self, s: Tensor, m: Tensor, below: Tensor, p: Tensor) -> Tensor:
        line = Line(below, p)
        legendre = _legendre(m, self.order)
        # Orthonormal in the weights of the events.
        gram = (legendre * p) @ legendre.t()
        values, vectors = torch.linalg.eigh(gram)
        independent = values > 1e-12 * values.max()
        basis = (vectors[:, independent] / values[independent].sqrt()).t() @ legendre
        first, rows, both = _projected(s, p, line, basis)
        penalty = (first - 2 * rows + both) / 4
        if self.unbiased:
            penalty = (penalty - self._diagonal(s, line, basis, p)) / (1 - p @ p)
        if (self.order == 2 and self.monotonic) or (self.order and self.max_slope is not None):
            penalty = penalty + self._cut(s, line, legendre, basis, p)
        return 2 * (2 * self.order + 1) * (2 * self.order + 5) * penalty

    def _diagonal(self, s: Tensor, line: Line, basis: Tensor, p: Tensor) -> Tensor:
        """Return the sum of p_i^2 A_ii B_ii, what each event adds with itself."""
        products = p.square()
        for each in (Line(s, p), line):
            means = each.means(basis)
            gram = (basis * p) @ means.t()
            products = products * ((basis * means) - 0.5 * basis * (gram @ basis)).sum(0)
        return products.sum()

    def _cut(self, s: Tensor, line: Line, legendre: Tensor, basis: Tensor, p: Tensor) -> Tensor:
        """Return what is added where coefficients go beyond their limits.

        The residual grows by sum_a delta_a(s) (P_a(m) - <P_a>): c_0 follows what was cut.
        """
        ranked, order = torch.sort(s)
        weighted = legendre * p
        fitted = torch.linalg.pinv(weighted @ legendre.t()) @ weighted[:, order].cumsum(1)
        delta = (fitted - self._limited(fitted, weighted.sum(1)))[1:]
        free = legendre[1:] - weighted.sum(1)[1:, None]
        means = line.means(free)
        # Of the residuals that are there already: projecting r or the other side is the same.
        across = means - ((means * p) @ basis.t()) @ basis
        along = -0.5 * (across * p)[:, order].cumsum(1)
        square = -0.5 * (free * p) @ means.t()
        added = (delta * (2 * along + square @ delta)).sum(0)
        return (ranked.diff() * added[:-1]).sum()

    def _limited(self, fitted: Tensor, mean: Tensor) -> Tensor:
        """Cut Legendre coefficients (A, B) to their limits; c_0 keeps the mean over m, (A, B)."""
        limited = list(fitted)
        if self.order and self.max_slope is not None:
            most = self.max_slope * fitted[0].clamp(min=0)
            limited[1] = fitted[1].clamp(-most, most)
        if self.order == 2 and self.monotonic:
            most = limited[1].abs() / 3
            limited[2] = fitted[2].clamp(-most, most)
        for a in range(1, len(limited)):
            limited[0] = limited[0] + (fitted[a] - limited[a]) * mean[a]
        return torch.stack(limited)


def _legendre(m: Tensor, order: int) -> Tensor:
    """Return the Legendre polynomials of degree 0 to `order` of m (B,), (order + 1, B)."""
    return torch.stack([torch.ones_like(m), m, 1.5 * m.square() - 0.5][: order + 1])


def background_score(
    outputs: Tensor, target: Tensor, weight: Tensor, background: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the background's s (N,), m (N, M) and weights of sum 1 (N,), in float64.

    Of logits (B, K), target (B, 1 + M) and weights (B,): s is 1 less the probability of the class
    `background`. No events at all where their weights do not sum to more than zero.
    """
    in_background = target[:, 0] == background
    w = weight[in_background].double()
    if not float(w.sum()) > 0:
        in_background, w = in_background & False, w[:0]
    logits = outputs[in_background].double()
    others = [k for k in range(outputs.shape[1]) if k != background]
    score = torch.sigmoid(logits[:, others].logsumexp(1) - logits[:, background])
    return score, target[in_background, 1:].double(), w / w.sum()


def _checked(
    x: Tensor, m: Tensor, weight: Tensor | None, unbiased: bool
) -> tuple[Tensor, Tensor, Tensor]:
    least = 4 if unbiased else 2
    if x.ndim != 1 or len(m) != len(x) or len(x) < least:
        raise InputError(
            f"x and m have shapes {tuple(x.shape)} and {tuple(m.shape)}; give (B,) and (B,) or"
            f" (B, D) of {least} events at least."
        )
    w = torch.ones_like(x) if weight is None else weight
    if not float(w.sum()) > 0:
        raise InputError("the weights of the events do not sum to more than zero.")
    w = w.detach().double()
    return x.double(), m.detach().double(), w / w.sum()


def _projected(
    x: Tensor, p: Tensor, line: Distances, basis: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return three sums over pairs, of which first - 2 second + third is that of projections.

    With D the distances of m and q the `basis` (A, B), orthonormal in p,

        sum pp |x_i - x_j| D_ij,  sum_a pp q_a(i) |x_i - x_j| d_a(j),  sum_ab G_ab H_ab,

    d_a(j) = sum_i p q_a(i) D_ij, G = sum p q d, H the like of x. Each is x . its gradient.
    """
    with torch.no_grad():
        order = Order(x)
        means = line.means(basis)
        gram = (basis * p) @ means.t()
        of_basis, of_means = order.signed(p * basis), order.signed(p * means)
        first = 2 * p * line.signed(order)
        second = p * (basis * of_means + means * of_basis).sum(0)
        third = 2 * p * (basis * (gram @ of_basis)).sum(0)
    # The gradients sum to zero: a far origin would only cost digits.
    centred = x - (p * x).sum().detach()
    return centred @ first, centred @ second, centred @ third


def _unbiased(first: Tensor, second: Tensor, third: Tensor, p: Tensor) -> Tensor:
    """Return the U-statistic of the three sums of V-statistics, for 1 / sum p^2 events."""
    n = 1 / (p @ p)
    whole = first - 2 * n / (n - 2) * second + n**2 / ((n - 1) * (n - 2)) * third
    return n / (n - 3) * whole


def _covariance(x: Tensor, p: Tensor, line: Distances, unbiased: bool) -> Tensor:
    first, second, third = _projected(x, p, line, torch.ones_like(x)[None].detach())
    return _unbiased(first, second, third, p) if unbiased else first - 2 * second + third


def _variance(line: Distances, p: Tensor, unbiased: bool) -> Tensor:
    """Return the squared distance covariance with itself, ()."""
    (means,) = line.means(torch.ones_like(p)[None])
    parts = line.square(), (p * means.square()).sum(), (p * means).sum().square()
    return _unbiased(*parts, p) if unbiased else parts[0] - 2 * parts[1] + parts[2]


def _correlation(x: Tensor, m: Tensor, p: Tensor, unbiased: bool) -> Tensor | None:
    """Return the squared correlation, None where it is not defined."""
    if _constant(x.detach()[:, None]) or _constant(m.reshape(len(x), -1)):
        return None
    line = distances(m, p)
    product = _variance(Line(x, p), p, unbiased) * _variance(line, p, unbiased)
    # Negative weights can make variances negative.
    if not float(product.detach()) > 0:
        return None
    return _covariance(x, p, line, unbiased) / product.sqrt()


def _signed_power(correlation: Tensor, power: float) -> Tensor:
    """Return the power of a correlation that, unbiased, may be negative; it keeps its sign."""
    return correlation if power == 1 else correlation.sign() * correlation.abs() ** power


def _constant(values: Tensor) -> bool:
    """Return whether all columns are constant to the digits they have."""
    spread = values.amax(0) - values.amin(0)
    return bool((spread <= 1e-12 * values.abs().amax(0)).all())
