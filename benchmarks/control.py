"""Control: a policy beside Bayesian optimisation, a knapsack and its bound, and Cheetah's optics.

    python benchmarks/control.py --trials 20 --fills 500

The beam of ARES-EA on 20 fixed held-out trials of 50 measurements each: the error of the best
settings so far, of a policy trained by back-propagation, of PPO, and of the searches, with the CPU
time of each training and of each measurement. Prescales on held-out fills: value and sections over
the budget of policies against a knapsack that is tuned on the same trials, and one at 95% of the
budget, in the same fills; what is left to a knapsack that knows the rates. Each training with
three seeds. The optics beside Cheetah (GPL-3; left out where it is not installed).
"""

import time
from typing import Any

import numpy as np
import torch

from colliderkit.methods.method import versions
from colliderkit.methods.operations.bayesian_optimisation import BayesianOptimisation
from colliderkit.methods.operations.bounds import clairvoyant, reachable
from colliderkit.methods.operations.controller import Controller, Session
from colliderkit.methods.operations.differentiable_policy import DifferentiablePolicy
from colliderkit.methods.operations.greedy_knapsack import GreedyKnapsack
from colliderkit.methods.operations.nelder_mead import NelderMead
from colliderkit.methods.operations.ppo_policy import PPOPolicy
from colliderkit.methods.operations.random_search import RandomSearch
from colliderkit.report.control import quantile
from colliderkit.sources.machines.beam_tuning import DRIFTS, MICRON, BeamTuning
from colliderkit.sources.machines.prescales import Prescales
from comparison import options, row, save

SEEDS = (0, 1, 2)
MEASUREMENTS = 50
Sessions = dict[str, list[Session]]


def operated(
    methods: dict[str, list[Controller]], train: Any, test: Any, **keywords: Any
) -> tuple[Sessions, dict[str, float], dict[str, float]]:
    """Fit and let operate; return sessions, CPU seconds of a fit, and of a session's reading."""
    done: Sessions = {}
    fits, readings = {}, {}
    for name, each in methods.items():
        for seed, method in enumerate(each):
            method.fit(train, seed=seed, progress=False)
            begin = time.process_time()
            session = method.session(test, **keywords)
            readings[name] = (time.process_time() - begin) / session.costs.size
            done.setdefault(name, []).append(session)
        fits[name] = float(np.mean([method.cpu_ for method in each]))
        print(f"  {name}: {fits[name]:.0f} CPU s a fit", flush=True)
    return done, fits, readings


def beam(trials: int, iterations: int, steps: int, shared: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of beam tuning."""
    machine = BeamTuning()
    train, test = machine.draw(20_000, [0, 1]), machine.draw(trials, [0, 2])
    done, fits, readings = operated(
        {
            "differentiable policy": [DifferentiablePolicy(iterations=iterations) for _ in SEEDS],
            "PPO policy": [PPOPolicy(steps=steps) for _ in SEEDS],
            "Bayesian optimisation": [BayesianOptimisation()],
            "Nelder-Mead": [NelderMead()],
            "random search": [RandomSearch()],
        },
        train,
        test,
        measurements=MEASUREMENTS,
    )
    reached = {
        name: np.stack([session.best("error")[-1] / MICRON for session in each])
        for name, each in done.items()
    }
    rows = []
    for label, share in (("median", 0.5), ("84% quantile", 0.84)):
        search = quantile(reached["Bayesian optimisation"][0], share)
        for name, each in reached.items():
            if name == "Bayesian optimisation":
                continue
            found = [quantile(one, share) for one in each]
            value = float(np.mean([v.value for v in found]))
            seeds = float(np.std([v.value for v in found], ddof=1)) if len(found) > 1 else 0.0
            error = float(np.hypot(found[0].error, seeds / len(found) ** 0.5))
            ratio = value / search.value
            spread = ratio * float(np.hypot(error / value, search.error / search.value))
            rows.append(
                row(f"error after {MEASUREMENTS} measurements, {label}, {name} over Bayesian"
                    " optimisation", value, search.value, ratio, spread, unit="µm",
                    bar="<= 1" if name == "differentiable policy" else None,
                    each=[v.value for v in found], **shared)
            )  # fmt: skip
    bound = reachable(machine, test) / MICRON
    rows.append(
        row("least error within reach, median", float(np.median(bound)), None, None, None,
            unit="µm", **shared)
    )  # fmt: skip
    wrong = float(sum(s.violations.sum() for each in done.values() for s in each))
    rows.append(row("settings outside of their limits", wrong, None, wrong, None, unit="",
                    bar="<= 0", **shared))  # fmt: skip
    for name in done:
        rows.append(
            row(f"CPU of a training, {name}", fits[name], None, None, None, unit="s",
                **shared)
        )  # fmt: skip
        rows.append(
            row(f"CPU of a measurement, {name}", 1e3 * readings[name], None, None, None,
                unit="ms", **shared)
        )  # fmt: skip
    return rows


def prescales(fills: int, iterations: int, steps: int, shared: dict[str, Any]) -> list[Any]:
    """Return the rows of prescales: paired differences in the same fills."""
    machine = Prescales()
    train, test = machine.draw(20_000, [0, 1]), machine.draw(fills, [0, 2])
    of: dict[str, Any] = {"machine": "prescales"}
    # More than the knapsack is tuned with, to end at fewer sections over than it.
    careful: dict[str, Any] = {**of, "options": {"penalty": 3.0}}
    done, fits, _ = operated(
        {
            "differentiable policy": [
                DifferentiablePolicy(**careful, iterations=iterations, batch_size=128, window=64)
                for _ in SEEDS
            ],
            "PPO policy": [PPOPolicy(**careful, steps=steps, learning_rate=3e-4) for _ in SEEDS],
            "tuned knapsack": [GreedyKnapsack()],
            "knapsack at 95%": [GreedyKnapsack(target=0.95)],
        },
        train,
        test,
    )
    bound = clairvoyant(machine, test).mean(0)
    rows = []
    for peer in ("tuned knapsack", "knapsack at 95%"):
        (other,) = done[peer]
        for name in ("differentiable policy", "PPO policy"):
            for figure, bar in (("value", ">= 1, by two errors"), ("over", "<= 1")):
                each = [s.figures[figure].mean(0) for s in done[name]]
                reference = other.figures[figure].mean(0)
                difference = np.mean(each, axis=0) - reference
                seeds = np.std([x.mean() for x in each], ddof=1) / len(each) ** 0.5
                error = float(np.hypot(difference.std(ddof=1) / len(test) ** 0.5, seeds))
                ours, theirs = float(np.mean(each)), float(reference.mean())
                sigma = float(difference.mean() / error)
                judged = sigma > 2 if figure == "value" else ours <= theirs
                is_first = name == "differentiable policy"
                rows.append(
                    row(f"{figure} a section, {name} over {peer}", ours, theirs, ours / theirs,
                        error / theirs, unit="", sigma=sigma,
                        bar=bar if is_first else None,
                        met=judged if is_first else None,
                        each=[float(x.mean()) for x in each], **shared)
                )  # fmt: skip
    best = float(np.mean([s.figures["value"].mean() for s in done["differentiable policy"]]))
    base = float(done["tuned knapsack"][0].figures["value"].mean())
    closed = (best - base) / (float(bound.mean()) - base)
    rows.append(
        row("value a section, differentiable policy over the clairvoyant bound", best,
            float(bound.mean()), best / float(bound.mean()), None, unit="", gap_closed=closed,
            **shared)
    )  # fmt: skip
    wrong = float(sum(s.violations.sum() for each in done.values() for s in each))
    rows.append(row("prescales outside of their limits", wrong, None, wrong, None, unit="",
                    bar="<= 0", **shared))  # fmt: skip
    for name in ("differentiable policy", "PPO policy"):
        rows.append(
            row(f"CPU of a training on prescales, {name}", fits[name], None, None, None,
                unit="s", **shared)
        )  # fmt: skip
    return rows


def optics(repetitions: int, shared: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows beside Cheetah: the largest difference, and the time of 1,024 beams."""
    try:
        import cheetah
    except ImportError:
        print("  cheetah is not installed; its rows are left out", flush=True)
        return []
    machine = BeamTuning(noise=0.0)
    conditions = torch.from_numpy(machine.draw(1_024, 5))
    random = torch.Generator().manual_seed(1)
    settings = machine.unscaled(2 * torch.rand(1_024, 5, generator=random, dtype=torch.float64) - 1)
    of = dict(zip(machine.conditions, conditions.T, strict=True))

    def theirs() -> torch.Tensor:
        elements = []
        for length, name, value in zip(DRIFTS, machine.settings, settings.T, strict=False):
            elements.append(cheetah.Drift(torch.tensor(length, dtype=torch.float64)))
            if name[0] == "q":
                off = torch.stack([of[f"{name}_x"], of[f"{name}_y"]], 1)
                one = torch.tensor(0.122, dtype=torch.float64)
                element = cheetah.Quadrupole(one, k1=value, misalignment=off, dtype=torch.float64)
            else:
                kind = cheetah.VerticalCorrector if name == "cv" else cheetah.HorizontalCorrector
                element = kind(torch.tensor(0.02, dtype=torch.float64), angle=value)
            elements.append(element)
        elements.append(cheetah.Drift(torch.tensor(DRIFTS[-1], dtype=torch.float64)))
        small = torch.full((1_024,), 1e-6, dtype=torch.float64)
        beam = cheetah.ParameterBeam.from_parameters(
            **{f"mu_{a}": of[f"mean_{a}"] for a in "xy"},
            **{f"mu_p{a}": of[f"angle_{a}"] for a in "xy"},
            **{f"sigma_{a}": of[f"size_{a}"] for a in "xy"},
            **{f"sigma_p{a}": of[f"divergence_{a}"] for a in "xy"},
            **{"sigma_tau": small, "sigma_p": small, "energy": 1e14 * small},
            dtype=torch.float64,
        )
        segment = cheetah.Segment(elements)
        begin = time.process_time()
        seen = segment.track(beam)
        times["cheetah"].append(time.process_time() - begin)
        screen = torch.stack([of["screen_x"], of["screen_y"]], 1)
        return torch.cat([torch.stack([seen.mu_x, seen.mu_y], 1) - screen,
                          torch.stack([seen.sigma_x, seen.sigma_y], 1)], 1)  # fmt: skip

    times: dict[str, list[float]] = {"ours": [], "cheetah": []}
    with torch.no_grad():
        for _ in range(max(3, repetitions) + 1):
            begin = time.process_time()
            ours = machine.beam(conditions, settings)
            times["ours"].append(time.process_time() - begin)
            peer = theirs()
    worst = float((ours - peer).abs().max())
    ratios = np.array(times["ours"][1:]) / np.array(times["cheetah"][1:])
    return [
        row("largest difference to Cheetah, 1,024 beams", worst, 1e-12, worst / 1e-12, None,
            unit="m", bar="<= 1", **shared),
        row("CPU of 1,024 beams, over Cheetah's tracking", 1e3 * float(np.median(times["ours"])),
            1e3 * float(np.median(times["cheetah"])), float(np.median(ratios)),
            float(ratios.std(ddof=1)), unit="ms", bar="<= 1", **shared),
    ]  # fmt: skip


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--fills", type=int, default=500)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--steps", type=int, default=1_000_000)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    shared: dict[str, Any] = {
        "command": f"python benchmarks/control.py --trials {chosen.trials} --fills {chosen.fills}"
        f" --iterations {chosen.iterations} --steps {chosen.steps}",
        "versions": versions(),
        "threads": 1,
    }
    rows = optics(chosen.repetitions, shared)
    rows += beam(chosen.trials, chosen.iterations, chosen.steps, shared)
    save("control", rows)
    rows += prescales(chosen.fills, chosen.iterations, chosen.steps, shared)
    save("control", rows)


if __name__ == "__main__":
    main()
