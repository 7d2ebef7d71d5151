"""The anomaly trigger: rates after updates, what integers cost, events a second on one core.

    python benchmarks/anomaly_trigger.py --updates 40

A trigger for one in a thousand of a stream (the toy of `sources.toys.trigger`), each threshold set
by 100,000 events, its rate measured in 100,000 others: within 10% and two counting errors, of the
threshold and of the measurement. Times are CPU times of onnxruntime on one thread.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.methods.method import versions
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.methods.search.trigger import Trigger
from colliderkit.serve.trigger import export_trigger, scores, speed
from colliderkit.sources.toys.trigger import COLUMNS, SIGNALS, signal, stream, table
from colliderkit.training.settings import Training
from comparison import options, row, save

TARGET, INPUT_RATE, EVENTS = 1_000.0, 1_000_000.0, 100_000
TRAINING = Training(epochs=5, batch_size=512, learning_rate=2e-3, schedule="cosine")


def steady(trigger: Trigger, updates: int, seed: int) -> tuple[list[float], list[float]]:
    """Return rate / target after each update of a steady stream, and its error."""
    found, errors = [], []
    for i in range(updates):
        trigger.update(table(stream(EVENTS, seed=[10, i, seed])))
        rate = trigger.rate(table(stream(EVENTS, seed=[11, i, seed])))
        found.append(rate.value / TARGET)
        errors.append(float(np.hypot(rate.error, trigger.expected().error)) / TARGET)
    return found, errors


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="of the streams of the updates")
    chosen = parser.parse_args()
    shared: dict[str, Any] = {
        "command": f"python benchmarks/anomaly_trigger.py --updates {chosen.updates}"
        f" --seed {chosen.seed}",
        "versions": versions(),
        "threads": 1,
    }
    method = Autoencoder(latent=8, features=COLUMNS, training=TRAINING)
    events = table(stream(2 * EVENTS, seed=1))
    trigger = Trigger(method, target=TARGET, input_rate=INPUT_RATE)
    trigger.fit(events, seed=0, progress=False)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        kept: dict[str, dict[str, float]] = {}
        for name, bits in (("floats", None), ("16 bits", 16), ("8 bits", 8)):
            done = export_trigger(trigger, Path(folder) / f"{name}.onnx", events, bits=bits)
            kept[name] = {
                which: float((scores(done.path, x) > done.threshold).sum())
                for which, x in signals().items()
            }
            throughput, latency = speed(done.path, events)
            rate, one, bar = throughput.value, 1e3 * latency.value, 20_000
            rows.append(
                row(f"throughput in batches, {name}", rate, bar, rate / bar, throughput.error / bar,
                    unit="events/s/core", bar=">= 1", **shared)
            )  # fmt: skip
            rows.append(
                row(f"latency of one event, {name}", one, 1.0, one, 1e3 * latency.error,
                    unit="ms", bar="<= 1", **shared)
            )  # fmt: skip
            for which, count in kept[name].items():
                if name != "floats" and (floats := kept["floats"][which]) >= 50:
                    # Counting of what is kept, as if the two were different events.
                    rows.append(
                        row(f"efficiency, {which}, {name} over floats", count, floats,
                            count / floats, (2 / floats) ** 0.5, unit="events", **shared)
                    )  # fmt: skip
    found, errors = steady(trigger, chosen.updates, chosen.seed)
    beyond = [(abs(x - 1) - 0.1) / e for x, e in zip(found, errors, strict=True)]
    within, mean = float(np.mean(np.array(beyond) < 2)), float(np.mean(found))
    # A right threshold is beyond both in 1 of 100 updates.
    name = f"share of {chosen.updates} updates within 10% and two counting errors of the target"
    rest = {"rates": found, "errors": errors, "worst": max(beyond)}
    first = row(name, within, 0.95, within / 0.95, None, unit="", bar=">= 1", **rest, **shared)
    spread = float(np.mean(errors)) / len(found) ** 0.5
    second = row("mean rate over the target", mean, 1.0, mean, spread, unit="", **shared)
    rows = [first, second, *rows]
    save("anomaly_trigger", rows)


def signals() -> dict[str, Any]:
    """Return tables of the signals."""
    return {name: table(signal(name, EVENTS, seed=[2, i])) for i, name in enumerate(SIGNALS)}


if __name__ == "__main__":
    main()
