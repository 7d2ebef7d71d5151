"""Constraints against problems whose solution and multiplier are known."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.losses.classification import weighted_mean
from colliderkit.losses.constraints import Constrained, Constraint
from colliderkit.training import fit as module
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Training


def solve(
    x: nn.Parameter,
    primary: Callable[[Tensor], Tensor],
    constraints: dict[str, tuple[Callable[[Tensor], Tensor], Constraint]],
    *,
    steps: int = 1500,
    rate: float = 0.1,
) -> None:
    """Descend by plain gradients, the multipliers with the rest."""
    own = [p for _, constraint in constraints.values() for p in constraint.parameters()]
    optimiser = torch.optim.SGD([x, *own], rate)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = primary(x)
        for value, constraint in constraints.values():
            loss = loss + constraint.penalty(value(x))
        loss.backward()
        optimiser.step()


def unused(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    raise AssertionError


def test_a_circle_on_a_line() -> None:
    """Minimise x^2 + y^2 with x + y = 1: (1/2, 1/2) and 2 x + lambda = 0, lambda = -1."""
    x = nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
    line = Constraint.equal(unused, 1.0, damping=1.0, memory=0.0)
    solve(x, lambda x: (x**2).sum(), {"line": (lambda x: x.sum(), line)})
    torch.testing.assert_close(x.detach(), torch.full((2,), 0.5).double(), atol=1e-6, rtol=0.0)
    assert line.multiplier == pytest.approx(-1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("low", "high", "place", "multiplier"),
    [
        # (x - 1)^2 has slope 2 (x - 1), which lambda / scale balances; scale is the larger bound,
        # or its root below 1.
        (-math.inf, 2.0, 1.0, 0.0),
        (-math.inf, 0.5, 0.5, 0.5**0.5),
        (1.25, math.inf, 1.25, -0.625),
        (0.2, 0.8, 0.8, 0.4 * 0.8**0.5),
        (0.2, 2.0, 1.0, 0.0),
        (1.5, 2.0, 1.5, -2.0),
    ],
)
def test_bounds_bind_or_vanish(low: float, high: float, place: float, multiplier: float) -> None:
    x = nn.Parameter(torch.tensor(4.0, dtype=torch.float64))
    bound = Constraint(unused, low, high, damping=1.0, memory=0.0)
    bound.slow_multipliers.data.fill_(2.0)  # a wrong memory of the past fades
    solve(x, lambda x: (x - 1) ** 2, {"bound": (lambda x: x, bound)})
    assert float(x.detach()) == pytest.approx(place, abs=1e-5)
    assert bound.multiplier == pytest.approx(multiplier, abs=1e-4)


@pytest.mark.parametrize("bound", [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0])
def test_bounds_of_any_size_are_kept_with_their_price(bound: float) -> None:
    """Minimise |x - t|^2 with |x|^2 <= b by Adam: x = t sqrt(b) / |t|, and

    -d|x - t|^2 / db = (|t| - r) / r with r = sqrt(b), which is lambda / scale.
    """
    target = torch.linspace(0.5, 1.5, 10)
    target = target / target.norm() * math.sqrt(12)
    x = nn.Parameter(target.clone())
    limit = Constraint.at_most(unused, bound)
    optimiser = torch.optim.Adam([x, *limit.parameters()], 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 4000)
    for _ in range(4000):
        optimiser.zero_grad()
        ((x - target).square().sum() + limit.penalty(x.square().sum())).backward()
        optimiser.step()
        schedule.step()
    assert float(x.detach().square().sum()) == pytest.approx(bound, rel=0.01)
    price = math.sqrt(12 / bound) - 1
    assert limit.multiplier / limit.scale == pytest.approx(price, rel=0.01)


def test_a_concave_front_is_reached_where_weights_fail() -> None:
    """f = cos t and g = sin t in 0 < t < pi/2: the front is a quarter of a circle, from inside.

    f + w g is concave along it: its minimum is one of the ends, whatever w. MDMM finds g = 0.6,
    f = 0.8, and the slope of the front there: -df/dg = g / f = 0.75 = lambda / scale.
    """

    def angle(x: Tensor) -> Tensor:
        return math.pi / 2 * x.sin().square()

    def f(x: Tensor) -> Tensor:
        return angle(x).cos()

    def g(x: Tensor) -> Tensor:
        return angle(x).sin()

    for weight in (0.3, 0.75, 0.9, 3.0):
        x = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
        solve(x, lambda x, weight=weight: f(x) + weight * g(x), {}, steps=500)
        assert min(float(f(x).detach()), float(g(x).detach())) < 1e-6
    x = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
    bound = Constraint.at_most(unused, 0.6, damping=4.0, memory=0.0)
    solve(x, f, {"g": (g, bound)}, rate=0.05)
    assert float(g(x).detach()) == pytest.approx(0.6, abs=1e-6)
    assert bound.multiplier == pytest.approx(0.75 * 0.6**0.5, abs=1e-5)


def test_an_inactive_constraint_is_not_felt() -> None:
    value = torch.tensor(0.3, requires_grad=True)
    bound = Constraint.at_most(unused, 1.0)
    penalty = bound.penalty(value)
    penalty.backward()
    assert float(penalty.detach()) == 0
    assert float(value.grad) == 0
    assert float(bound.slow_multipliers.grad) == 0


def test_forces_by_hand() -> None:
    """Far outside the gap is in units of the value: (v - b) / v, with the slope 1 / v.

    The scale is sqrt(.01); lambda is raised no faster than by a running mean of 1.5 bounds.
    """
    for v, unit in ((0.5, 0.5), (0.015, 0.1)):
        value = torch.tensor(v, requires_grad=True)
        bound = Constraint.at_most(unused, 0.01, damping=3.0)
        bound.slow_multipliers.data.fill_(0.2)
        bound.penalty(value).backward()
        gap = (v - 0.01) / unit
        assert float(value.grad) == pytest.approx((0.2 + 3 * gap) / unit, rel=1e-5)
        assert float(bound.slow_multipliers.grad) == pytest.approx(
            -min(gap, 0.5 * 0.01 / 0.1), rel=1e-4
        )
    # Damping sees the running mean: .9 of the first value, .1 of the second.
    bound = Constraint.at_most(unused, 1.0, damping=3.0)
    for v in (1.5, 1.0):
        value = torch.tensor(v, requires_grad=True)
        bound.penalty(value).backward()
    assert float(value.grad) == pytest.approx(3 * 0.45 / 1.45**2, rel=1e-5)


# A model of one number: the mean of a normal sample is asked for, and kept below a bound.


class Number(nn.Module):
    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor([start]))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.value.expand(len(x), 1)


def squares(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return weighted_mean((outputs[:, 0] - target).square(), weight)


def size(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return weighted_mean(outputs[:, 0], weight)


def sample(count: int, seed: int) -> Dataset:
    target = 1 + torch.randn(count, generator=torch.Generator().manual_seed(seed))
    return Dataset(torch.zeros(count, 1), target, torch.ones(count))


SETTINGS = Training(epochs=16, batch_size=50, learning_rate=5e-3, devices=1)


def test_fit_ends_at_the_bound_with_its_price(tmp_path: Path) -> None:
    objective = Constrained(squares, {"size": Constraint.at_most(size, 0.5)})
    model = Number()
    data, held = sample(4000, 1), sample(1000, 2)
    history = fit(model, objective, data, held, SETTINGS, folder=tmp_path, progress=False)
    best = next(epoch for epoch in history if epoch.best)
    assert best.violation == 0
    assert best.constraints["size"] == pytest.approx(float(model.value.detach()), rel=1e-6)
    # What is kept is the end, where the multiplier has settled, and not the epoch of 5% too much
    # that has the lowest primary loss.
    assert float(model.value.detach()) == pytest.approx(0.5, abs=0.005)
    # 2 (mean - 0.5) = lambda / scale; the mean is 1 +- 1/sqrt(4000), Adam goes around by its step.
    assert objective.multipliers["size"] == pytest.approx(0.5**0.5, abs=0.15)
    assert best.validation_loss == pytest.approx(
        float(squares(model(held.inputs), held.target, held.weight).detach()), rel=1e-5
    )
    assert not objective.training


def test_the_epoch_is_the_last_that_holds() -> None:
    rows = [
        {"validation_loss": 0.1, "violation": 0.3},
        {"validation_loss": 0.5, "violation": 0.0},
        {"validation_loss": 0.4, "violation": 0.0},
        {"validation_loss": 0.4, "violation": 0.0},
    ]
    assert module.best_epoch(rows) == 3
    assert module.best_epoch([*rows, rows[0]]) == 3
    assert module.best_epoch(rows[:1]) == 0
    assert module.best_epoch([{"validation_loss": 0.0, "violation": 0.4}, *rows[:1]]) == 1


def test_violations_count_beyond_the_tolerance() -> None:
    objective = Constrained(
        squares,
        {"a": Constraint.equal(size, 2.0), "b": Constraint.between(size, -1.0, 4.0)},
        tolerance=0.1,
    )
    assert objective.violation({"a": 2.19, "b": -1.3}) == 0
    assert objective.violation({"a": 2.4, "b": 0.0}) == pytest.approx(0.1)
    assert objective.violation({"a": 2.0, "b": 5.2}) == pytest.approx(0.2)
    # What may be chance is no violation: two errors of .15 are 15% of 2.
    assert objective.violation({"a": 2.4, "b": 0.0}, {"a": 0.15, "b": 0.0}) == pytest.approx(0.05)


def test_a_killed_training_resumes_to_the_same_bits(tmp_path: Path, monkeypatch) -> None:
    def run(folder: str, *, resume: bool = False) -> tuple[list[Any], list[module.Epoch]]:
        objective = Constrained(squares, {"size": Constraint.at_most(size, 0.5)})
        model = Number(0.3)
        history = fit(
            model, objective, sample(1000, 1), sample(300, 2), SETTINGS,
            folder=tmp_path / folder, seed=3, resume=resume, progress=False,
        )  # fmt: skip
        last = torch.load(tmp_path / folder / "last.ckpt", weights_only=True)
        numbers = [value.tolist() for value in last["state_dict"].values()]
        return [*numbers, float(model.value.detach()), objective.multipliers["size"]], history

    expected, history = run("whole")
    start = module.Module.on_train_epoch_start

    def die(self: module.Module) -> None:
        if self.current_epoch == 5:
            raise RuntimeError("killed")
        start(self)

    monkeypatch.setattr(module.Module, "on_train_epoch_start", die)
    with pytest.raises(RuntimeError, match="killed"):
        run("cut")
    monkeypatch.undo()
    found, again = run("cut", resume=True)
    assert found == expected
    for before, after in zip(history, again, strict=True):
        assert (before.validation_loss, before.constraints, before.best) == (
            after.validation_loss, after.constraints, after.best,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constraint(size, 2.0, 1.0), "bounds 2 to 1 constrain nothing"),
        (lambda: Constraint(size, -math.inf, math.inf), "constrain nothing"),
        (lambda: Constraint.equal(size, 1.0, damping=0.0), "damping of a constraint is 0"),
        (lambda: Constraint.equal(size, 1.0, scale=0.0), "scale of a constraint is 0"),
        (lambda: Constrained(squares, {}), "no constraint is given"),
    ],
)
def test_nonsense_is_a_sentence(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
