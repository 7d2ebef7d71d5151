"""The task of a parameter fit: theta of data by a learned ratio p(x | theta) / p0(x)."""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.methods.inference.estimates import Estimate
from colliderkit.methods.inference.parameter_fit import LikelihoodProfile, ParameterFit
from colliderkit.methods.method import load, saved_name
from colliderkit.methods.ratio import Ratio
from colliderkit.metrics.value import Value
from colliderkit.report.html import Report
from colliderkit.report.parameter_fit import corner, likelihood
from colliderkit.report.results import Result
from colliderkit.report.verdict import Claim
from colliderkit.tasks import runs
from colliderkit.tasks.ratio import read_sample
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["ParametersTask"]

Files = list[str] | str


class ParametersTask(Task):
    """Find parameters of data by a ratio p(x | theta) / p0(x) that was fitted before."""

    methods = ("parameter-fit",)

    def read(
        self,
        method: ParameterFit,
        reading: Reading,
        *,
        ratio: Path,
        reference: Files,
        weight: str | None = None,
    ) -> Inputs:
        """Prepare a parameter fit: a learned ratio, and the events of p0 that normalise it.

        Args:
            ratio: a folder written by fit ratio, with parameters.
            reference: ROOT, HDF5 or Parquet files of p0 that the ratio was not trained on.
            weight: an expression of the weights of the reference; else events count one.
        """
        if saved_name(ratio) != Ratio.name:
            raise InputError(f"{ratio}: holds '{saved_name(ratio)}'; give a folder of fit ratio.")
        learned: Ratio = load(ratio)
        sample = read_sample(learned, reference, reading, weight=weight)
        arguments = {"reference": sample.events, "ratio": learned, "weight": sample.weight}
        return Inputs(method, arguments)

    def evaluate(
        self,
        method: ParameterFit,
        reading: Reading,
        *,
        data: Files,
        weight: str | None = None,
        replicas: int = 200,
    ) -> Evaluation:
        """Estimate the parameters of data, with their errors, profiles and bootstrap.

        Args:
            data: files of the data.
            weight: an expression of their weights; else events count one.
            replicas: of the bootstrap.
        """
        sample = read_sample(method.ratio_, data, reading, weight=weight)
        estimate = method.estimate(sample.events, weight=sample.weight)
        bootstrap = estimate.bootstrap(replicas, seed=method.seed_)
        results, profiles = [], []
        for i, name in enumerate(estimate.names):
            value, error = float(estimate.theta[i]), float(estimate.error[i])
            results.append(Result(name, "estimate", value, error, counting=error))
            spread = float(bootstrap[:, i].std(ddof=1))
            results.append(Result(name, "error by bootstrap", spread))
            if estimate.likelihood.rule.likelihood:
                profile = estimate.profile(name)
                results += [
                    Result(name, f"{end} end, 68.27%", value)
                    for end, value in (("lower", profile.low), ("upper", profile.high))
                    if np.isfinite(value)
                ]
                profiles.append(_plain(profile))
        return Evaluation(
            f"{', '.join(estimate.names)} of {len(sample.events)} events",
            results,
            dict(zip(estimate.names, bootstrap.T, strict=True)),
            {
                "theta": estimate.theta.tolist(),
                "covariance": estimate.covariance.tolist(),
                "profiles": profiles,
            },
        )

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw profile likelihoods and, of several parameters, the bootstrap of each pair."""
        note = runs.about(evaluation)
        replicas = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        names = tuple(replicas.fields)
        estimate = Estimate(names, np.array(note["theta"]), np.array(note["covariance"]))
        values = [
            f"{name} = {theta:.5g} ± {error:.2g}"
            for name, theta, error in zip(names, estimate.theta, estimate.error, strict=True)
        ]
        page = runs.page("A parameter fit", f"{'; '.join(values)}.", model, note)
        page.claims += [
            Claim(
                f"The bootstrap agrees with the error of {name}",
                Value(float(spread), float(spread) / (2 * (len(replicas) - 1)) ** 0.5),
                "within",
                (0.8 * float(error), 1.2 * float(error)),
            )
            for name, error in zip(names, estimate.error, strict=True)
            for spread in [np.asarray(replicas[name]).std(ddof=1)]
        ]
        page.add_heading("Likelihood")
        for plain in note["profiles"]:
            page.add_figure(
                likelihood(_profile(plain)),
                f"{plain['name']}: −2 Δ ln L, the others fitted at each value.",
            )
        page.add_heading("Bootstrap")
        page.add_figure(
            corner(estimate, np.stack([np.asarray(replicas[name]) for name in names], 1)),
            "Bootstrap replicas of data and reference, with ellipses of 68% and 95% from the"
            " scores of the events.",
            wide=True,
        )
        return page


def _plain(profile: LikelihoodProfile) -> dict[str, Any]:
    """Return a profile as JSON; an end that leaves the trained range is null."""
    ends = {
        name: end if np.isfinite(end) else None
        for name, end in (("low", profile.low), ("high", profile.high))
    }
    arrays = {name: getattr(profile, name).tolist() for name in ("values", "log_likelihood")}
    return {"name": profile.name, **arrays, **ends, "confidence": profile.confidence}


def _profile(plain: dict[str, Any]) -> LikelihoodProfile:
    """Return the profile that `_plain` wrote; an end that leaves the range is that of the scan."""
    values = np.array(plain["values"])
    low, high = (
        end if plain[name] is None else plain[name]
        for name, end in (("low", values.min()), ("high", values.max()))
    )
    heights = np.array(plain["log_likelihood"])
    return LikelihoodProfile(plain["name"], values, heights, low, high, plain["confidence"])
