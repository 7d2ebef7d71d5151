"""How much searches without a model improve the significance, on our own LHC Olympics events.

    python benchmarks/anomaly.py --events "FOLDER/*.parquet" --work WORK --trainings 3

The events are files of `colliderkit generate lhco-qcd` and `lhco-signal` with ``--detector``, of
any number; `--shares` of the QCD events are the data and the template of the bounds, the rest and
half of the signal are the tests. The signal is injected with S / sqrt(B) = 2.2 in the signal
region, as in the public benchmark: with fewer events its S / B is larger. Methods, features as they
are and features that follow the mass, trainings: each in turn, kept in WORK as soon as it is done,
and a second run goes on from there.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.files import atomic_file
from colliderkit.methods.method import versions
from colliderkit.metrics.significance import over_trainings
from colliderkit.sources.datasets.hidden_dijets import HiddenDijets, in_region
from colliderkit.sources.datasets.lhc_olympics import PUBLISHED, read_dijets
from colliderkit.studies.lhc_olympics import NAMES, Scale, scored
from colliderkit.training.settings import Training
from comparison import Answer, row, save

COMMAND = "python benchmarks/anomaly.py --events FILES --work WORK"
STRENGTH = 2.2
Found = dict[str, dict[str, list[dict[str, float]]]]


def read(pattern: str, shares: tuple[float, float]) -> HiddenDijets:
    """Read all events and divide them."""
    events = read_dijets(pattern)
    kinds = [events.at(events.label == kind) for kind in (0, 1)]
    # Files follow one another: their order says nothing more.
    mixed = [kind.at(np.random.default_rng(3).permutation(len(kind))) for kind in kinds]
    return HiddenDijets.of(*mixed, shares)


def kept(path: Path, scale: Scale, name: str, events: HiddenDijets, seed: int) -> dict[str, float]:
    """Return what a file holds of one training, made first where there is none."""
    if not path.is_file():
        begin = time.process_time()
        best = scored(scale, name, events, STRENGTH, seed).largest
        made = {"sic": best.value, "error": best.error, "cpu_s": time.process_time() - begin}
        with atomic_file(path) as part:
            part.write_text(json.dumps(made | {"load": os.getloadavg()[0]}))
        print(f"{path.name}: {best}, {made['cpu_s']:.0f} CPU s", flush=True)
    found: dict[str, float] = json.loads(path.read_text())
    return found


def compared(found: Found, about: str, **rest: Any) -> list[Answer]:
    """Return the rows of all methods and what is asked of them."""
    rows, middle = [], {}
    for variant, each in found.items():
        for name, trainings in each.items():
            band = over_trainings([one["sic"] for one in trainings])
            counting = float(np.mean([one["error"] for one in trainings]))
            middle[variant, name] = band.median
            rows.append(
                row(
                    f"{name}, {variant} features: max SIC, median (16-84%:"
                    f" {band.low:.3g} to {band.high:.3g}); {about}",
                    band.median, PUBLISHED[variant][name], None, counting,
                    unit="SIC; published: 2109.00546, all of the public set", **rest,
                )
            )  # fmt: skip
    plain, moved = (
        {name: middle[variant, name] for name in NAMES} for variant in ("default", "shifted")
    )
    kept_of = {name: moved[name] / plain[name] for name in NAMES}
    lost = kept_of["idealised"] - kept_of["cathode"]
    asked = (
        ("CATHODE over the idealised bound, default", plain["cathode"] / plain["idealised"],
         ">= 0.9"),
        ("ANODE over the weaker of CATHODE and CWoLa hunting, default",
         plain["anode"] / min(plain["cathode"], plain["cwola"]), "<= 1"),
        ("CWoLa hunting over the weaker of CATHODE and ANODE, shifted",
         moved["cwola"] / min(moved["cathode"], moved["anode"]), "<= 1"),
        ("CATHODE's relative loss by the shift beyond the idealised bound's", lost, "<= 0.15"),
        ("idealised bound, default, over 15.1", plain["idealised"] / 15.1, ">= 1"),
        ("supervised bound, default, over 17", plain["supervised"] / 17, ">= 1"),
    )  # fmt: skip
    return rows + [
        row(f"{what}; {about}", value, None, value, None, unit="ratio", bar=bar, **rest)
        for what, value, bar in asked
    ]


def main() -> None:
    """Train what is not trained yet, and write benchmarks/results/anomaly.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--trainings", type=int, default=10)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=15, help="of each flow")
    parser.add_argument("--shares", type=float, nargs=2, default=(0.5, 0.25))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    events = read(options.events, tuple(options.shares))
    flow = Training(epochs=options.epochs, batch_size=2048, learning_rate=4e-3)
    scale = Scale(
        *(len(events.background), len(events.template), len(events.test), len(events.signal)),
        floor=10,
        flow=flow,
        folds=options.folds,
        members=options.members,
    )
    variants = {"default": events, "shifted": events.moved()}
    found: Found = {variant: {name: [] for name in NAMES} for variant in variants}
    for seed in range(options.trainings):
        for variant, those in variants.items():
            for name in NAMES:
                path = options.work / f"{name}-{variant}-{seed}.json"
                found[variant][name].append(kept(path, scale, name, those, seed))
        inside = int(in_region(events.background).sum())
        about = (
            f"{inside} background events of the data in the signal region, S / sqrt(B) = {STRENGTH}"
            f" there, floor {scale.floor:g} of {int((events.test.label == 0).sum())} background"
            f" test events, {seed + 1} training(s) of {scale.folds} folds"
        )
        rest: dict[str, Any] = {"command": COMMAND, "versions": versions()}
        rows = compared(found, about, **rest)
        for variant in variants:
            seconds = [one["cpu_s"] for one in found[variant]["cathode"]]
            rows.append(
                row(
                    f"CATHODE end to end, {variant} features, {scale.folds * scale.members}"
                    f" classifiers; {about}",
                    float(np.median(seconds)) / 60, None, None, None, unit="CPU minutes", **rest,
                )
            )  # fmt: skip
        save("anomaly", rows)


if __name__ == "__main__":
    main()
