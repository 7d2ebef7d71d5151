"""Controllers: knapsacks against brute force, searches on a bowl, advice, and who decides."""

import itertools
import sys

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.methods.operations.bayesian_optimisation import BayesianOptimisation
from colliderkit.methods.operations.bounds import clairvoyant, reachable
from colliderkit.methods.operations.differentiable_policy import DifferentiablePolicy
from colliderkit.methods.operations.fixed_settings import FixedSettings
from colliderkit.methods.operations.greedy_knapsack import GreedyKnapsack
from colliderkit.methods.operations.nelder_mead import NelderMead
from colliderkit.methods.operations.pi_controller import PIController
from colliderkit.methods.operations.ppo_policy import PPOPolicy
from colliderkit.methods.operations.random_search import RandomSearch
from colliderkit.sources.machines import MACHINES
from colliderkit.sources.machines.prescales import filled

BEAM, PRESCALES = (MACHINES.build(name) for name in ("beam-tuning", "prescales"))


def test_a_knapsack_is_filled_as_by_the_best_of_all_orders():
    random = np.random.default_rng(1)
    rates, worth = random.uniform(10, 500, (20, 4)), random.uniform(0, 1, (20, 4))
    budget = random.uniform(100, 1500, 20)
    kept = filled(*(torch.from_numpy(x) for x in (rates, worth, budget))).numpy()
    assert (kept.sum(1) <= budget + 1e-9).all()
    for rate, value, room, found in zip(rates, worth, budget, kept, strict=True):
        best = 0.0
        for order in itertools.permutations(range(4)):
            left, total = room, 0.0
            for k in order:
                used = min(rate[k], left)
                total, left = total + used * value[k], left - used
            best = max(best, total)
        np.testing.assert_allclose((found * value).sum(), best, rtol=1e-12)


@pytest.mark.parametrize("make", [GreedyKnapsack, PIController, FixedSettings])
def test_nothing_has_more_value_than_the_clairvoyant_knapsack(make):
    """In each section that is not over; the rates are those of the same noise."""
    options = {} if make is GreedyKnapsack else {"machine": "prescales"}
    method = make(**options).fit(PRESCALES.draw(30, 1), seed=1)
    trials = PRESCALES.draw(10, 2)
    done = method.session(trials, seed=3)
    bound = clairvoyant(PRESCALES, trials, seed=3)
    allowed = done.figures["over"] == 0
    assert allowed.mean() > 0.9
    assert (done.figures["value"] <= bound * 1.002)[allowed].all()


def test_a_loop_and_a_knapsack_hold_their_target():
    """Late in a fill without faults the mean rate is the target, to its noise."""
    trials = np.array([[900.0, 60.0, 0.0, 500.0, 1.0, 500.0]] * 20)
    for make in (PIController, GreedyKnapsack):
        method = make(machine="prescales", target=0.9).fit(trials)
        assert method.target_ == 0.9
        rate = method.session(trials, seed=1).figures["rate"][20:60]
        # Decay is 0.2% a section; a knapsack loses that, a loop half of it.
        assert 0.88 * 1000 < rate.mean() < 0.905 * 1000


def test_a_simplex_walks_down_a_bowl():
    search = NelderMead().searching(np.zeros(3), 1.0, np.random.default_rng(0))
    goal, best = np.array([0.3, -0.2, 0.5]), np.inf
    point = next(search)
    for _ in range(200):
        cost = float(np.log(np.sum((point - goal) ** 2) + 1e-12))
        best = min(best, cost)
        point = search.send((point, cost))
        assert (np.abs(point) <= 1).all()
    assert best < np.log(1e-8)


def test_bayesian_optimisation_finds_the_bottom_of_a_bowl():
    pytest.importorskip("botorch")
    search = BayesianOptimisation().searching(np.zeros(1), np.log(0.09), np.random.default_rng(0))
    point, best = next(search), np.inf
    for _ in range(10):
        cost = float(np.log(abs(point[0] - 0.3) + 1e-3))
        best = min(best, abs(point[0] - 0.3))
        point = search.send((point, cost))
    assert best < 0.05


def test_the_best_so_far_is_chosen_by_the_readings():
    method = RandomSearch().fit(BEAM.draw(5, 1))
    done = method.session(BEAM.draw(4, 2), seed=1, measurements=20)
    best = done.best("error")
    for b in range(4):
        for t in range(20):
            assert best[t, b] == done.figures["error"][np.argmin(done.costs[: t + 1, b]), b]


def test_every_target_is_within_reach_of_some_settings():
    """The bound is below what random search finds, and above nothing."""
    trials = BEAM.draw(3, 4)
    bound = reachable(BEAM, trials)
    found = RandomSearch().fit(trials).session(trials, measurements=200).best("error")[-1]
    assert (bound < found).all()
    assert (bound >= 0).all()


@pytest.fixture(scope="module")
def policy() -> DifferentiablePolicy:
    method = DifferentiablePolicy(iterations=20, batch_size=64, hidden=16, learning_rate=1e-2)
    return method.fit(BEAM.draw(500, 1), seed=1, progress=False)


def test_a_policy_learns_and_moves_by_its_steps(policy):
    trials = BEAM.draw(100, 3)
    done = policy.session(trials, seed=1)
    error = done.best("error")
    # Twenty updates are enough to halve the error of the table, in nearly all trials.
    assert np.median(error[-1] / error[0]) < 0.5
    assert policy.losses_[-1] < policy.losses_[0] - 0.5
    assert not done.violations.any()
    moved = np.abs(np.diff(done.settings, axis=0))
    assert (moved <= np.array(BEAM.change) * (1 + 1e-6)).all()


def test_advice_is_what_would_have_been_set(policy):
    """A log of a session leads to the same settings, with the gain of such costs."""
    trials = BEAM.draw(1, 5)
    done = policy.session(trials, seed=1, measurements=12)
    advice = policy.recommend(
        done.settings[:, 0], done.readings[:, 0], np.repeat(done.goals, 12, axis=0)
    )
    np.testing.assert_allclose(advice.settings[:-1], done.settings[1:, 0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(advice.cost, done.costs[:, 0], rtol=1e-12)
    assert np.isfinite(advice.gain).all()
    # Far from the target there is more to gain than near it.
    far, near = policy._gain(np.array([2e-3, 2e-6]))[0]
    assert far > near


def test_advice_is_set_by_nobody_but_a_person_who_accepts(policy):
    now = np.array(BEAM.table)
    written = []

    def read():
        return now, [1e-4, 2e-4, 1e-4, 1e-4], [0.0, 0.0, 1e-4, 1e-4]

    advice = policy.operate(read, written.append, steps=3)
    assert len(advice) == 3
    assert not written
    asked = iter([True, False, True])
    policy.operate(read, written.append, steps=3, ask=lambda advice: next(asked))
    assert len(written) == 2
    assert list(written[0]) == list(BEAM.settings)
    written.clear()
    policy.operate(read, written.append, steps=3, decide=True)
    assert len(written) == 3


def test_a_log_of_other_columns_is_refused(policy):
    with pytest.raises(InputError, match=r"settings have the shape \(2, 3\); give a row a reading"):
        policy.recommend(np.zeros((2, 3)), np.zeros((2, 4)), np.zeros((2, 4)))
    with pytest.raises(InputError, match=r"readings have the shape .*; give 2 rows, one a reading"):
        policy.recommend(np.zeros((2, 5)), np.zeros((3, 4)), np.zeros((2, 4)))


@pytest.mark.parametrize("name", MACHINES)
def test_what_cannot_be_read_leads_back_to_the_table(name, policy):
    """Whatever a controller makes of NaN, what is written is finite and within the limits."""
    machine, written = MACHINES.build(name), []
    method = policy if name == "beam-tuning" else FixedSettings(machine=name, draws=1)
    if name != "beam-tuning":
        method.fit(machine.draw(2, 1))
    broken = [np.nan] * len(machine.settings)
    goal = [np.nan] * len(machine.goals)
    method.operate(
        lambda: (broken, [np.nan] * len(machine.readings), goal),
        written.append,
        steps=2,
        decide=True,
    )
    for settings in written:
        values = np.array(list(settings.values()))
        assert (values >= machine.low).all()
        assert (values <= machine.high).all()


def test_a_controller_of_another_machine_is_refused():
    for method in (GreedyKnapsack(machine="beam-tuning"), NelderMead(machine="prescales")):
        with pytest.raises(InputError, match="is not for the machine"):
            method.fit(MACHINES.build(method.machine).draw(3, 1))
    with pytest.raises(InputError, match="is not for the machine 'reactor'"):
        FixedSettings(machine="reactor").fit(np.zeros((3, 3)))
    with pytest.raises(InputError, match="limits of q1 are inverted"):
        FixedSettings(options={"limits": {"q1": [1, -1]}}).fit(BEAM.draw(3, 1))


def test_environments_are_gymnasiums_and_end_by_truncation():
    pytest.importorskip("gymnasium")
    from gymnasium.utils.env_checker import check_env

    from colliderkit.methods.operations.environment import Environment

    for name in MACHINES:
        environment = Environment(name)
        with pytest.warns(UserWarning, match="infinity"):
            check_env(environment, skip_render_check=True)
        environment.reset(seed=1)
        steps, truncated = 0, False
        while not truncated:
            _, _, terminated, truncated, info = environment.step(
                np.full(environment.action_space.shape, np.nan)
            )
            assert not terminated
            assert info["fallback"]
            steps += 1
        assert steps == environment.machine.horizon - 1


def test_a_batch_of_environments_bootstraps_the_time_limit():
    pytest.importorskip("stable_baselines3")
    from colliderkit.methods.operations.environment import BatchedEnvironment

    batch = BatchedEnvironment(BEAM, BEAM.draw(10, 1), 3, seed=1)
    first = batch.reset()
    total = np.zeros(3)
    loss = batch.state.loss.numpy()
    for step in range(1, BEAM.horizon):
        actions = np.full((3, 5), 0.1 if step % 2 else -0.1, dtype=np.float32)
        before = batch.state
        seen, reward, done, infos = batch.step(actions)
        total += reward
        assert done.all() == (step == BEAM.horizon - 1)
    assert [info["TimeLimit.truncated"] for info in infos] == [True] * 3
    last = BEAM.step(
        before, before.seen.settings + torch.tensor(BEAM.change) * torch.tensor(actions)
    )
    ends = np.stack([info["terminal_observation"] for info in infos])
    # Of the noise of the last reading alone they differ.
    assert np.abs(ends - BEAM.observe(last.seen).numpy()).max() < 0.5
    # Rewards of steady machines sum to what the loss fell.
    np.testing.assert_allclose(total, loss - last.loss.numpy(), atol=1e-4)
    assert not np.array_equal(seen, first)  # another batch has begun


def test_what_is_not_installed_is_named(monkeypatch):
    trials = BEAM.draw(4, 1)
    monkeypatch.setitem(sys.modules, "botorch.acquisition", None)
    with pytest.raises(InputError, match=r"pip install 'colliderkit\[control\]'"):
        BayesianOptimisation(random=1).fit(trials).session(trials[:1], measurements=4)
    monkeypatch.delitem(sys.modules, "colliderkit.methods.operations.environment", raising=False)
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(InputError, match=r"pip install 'colliderkit\[control\]'"):
        PPOPolicy(steps=10, batch_size=2).fit(trials, progress=False)
