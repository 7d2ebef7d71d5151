"""Data quality: the joint rate on good runs, what is found of each kind of fault, CPU time.

    python benchmarks/data_quality.py --good 3000 --bad 200

Made runs (`sources.monitors.calorimeter`): `--good` of them are learned from and calibrated on, as
many others are judged. Bars: a joint rate of .05 +- .007; each kind of fault found not more than 2
binomial errors below the best single test at its share of the joint rate; four tests of 305 runs in
5 CPU seconds. Sizes at 50% and 95% are shown. CPU times are of one thread.
"""

import time
from typing import Any

import numpy as np

from colliderkit.methods.method import versions
from colliderkit.methods.operations.certification import Certification
from colliderkit.methods.operations.closure import ALL, counted
from colliderkit.metrics.turn_on import efficiency_of, size_at
from colliderkit.sources.monitors.calorimeter import FAULTS, made_runs
from colliderkit.studies.data_quality import SIZES
from colliderkit.training.settings import Training
from comparison import options, row, save

RATE = 0.05


def judged(method: Certification, count: int, seed: list[int], **fault: Any) -> dict[str, int]:
    """Return how many of made runs are flagged, by all tests and by each at its share."""
    found = counted(method, count, method.last_ + 1, seed, **fault)
    return {"all": found[ALL], **{name: found[name] for name in method.joint_.names}}


def cpu() -> tuple[float, float]:
    """Return the CPU seconds of four tests, and of the autoencoder, on 305 runs of 20 sections."""
    early, late = (made_runs(n, first=f, seed=[9, f]).runs for n, f in ((120, 1), (185, 121)))
    seconds = []
    for tests, epochs in (
        (("beta-binomial", "pca", "sections", "means"), 1),
        (("autoencoder",), 30),
    ):
        begin = time.process_time()
        method = Certification(tests=tests, training=Training(epochs=epochs, batch_size=64))
        method.fit(early, progress=False).certify(late)
        seconds.append(time.process_time() - begin)
    return seconds[0], seconds[1]


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--good", type=int, default=3000)
    parser.add_argument("--bad", type=int, default=200)
    chosen = parser.parse_args()
    shared: dict[str, Any] = {
        "command": f"python benchmarks/data_quality.py --good {chosen.good} --bad {chosen.bad}",
        "versions": versions(),
        "threads": 1,
    }
    times = np.array([cpu() for _ in range(chosen.repetitions)])
    method = Certification(rate=RATE)
    method.fit(made_runs(chosen.good, seed=[1]).runs, progress=False)
    calibrated = len(method.joint_.calibration)
    good = judged(method, chosen.good, [2])
    rate = efficiency_of(good["all"], chosen.good)
    error = float(np.hypot(rate.error, (RATE * (1 - RATE) / calibrated) ** 0.5))
    rows = [
        row(f"joint rate on {chosen.good} good runs, calibrated on {calibrated}", rate.value, RATE,
            abs(rate.value - RATE) / 0.007, error / 0.007, unit="", bar="<= 1", error=error,
            **shared)
    ]  # fmt: skip
    for i, kind in enumerate(FAULTS):
        found = [
            judged(method, chosen.bad, [3, i, j], fault=kind, size=size)
            for j, size in enumerate(SIZES[kind])
        ]
        # The size at which the best test is the farthest above all together.
        short, size, single = max(
            (
                (f[name] - f["all"]) / chosen.bad / efficiency_of(f["all"], chosen.bad).error,
                size,
                name,
            )
            for f, size in zip(found, SIZES[kind], strict=True)
            for name in f
            if name != "all"
        )
        best = max(found[-1], key=lambda n, f=found: (n != "all") * sum(x[n] for x in f))
        sizes = {
            f"{name} at {level:.0%}": str(
                size_at(SIZES[kind], [f[n] for f in found], chosen.bad, level)
            )
            for name, n in (("all", "all"), (best, best))
            for level in (0.5, 0.95)
        }
        for level in (0.5, 0.95):
            value = size_at(SIZES[kind], [f["all"] for f in found], chosen.bad, level)
            rows.append(
                row(f"{kind}: size found at {level:.0%}, all tests", value.value, None, None,
                    None if value.lower_limit else value.error, unit=FAULTS[kind][0], **shared)
            )  # fmt: skip
        rows.append(
            row(f"{kind}: binomial errors below the best single test, worst size", short, 2.0,
                short / 2, 0.5, unit="", bar="<= 1", at=size, test=single, sizes=sizes, **shared)
        )  # fmt: skip
    for name, seconds, bar in (
        ("four tests, fit and certify 305 runs", times[:, 0], 5.0),
        ("autoencoder, train 30 epochs and certify 305 runs", times[:, 1], None),
    ):
        mean, spread = float(seconds.mean()), float(seconds.std(ddof=1))
        rows.append(
            row(name, mean, bar, None if bar is None else mean / bar,
                spread if bar is None else spread / bar, unit="CPU s",
                **({} if bar is None else {"bar": "<= 1"}), **shared)
        )  # fmt: skip
    save("data_quality", rows)


if __name__ == "__main__":
    main()
