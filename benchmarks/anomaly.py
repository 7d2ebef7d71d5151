"""How much searches without a model improve the significance, on our own LHC Olympics events.

    python benchmarks/anomaly.py --events "FOLDER/*.parquet" --work WORK --trainings 3

The events are files of `colliderkit generate lhco-qcd` and `lhco-signal` with ``--detector``, of
any number; `--shares` of the QCD events are the data and the template of the bounds, the rest and
half of the signal are the tests. The signal is injected with S / sqrt(B) = 2.2 in the signal
region, as in the public benchmark: with fewer events its S / B is larger. Methods, features as they
are and features that follow the mass, trainings: each in turn, kept in WORK as soon as it is done,
and a second run goes on from there.

    python benchmarks/anomaly.py --time 120000 --work WORK

measures CATHODE end to end instead, as it is by default, on the toy of sources/toys/resonance.py
with so many events in the signal region; its row stands beside the others.
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
from colliderkit.methods.search.resonant.cathode import Cathode
from colliderkit.metrics.significance import max_improvement, over_trainings
from colliderkit.sources.datasets.hidden_dijets import HiddenDijets, in_region
from colliderkit.sources.datasets.lhc_olympics import PUBLISHED, SIGNAL_REGION, read_dijets
from colliderkit.sources.toys.resonance import Resonance
from colliderkit.studies.lhc_olympics import NAMES, Scale, scored
from colliderkit.training.settings import Training
from comparison import RESULTS, Answer, row, save

COMMAND = "python benchmarks/anomaly.py --events FILES --work WORK"
STRENGTH = 2.2
FULL = 118_000  # events in the signal region, of the bar on time
TIME = "CATHODE end to end on the toy"  # begins the row of its time
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


def compared(found: Found, **rest: Any) -> list[Answer]:
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
                    f" {band.low:.3g} to {band.high:.3g})",
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
        row(what, value, None, value, None, unit="ratio", bar=bar, **rest)
        for what, value, bar in asked
    ]


def earlier() -> list[Answer]:
    """Return the rows that stand in the results."""
    path = RESULTS / "anomaly.json"
    rows: list[Answer] = json.loads(path.read_text()) if path.is_file() else []
    return rows


def timed(inside: int, work: Path) -> Answer:
    """Return the row of CATHODE's time on events of the toy; a killed run goes on."""
    toy = Resonance()
    events = toy.events(round(inside / toy.background(SIGNAL_REGION)), inside // 150, 5)
    begin = time.process_time()
    method = Cathode(signal_region=SIGNAL_REGION, members=2)  # ten classifiers in five folds
    method.fit(
        *(events.features, events.mass), folder=work / "time", resume=True, progress=False, seed=1
    )
    minutes = (time.process_time() - begin) / 60
    rows = (events.mass >= SIGNAL_REGION[0]) & (events.mass < SIGNAL_REGION[1])
    features, mass, label = events.features[rows], events.mass[rows], events.label[rows]
    ours = max_improvement(method.score_[rows], label)
    exact = max_improvement(toy.log_ratio(features, mass), label)
    classifiers = method.folds * method.members
    return row(
        f"{TIME}, {rows.sum()} events in the signal region of {len(events)}, {classifiers}"
        f" classifiers and {method.folds} flows; max SIC {ours}, of the exact ratio {exact}",
        *(minutes, 30.0, minutes / 30, None), unit="CPU minutes of one process; bar: 30 of 120,000",
        bar="<= 1" if rows.sum() > FULL else None,
        command="python benchmarks/anomaly.py --time 120000 --work WORK", versions=versions(),
    )  # fmt: skip


def main() -> None:
    """Train what is not trained yet, and write benchmarks/results/anomaly.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events")
    parser.add_argument("--time", type=int)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--trainings", type=int, default=10)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=15, help="of each flow")
    parser.add_argument("--shares", type=float, nargs=2, default=(0.5, 0.25))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.time:
        others = [one for one in earlier() if not one["quantity"].startswith(TIME)]
        save("anomaly", [*others, timed(options.time, options.work)])
        return
    if not options.events:
        parser.error("give --events, or --time")
    events = read(options.events, tuple(options.shares))
    flow = Training(epochs=options.epochs, learning_rate=4e-3)
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
        rest: dict[str, Any] = {"setup": about, "command": COMMAND, "versions": versions()}
        rows = compared(found, **rest)
        for variant in variants:
            seconds = [one["cpu_s"] for one in found[variant]["cathode"]]
            rows.append(
                row(
                    f"CATHODE end to end, {variant} features, {inside} background events in the"
                    f" signal region, {scale.folds * scale.members} classifiers",
                    float(np.median(seconds)) / 60, None, None, None, unit="CPU minutes", **rest,
                )
            )  # fmt: skip
        save("anomaly", [*rows, *(o for o in earlier() if o["quantity"].startswith(TIME))])


if __name__ == "__main__":
    main()
