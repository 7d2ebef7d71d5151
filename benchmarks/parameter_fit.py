"""Parameters of Pythia from particles: blinded data sets, DCTR's published fits, and coverage.

    python benchmarks/parameter_fit.py --work FOLDER

The ratio is trained on 200,000 jets over the ranges and 100,000 at the nominal point; data sets
of 10,000 jets, 20 blinded ones for each parameter alone and 20 for all three together. Errors are
of statistics and of the learned ratio, the latter from validation data sets that are not the
blinded ones. What stands in FOLDER is not made again.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from colliderkit.files import atomic_file
from colliderkit.methods.inference.dijets import (
    Size,
    fit_arguments,
    fit_of,
    measured,
    names_of,
    particle_ratio,
    table_coverage,
    training_data,
)
from colliderkit.methods.inference.estimates import Estimate, EstimateCalibration
from colliderkit.methods.inference.experiments import Experiments, coverages, normal_coverage
from colliderkit.methods.method import versions
from colliderkit.methods.ratio import Ratio
from colliderkit.sources.datasets import dijets
from comparison import row, save

COMMAND = "python benchmarks/parameter_fit.py --work FOLDER"
SIZE = Size(200_000, 10)
REFERENCE, DATA, PUBLISHED_DATA = 100_000, 10_000, 20_000
BLINDED, VALIDATION, TOGETHER = 20, 12, 32
TOYS = 300
BARS = {"1 sigma": ">= 0.6", "2 sigma": ">= 0.9"}


def kept(work: Path, name: str, measure: Any) -> Any:
    """Return a measurement, from FOLDER if it is there."""
    path = work / f"{name}.json"
    if not path.exists():
        begin = time.process_time()
        found = {"found": measure(), "cpu_s": time.process_time() - begin}
        with atomic_file(path) as part:
            part.write_text(json.dumps(found))
        print(name, f"{found['cpu_s']:.0f} CPU s", flush=True)
    return json.loads(path.read_text())["found"]


def trained(work: Path) -> Ratio:
    """Return the ratio of particles, trained once."""
    folder = work / "models" / "ratio"
    if not folder.exists():
        arguments = fit_arguments(*training_data(work / "data", SIZE))
        particle_ratio(SIZE).fit(**arguments, seed=0).save(folder)
    return Ratio.load(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="keeps what was made")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    work, folder = chosen.work, chosen.work / "data"
    ratio = trained(work)
    reference = dijets.events_over(folder, "reference", REFERENCE, 4, scanned=False)
    shared: dict[str, Any] = {
        "command": COMMAND,
        "versions": versions(),
        "threads": chosen.threads,
    }
    rows = []
    for which in dijets.TARGETS:
        fit = fit_of(ratio, which, reference)
        sets = {}
        for kind, count in (
            ("validation", TOGETHER if which == "all" else VALIDATION),
            ("blinded", BLINDED),
        ):
            plain = kept(
                work,
                f"{kind}-{which}",
                lambda fit=fit, kind=kind, which=which, count=count: measured(
                    fit, folder, kind, which, count, DATA
                ),
            )
            sets[kind] = Experiments.of(plain)
        validation, blinded = sets["validation"], sets["blinded"]
        calibration = EstimateCalibration().fit(validation.estimates, validation.truth)
        truth = blinded.truth
        corrected = [calibration.correct(estimate) for estimate in blinded.estimates]
        for i, name in enumerate(names_of(which)):
            title = f"{name}, all three together" if which == "all" else f"{name} alone"
            for text, estimates in (("calibrated", corrected), ("statistics", blinded.estimates)):
                pull = blinded.pulls(estimates)[:, i]
                error = float(np.mean([estimate.error[i] for estimate in estimates]))
                for key, share in coverages(pull).items():
                    if key not in BARS:
                        continue
                    rows.append(
                        row(
                            f"blinded {title}: within {key}, {text}",
                            share.share,
                            None,
                            share.share,
                            share.value.error,
                            unit="share",
                            bar=BARS[key] if text == "calibrated" else None,
                            data_sets=len(pull),
                            mean_error=error,
                            mean_pull=float(pull.mean()),
                            spread_of_pulls=float(pull.std(ddof=1)),
                            **shared,
                        )
                    )
        rows += published(work, which, fit, calibration, shared)
        if which in dijets.BLINDED:
            true, theirs, their_error = dijets.BLINDED[which]
            first = corrected[0]
            rows.append(
                row(
                    f"{which}, first blinded data set: found minus true (published: {true:g})",
                    float(first.theta[0] - truth[0, 0]),
                    theirs - true,
                    None,
                    float(first.error[0]),
                    unit="",
                    peer_error=their_error,
                    true=float(truth[0, 0]),
                    **shared,
                )
            )
    rows += covered(work, folder, shared)
    save("parameter_fit", rows)


def published(
    work: Path, which: str, fit: Any, calibration: EstimateCalibration, shared: dict[str, Any]
) -> list[Any]:
    """Fit data sets at the published values."""
    truth = dijets.point(dijets.TARGETS[which])

    def measure() -> Any:
        data = dijets.events_at(work / "data", f"published-{which}", PUBLISHED_DATA, 3, truth)
        found = fit.estimate(data)
        profiles = {name: found.profile(name) for name in found.names}
        return {
            "theta": found.theta.tolist(),
            "covariance": found.covariance.tolist(),
            "bootstrap": found.bootstrap(400, seed=0).std(0, ddof=1).tolist(),
            "profile": {name: [p.low, p.high] for name, p in profiles.items()},
        }

    content = kept(work, f"published-{which}", measure)
    theta, covariance = np.array(content["theta"]), np.array(content["covariance"])
    estimate = Estimate(tuple(names_of(which)), theta, covariance)
    corrected = calibration.correct(estimate)
    rows = []
    for i, name in enumerate(names_of(which)):
        true = dijets.TARGETS[which][name]
        title = f"{name} = {true:g}" + (" of all three" if which == "all" else "")
        low, high = content["profile"][name]
        theirs = dijets.PUBLISHED[which][name]
        rows.append(
            row(
                f"{title}, by gradient, calibrated",
                float(corrected.theta[i]),
                theirs,
                None,
                float(corrected.error[i]),
                unit="",
                true=true,
                uncalibrated=float(estimate.theta[i]),
                statistics=float(estimate.error[i]),
                bootstrap=content["bootstrap"][i],
                profile=[low, high],
                published_by_scan=dijets.SCANNED[name] if which != "all" else None,
                source=dijets.SOURCE,
                **shared,
            )
        )
    return rows


def covered(work: Path, folder: Path, shared: dict[str, Any]) -> list[Any]:
    """Count how often intervals hold the truth: Gaussian toy, and observables of the jets."""
    rows = []
    toys = kept(
        work,
        "toys",
        lambda: [
            [name, level, c.inside, c.experiments, c.low, c.high]
            for name, level, c in normal_coverage(TOYS)
        ],
    )
    for name, level, inside, experiments, low, high in toys:
        share = inside / experiments
        rows.append(
            row(
                f"coverage of {level:.0%} intervals, N(mean, 1), {name} ratio",
                share,
                level,
                None,
                (high - low) / 2,
                unit="share",
                bar=None if name == "learned" else "nominal within twice the counting error",
                met=None if name == "learned" else abs(share - level) < high - low,
                experiments=experiments,
                **shared,
            )
        )

    def measure() -> Any:
        found, corrected = table_coverage(folder, SIZE, REFERENCE, (VALIDATION, BLINDED), DATA)
        return {
            "statistics": found.pulls()[:, 0].tolist(),
            "calibrated": found.pulls(corrected)[:, 0].tolist(),
            "error": float(np.mean([e.error[0] for e in corrected])),
        }

    content = kept(work, "observables", measure)
    for text in ("statistics", "calibrated"):
        pull = np.array(content[text])
        for key, share in coverages(pull).items():
            nominal = {"1 sigma": 0.6827, "2 sigma": 0.9545, "95%": 0.95}[key]
            judged = text == "calibrated"
            rows.append(
                row(
                    f"coverage of {key}, alphaS from observables, {text}",
                    share.share,
                    nominal,
                    None,
                    share.value.error,
                    unit="share",
                    bar="nominal within twice the counting error" if judged else None,
                    met=abs(share.share - nominal) < share.high - share.low if judged else None,
                    experiments=len(pull),
                    mean_error=content["error"],
                    **shared,
                )
            )
    return rows


if __name__ == "__main__":
    main()
