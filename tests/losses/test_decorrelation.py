"""Penalties of dependence against their n x n forms, closed forms and what each must keep to."""

import math

import pytest
import torch
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.losses.decorrelation import (
    DistanceCorrelation,
    MomentDecomposition,
    Penalty,
    distance_correlation,
    distance_covariance,
)
from colliderkit.losses.pairs import Order, signed_crossings

PENALTIES: dict[str, Penalty] = {
    "disco": DistanceCorrelation(),
    "disco-squared": DistanceCorrelation(power=2),
    "mode-0": MomentDecomposition(),
    "mode-1": MomentDecomposition(order=1),
    "mode-2": MomentDecomposition(order=2),
    "mode-0-bins": MomentDecomposition(bins=8),
    "mode-1-bins": MomentDecomposition(order=1, bins=8),
    "mode-2-bins": MomentDecomposition(order=2, bins=8),
    "mode-slope": MomentDecomposition(order=1, max_slope=0.1),
    "mode-slope-bins": MomentDecomposition(order=1, bins=8, max_slope=0.1),
}
UNBIASED: dict[str, Penalty] = {
    "disco": DistanceCorrelation(unbiased=True),
    "mode-0": MomentDecomposition(unbiased=True),
    "mode-1": MomentDecomposition(order=1, unbiased=True),
    "mode-0-bins": MomentDecomposition(bins=8, unbiased=True),
    "mode-2-bins": MomentDecomposition(order=2, bins=8, monotonic=False, unbiased=True),
}
every = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
everything = pytest.mark.parametrize(
    "penalty",
    [*PENALTIES.values(), *UNBIASED.values()],
    ids=[*PENALTIES, *(f"{name}-unbiased" for name in UNBIASED)],
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=random, dtype=torch.float64)


def centred(distances: Tensor, p: Tensor) -> Tensor:
    mean = distances @ p
    return distances - mean[:, None] - mean + p @ mean


def squared(x: Tensor, m: Tensor, p: Tensor) -> Tensor:
    """The definition, by n x n matrices."""
    m = m.reshape(len(x), -1)
    a, b = (x[:, None] - x).abs(), (m[:, None] - m).square().sum(2).sqrt()
    return p @ (centred(a, p) * centred(b, p)) @ p


def unbiased(x: Tensor, m: Tensor) -> Tensor:
    """The U-statistic of 1310.2926, by n x n matrices that are centred in its way."""
    n = len(x)
    found = []
    for t in (x, m):
        a = (t[:, None] - t).abs()
        rows = a.sum(1) / (n - 2)
        a = a - rows[:, None] - rows + a.sum() / ((n - 1) * (n - 2))
        found.append(a.fill_diagonal_(0))
    return (found[0] * found[1]).sum() / (n * (n - 3))


def batch(score: Tensor, m: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Logits and target of a score between 0 and 1, all background if not said."""
    logit = torch.logit(score)
    label = torch.zeros_like(score) if label is None else label
    return torch.stack([torch.zeros_like(logit), logit], 1), torch.stack([label, m], 1)


def dependent(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A dependence that no polynomial of low order in m describes."""
    m = torch.linspace(-1, 1, count, dtype=torch.float64)
    return torch.sigmoid(2 * torch.sin(5 * m) + 0.3 * normal(count, seed=seed)), m


@pytest.mark.parametrize("step", [None, 0.5])
@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_sums_of_signs(count: int, step: float | None) -> None:
    x, m, v = normal(count), normal(count, seed=1), normal(3, count, seed=2)
    if step:  # ties in x, in m and in both
        x, m = (step * (t / step).round() for t in (x, m))
    signs = torch.sign(x[:, None] - x) * torch.sign(m[:, None] - m)
    torch.testing.assert_close(signed_crossings(Order(x), Order(m), v), v @ signs.t())


@pytest.mark.parametrize("step", [None, 0.5])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_distance_covariance_is_that_of_the_matrices(dimensions: int, step: float | None) -> None:
    m = normal(300, dimensions)
    x = 0.5 * m[:, 0] + normal(300, seed=1) + 1000
    if step:
        x, m = (step * (t / step).round() for t in (x, m))
    weight = torch.rand(300, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    weight[::7] *= -0.5
    p = weight / weight.sum()
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    found, exact = distance_covariance(ours, m, weight), squared(theirs, m, p)
    torch.testing.assert_close(found, exact)
    (gradient,) = torch.autograd.grad(found, ours)
    (expected,) = torch.autograd.grad(exact, theirs)
    torch.testing.assert_close(gradient, expected, atol=1e-12, rtol=1e-7)


def test_distance_correlation_is_that_of_the_matrices() -> None:
    m = normal(200)
    x = (0.5 * m + normal(200, seed=1)).requires_grad_()
    p = torch.full((200,), 1 / 200, dtype=torch.float64)
    root = squared(m, m, p).sqrt()
    a = (x[:, None] - x).abs()
    exact = squared(x, m, p) / (p @ centred(a, p).square() @ p).sqrt() / root
    found = distance_correlation(x, m)
    torch.testing.assert_close(found, exact)
    torch.testing.assert_close(distance_correlation(x, m, power=2), exact**2)
    torch.testing.assert_close(
        torch.autograd.grad(found, x), torch.autograd.grad(exact, x), atol=1e-12, rtol=1e-7
    )


def test_unbiased_is_that_of_the_matrices() -> None:
    m = normal(60)
    x = 0.3 * m + normal(60, seed=1)
    torch.testing.assert_close(distance_covariance(x, m, unbiased=True), unbiased(x, m))
    exact = unbiased(x, m) / (unbiased(x, x) * unbiased(m, m)).sqrt()
    torch.testing.assert_close(distance_correlation(x, m, unbiased=True), exact)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.8])
def test_normal_variables_have_the_exact_correlation(rho: float) -> None:
    """0803.4101, theorem 7; the batches are small, and unbiased for it."""
    exact = (
        rho * math.asin(rho)
        + math.sqrt(1 - rho**2)
        - rho * math.asin(rho / 2)
        - math.sqrt(4 - rho**2)
        + 1
    ) / (1 + math.pi / 3 - math.sqrt(3))
    m = normal(200, 400)
    x = rho * m + math.sqrt(1 - rho**2) * normal(200, 400, seed=1)
    found = torch.stack(
        [distance_correlation(a, b, unbiased=True) for a, b in zip(x, m, strict=True)]
    )
    error = float(found.std()) / math.sqrt(len(found))
    # Of the ratio of unbiased sums a relative 1 / B is left.
    assert float(found.mean()) == pytest.approx(exact, abs=3 * error + exact / 400)


@pytest.mark.parametrize("penalty", UNBIASED.values(), ids=UNBIASED)
def test_unbiased_is_zero_in_the_mean(penalty: Penalty) -> None:
    random = torch.Generator().manual_seed(1)
    found = []
    for _ in range(300):
        s, m, w = torch.rand(3, 100, generator=random, dtype=torch.float64)
        found.append(penalty(*batch(s, m), 0.5 + w))
    values = torch.stack(found)
    error = float(values.std()) / math.sqrt(len(values))
    # 1 / n_eff is known to first order where weights differ: 1 / 100 of the bias that is gone.
    assert abs(float(values.mean())) < 3 * error + 0.01 * float(values.abs().mean())


def test_mode_is_the_integral_of_its_definition() -> None:
    """r and R event by event, the integrals over s and P(m) by their steps."""
    count = 150
    m = torch.rand(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64) ** 2
    s = torch.sigmoid(2 * m + normal(count))
    weight = torch.rand(count, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    p = weight / weight.sum()
    by_m, by_s = torch.argsort(m), torch.argsort(s)
    place = p[by_m].cumsum(0) - p[by_m] / 2
    steps = (s[:, None] <= s[by_s]).double()
    for order in (0, 1, 2):
        powers = torch.stack([m**k for k in range(order + 1)])
        fit = powers.t() @ torch.linalg.inv((powers * p) @ powers.t()) @ (powers * p)
        residual = ((steps - fit @ steps) * p[:, None])[by_m].cumsum(0)
        exact = place.diff() @ residual[:-1].square()[:, :-1] @ s[by_s].diff()
        found = MomentDecomposition(order=order, monotonic=False)(*batch(s, m), weight)
        scale = 2 * (2 * order + 1) * (2 * order + 5)
        torch.testing.assert_close(found, scale * exact, rtol=1e-6, atol=1e-9)


def test_mode_without_bins_is_a_distance_covariance_with_ranks() -> None:
    s, m = dependent(100)
    u = (torch.arange(100, dtype=torch.float64) + 0.5) / 100
    found = MomentDecomposition()(*batch(s, m), torch.ones(100))
    torch.testing.assert_close(found, 2.5 * distance_covariance(s, u))


def stepwise(share: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores 0.2 with probability `share` and 0.8 at values of m that are as likely, by weights."""
    s = torch.tensor([0.2, 0.8], dtype=torch.float64).repeat_interleave(len(m))
    outputs, target = batch(s, m.repeat(2))
    return outputs, target, torch.cat([share, 1 - share])


M = torch.linspace(-1, 1, 4, dtype=torch.float64)
P2 = 1.5 * M.square() - 0.5


@pytest.mark.parametrize("bins", [None, 4])
def test_allowed_dependence_costs_nothing(bins: int | None) -> None:
    def value(share: Tensor, **options: object) -> float:
        return float(MomentDecomposition(bins=bins, **options)(*stepwise(share, M)))  # type: ignore[arg-type]

    line, parabola = 0.5 + 0.3 * M, 0.5 + 0.3 * M + 0.08 * P2
    assert value(line, order=1) == pytest.approx(0, abs=1e-12)
    assert value(line, order=1, max_slope=0.61) == pytest.approx(0, abs=1e-12)
    assert value(parabola, order=2) == pytest.approx(0, abs=1e-12)
    bent = 0.5 + 0.2 * P2
    assert value(bent, order=2, monotonic=False) == pytest.approx(0, abs=1e-12)
    assert min(value(line), value(parabola, order=1), value(bent, order=2)) > 1e-4


def test_bins_have_the_exact_value() -> None:
    """Of scores 0.6 apart, residuals times 0.6."""
    line = stepwise(0.5 + 0.3 * M, M)
    mean = float(M.square().mean())
    assert float(MomentDecomposition(bins=4)(*line)) == pytest.approx(0.6 * 0.09 * mean)
    cut = MomentDecomposition(order=1, bins=4, max_slope=0.5)  # c_1 = 0.25 instead of 0.3
    assert float(cut(*line)) == pytest.approx(0.6 * 0.05**2 * mean)
    bent = MomentDecomposition(order=2, bins=4)(*stepwise(0.5 + 0.06 * M + 0.1 * P2, M))
    spread = float(P2.var(correction=0))  # c_2 = 0.02 instead of 0.1; c_0 follows
    assert float(bent) == pytest.approx(0.6 * 0.08**2 * spread)


@pytest.mark.parametrize("slope", [0.2, 0.35])
def test_limits_without_bins_are_those_of_narrow_ones(slope: float) -> None:
    """Where only c_1 is cut, the rest is m times a constant, whose sum over m is a parabola."""
    m = torch.linspace(-1, 1, 400, dtype=torch.float64)
    found = MomentDecomposition(order=1, max_slope=slope)(*stepwise(0.5 + 0.3 * m, m))
    left = 0.3 - 0.5 * slope
    # int du R^2 with R = left (u^2 - 1) / 4 and du = dm / 2: left^2 / 30; c = 42.
    assert float(found) == pytest.approx(0.6 * 42 * left**2 / 30, rel=0.02)


@everything
def test_independent_scores_cost_nothing(penalty: Penalty) -> None:
    """All pairs of ten scores and sixteen masses: independent exactly."""
    s = torch.linspace(0.1, 0.9, 10, dtype=torch.float64).repeat_interleave(16)
    m = torch.linspace(-1, 1, 16, dtype=torch.float64).repeat(10)
    found = float(penalty(*batch(s, m), torch.ones(160)))
    # What is unbiased is zero in the mean, and less than none here.
    assert -0.05 < found < 1e-12


@everything
def test_dependent_scores_cost(penalty: Penalty) -> None:
    s, m = dependent(400)
    least = 1e-3
    assert float(penalty(*batch(s, m), torch.ones(400))) > least


@everything
def test_the_order_of_events_is_nothing(penalty: Penalty) -> None:
    s, m = dependent(100)
    weight = 0.5 + torch.rand(100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mixed = torch.randperm(100, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        penalty(*batch(s, m), weight), penalty(*batch(s[mixed], m[mixed]), weight[mixed])
    )


@every
def test_a_weight_is_a_number_of_copies(penalty: Penalty) -> None:
    s, m = dependent(96)
    copies = 1 + torch.arange(96) % 3
    repeated = batch(s.repeat_interleave(copies), m.repeat_interleave(copies))
    weighted = penalty(*batch(s, m), copies.double())
    torch.testing.assert_close(penalty(*repeated, torch.ones(len(repeated[0]))), weighted)


@everything
def test_gradients_are_differences(penalty: Penalty) -> None:
    s, m = dependent(60)
    outputs, target = batch(s, m)
    outputs.requires_grad_()
    weight = 0.5 + torch.rand(60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(penalty(outputs, target, weight), outputs)
    move = 1e-6 * normal(60, 2, seed=5)
    with torch.no_grad():
        change = penalty(outputs + move, target, weight) - penalty(outputs - move, target, weight)
    assert float(change) != 0
    assert float((gradient * move).sum() * 2) == pytest.approx(float(change), rel=1e-4)


@everything
def test_the_signal_is_left_alone(penalty: Penalty) -> None:
    s, m = dependent(120)
    label = (torch.arange(120) % 3 == 0).double()
    outputs, target = batch(s, m, label)
    outputs.requires_grad_()
    found = penalty(outputs, target, torch.ones(120))
    (gradient,) = torch.autograd.grad(found, outputs)
    assert bool((gradient[label == 1] == 0).all())
    assert bool((gradient[label == 0] != 0).any())
    only = label == 0
    torch.testing.assert_close(found, penalty(outputs[only], target[only], torch.ones(80)))


def test_of_several_classes_the_score_is_that_of_no_background() -> None:
    s, m = dependent(50)
    outputs, target = batch(s, m)
    three = torch.cat(
        [outputs[:, :1], outputs[:, 1:] - math.log(2), outputs[:, 1:] - math.log(2)], 1
    )
    torch.testing.assert_close(
        DistanceCorrelation()(three, target, torch.ones(50)),
        DistanceCorrelation()(outputs, target, torch.ones(50)),
    )


@everything
@pytest.mark.parametrize("what", ["signal alone", "one event", "constant m", "no weight"])
def test_a_batch_without_a_value_moves_nothing(penalty: Penalty, what: str) -> None:
    s, m = dependent(20)
    label, weight = torch.zeros(20, dtype=torch.float64), torch.ones(20)
    if what == "signal alone":
        label += 1
    elif what == "one event":
        label[1:] = 1
    elif what == "constant m":
        m = torch.full_like(m, 80.4)
    else:
        weight[:] = 0
    outputs, target = batch(s, m, label)
    outputs = outputs.float().requires_grad_()
    found = penalty(outputs, target.float(), weight)
    assert float(found.detach()) == 0
    assert found.dtype == torch.float32
    (gradient,) = torch.autograd.grad(found, outputs)
    assert bool((gradient == 0).all())


@everything
def test_equal_scores_move_nothing(penalty: Penalty) -> None:
    outputs = torch.zeros(20, 2, requires_grad=True)
    target = torch.stack([torch.zeros(20), torch.arange(20.0)], 1)
    (gradient,) = torch.autograd.grad(penalty(outputs, target, torch.ones(20)), outputs)
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize(
    ("x", "m", "weight", "options"),
    [
        (torch.zeros(1), torch.zeros(1), None, {}),
        (torch.arange(3.0), torch.arange(3.0), None, {"unbiased": True}),
        (torch.arange(5.0), torch.arange(4.0), None, {}),
        (torch.arange(5.0), torch.ones(5), None, {}),
        (torch.arange(5.0), torch.arange(5.0), -torch.ones(5), {}),
    ],
)
def test_what_has_no_correlation(
    x: Tensor, m: Tensor, weight: Tensor | None, options: dict
) -> None:
    with pytest.raises(InputError):
        distance_correlation(x, m, weight, **options)


@pytest.mark.parametrize("options", [{"order": 3}, {"bins": 1}, {"max_slope": 0.0}])
def test_what_is_no_mode(options: dict) -> None:
    with pytest.raises(InputError):
        MomentDecomposition(**options)


def test_mode_has_one_quantity() -> None:
    with pytest.raises(InputError, match="one quantity"):
        MomentDecomposition()(torch.zeros(4, 2), torch.zeros(4, 3), torch.ones(4))
