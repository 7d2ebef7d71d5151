"""The tasks of mixed samples with one number an event: working points, and topics."""

from pathlib import Path

import numpy as np
import yaml

from colliderkit.errors import InputError
from colliderkit.methods.method import Method, load
from colliderkit.methods.search.mixtures.templates import MixtureEfficiencies
from colliderkit.methods.search.mixtures.topics import Topics
from colliderkit.metrics.value import Value
from colliderkit.report.html import Report
from colliderkit.report.mixtures import efficiencies_over_fractions, parted, sample_share
from colliderkit.report.verdict import Claim
from colliderkit.sources import write
from colliderkit.tasks import runs
from colliderkit.tasks.labels import refuse_shared
from colliderkit.tasks.reading import OfSamples, Reading, beside, of_sample
from colliderkit.tasks.task import Inputs, Task

__all__ = ["TopicsTask", "WorkingPointsTask"]

Files = list[str] | str
BySample = dict[str, list[str] | str]
CLASSES = ("background", "signal")


class WorkingPointsTask(Task):
    """Measure the efficiencies of cuts on a score for two classes, in mixed samples of data."""

    methods = ("mixture-efficiencies",)

    def read(
        self,
        method: MixtureEfficiencies,
        reading: Reading,
        *,
        samples: BySample,
        score: str = "score",
        signal: Files | None = None,
        background: Files | None = None,
        weight: OfSamples = None,
    ) -> Inputs:
        r"""Measure efficiencies of both classes at --cuts on a score, and scale factors.

        Args:
            samples: ROOT, HDF5 or Parquet files by the name of the mixed sample, two or more, with
                the score of each event as apply writes it.
            score: the column or expression of the score.
            signal: files of simulated signal, for scale factors.
            background: files of simulated background.
            weight: an expression, or one for some samples by name (signal and background are those
                of simulation); else events count one.

        Examples:
            colliderkit fit working-points --samples '{dijets: d.parquet, Z+jet: z.parquet}' \
              --fractions '{dijets: 0.4, Z+jet: 0.8}' --errors '{dijets: 0.02, Z+jet: 0.02}' \
              --cuts '[0.5]' --signal quarks.parquet --background gluons.parquet --out points
        """
        if set(method.fractions) != set(samples):
            raise InputError(
                f"fractions names {', '.join(method.fractions)} and samples {', '.join(samples)};"
                " give a fraction for each sample."
            )
        method.set_params(fractions={name: method.fractions[name] for name in samples})
        simulation = None
        if (signal is None) != (background is None):
            raise InputError("signal and background are simulated together; give both or none.")
        files: BySample = dict(samples)
        if signal is not None and background is not None:
            if taken := sorted(set(CLASSES) & set(samples)):
                raise InputError(
                    f"a mixed sample is called {taken[0]}, as the simulation is; rename it."
                )
            simulated = {"background": background, "signal": signal}
            simulation = _numbers(reading, simulated, score, weight, [*samples, *CLASSES])
            files |= simulated
        values, number, weights = _numbers(reading, samples, score, weight, list(files))
        return Inputs(
            method,
            {"score": values, "sample": number, "weight": weights, "simulation": simulation},
        )

    def apply(
        self,
        method: MixtureEfficiencies,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        score: str = "score",
        label: str = "label",
        force: bool = False,
    ) -> None:
        """Write the weight `correction` of simulated events beside all that was read.

        Args:
            files: ROOT, HDF5 or Parquet files of simulation.
            score: the column or expression of the score, as in fit.
            label: the column or expression of the class: 0 for background, 1 for signal.

        Examples:
            colliderkit apply points simulation.parquet --out corrected.parquet
        """
        rows = reading.rows(files, [score, label], own=True)
        table = rows.table([score, label])
        corrected = method.correction(table[:, 0], table[:, 1])
        write(out, beside(rows.own, {"correction": corrected}), force=force)

    def page(self, model: Path) -> Report:
        """Draw the shares that pass over the fractions; tabulate efficiencies and scale factors.

        Examples:
            colliderkit report points
        """
        method: MixtureEfficiencies = load(model)
        page = runs.page(
            "Efficiencies in data",
            f"Efficiencies of background and signal at {len(method.cuts)} cut(s), from"
            f" {len(method.fractions)} mixed samples ({', '.join(method.fractions)}) of known"
            " fractions.",
            model,
            _note(model, "working-points", method),
        )
        page.add_heading("Efficiencies")
        page.add_figure(
            efficiencies_over_fractions(method),
            "Share of each mixed sample that passes, over its fraction of signal. The lines end at"
            " the efficiencies of the two classes (open squares), with the errors of counting and"
            " of the fractions.",
            wide=True,
        )
        scaled = len(method.scale_factor_) > 0
        rows = []
        for w, cut in enumerate(method.cuts):
            factors = method.scale_factor(w) if scaled else (None, None)
            for k, name in enumerate(CLASSES):
                row = [f"{cut:g}", name, method.efficiency(w)[k], float(method.counting_[w, k])]
                rows.append(
                    [*row, *([float(method.simulated_[w, k]), factors[k]] if scaled else [])]
                )
        columns = ["cut", "class", "efficiency", "of it counting"]
        page.add_table(
            [*columns, *(["in simulation", "scale factor"] if scaled else [])],
            rows,
            "Efficiencies with the errors of counting and of the fractions together, and the part"
            " of counting alone" + ("; scale factors are data over simulation." if scaled else "."),
        )
        if len(method.fractions) > 2:
            worst = int(np.argmin(method.p_value_))
            page.claims.append(
                Claim(
                    "The classes are the same in all samples: the p-value is above 0.0027",
                    Value(float(method.p_value_[worst]), 0.0),
                    "above",
                    Value(0.0027, 0.0),
                    f"cut {method.cuts[worst]:g}",
                )
            )
        return page

    def summary(self, method: Method) -> str:
        """Give the efficiencies of the first cut."""
        assert isinstance(method, MixtureEfficiencies)
        background, signal = method.efficiency()
        return f"cut {method.cuts[0]:g}: signal {signal}, background {background}"


class TopicsTask(Task):
    """Find two classes and their fractions behind the spectra of two mixed samples."""

    methods = ("topics",)

    def read(
        self,
        method: Topics,
        reading: Reading,
        *,
        samples: BySample,
        observable: str,
        weight: OfSamples = None,
    ) -> Inputs:
        r"""Find the fractions of two mixed samples from the spectrum of an observable alone.

        Args:
            samples: ROOT, HDF5 or Parquet files by the name of the mixed sample, two; signal is
                what the second has more of.
            observable: its column or expression.
            weight: an expression, or one for each sample by name; else events count one.

        Examples:
            colliderkit fit topics --samples '{dijets: d.root, Z+jet: z.root}' \
              --observable n_constituents --out topics
        """
        if len(samples) != 2:
            raise InputError(
                f"samples names {len(samples)} ({', '.join(samples)}); topics part two mixtures."
            )
        values, number, weights = _numbers(reading, samples, observable, weight, list(samples))
        arguments = {"observable": values, "sample": number, "weight": weights}
        return Inputs(method, arguments)

    def page(self, model: Path) -> Report:
        """Draw the spectra with the classes behind them, and the share of the second sample.

        Examples:
            colliderkit report topics
        """
        method: Topics = load(model)
        note = _note(model, "topics", method)
        request = yaml.safe_load(note["configuration"])
        names, label = list(request["samples"]), str(request["observable"])
        first, second = method.fractions
        page = runs.page(
            "Topics of two mixed samples",
            f"The fractions of signal are {first} in {names[0]} and {second} in {names[1]}, from"
            f" the spectra of {label} alone.",
            model,
            note,
        )
        if len(method.fitted_):
            page.claims.append(
                Claim(
                    "The curve describes the shares: its p-value is above 0.0027",
                    Value(method.p_value_, 0.0),
                    "above",
                    Value(0.0027, 0.0),
                )
            )
        page.add_heading("Topics")
        page.add_figure(
            parted(method, names, label),
            "Spectra of the two samples (dashed) and of the two classes behind them (points, with"
            " the errors of counting and of the fractions).",
        )
        page.add_figure(
            sample_share(method, names[1], label),
            f"Share of {names[1]} among the events of a bin. Where one class is alone the share"
            " ends, at the dashed lines, from which the fractions follow.",
        )
        error = np.sqrt(np.diagonal(method.kappa_covariance_))
        kappas = [Value(*pair) for pair in zip(method.kappa_.tolist(), error.tolist(), strict=True)]
        page.add_table(
            ["sample", "fraction of signal", "kappa"],
            [
                [names[0], first, kappas[0]],
                [names[1], second, kappas[1]],
            ],
            "Fractions of signal. The first kappa is the least ratio of the second sample to the"
            " first, where background is alone; the second that of the first to the second.",
        )
        return page

    def summary(self, method: Method) -> str:
        """Give the fractions."""
        assert isinstance(method, Topics)
        first, second = method.fractions
        return f"fractions of signal {first} and {second}"


def _note(model: Path, task: str, method: Method) -> dict[str, object]:
    """Return what the page of a fitted method says of its making."""
    return {
        "configuration": (model / runs.CONFIGURATION).read_text(),
        "command": f"colliderkit fit {task} --config {runs.CONFIGURATION}",
        "seeds": [method.seed_],
    }


def _numbers(
    reading: Reading, files: BySample, expression: str, weight: OfSamples, known: list[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a number of each event of several samples, the sample's own number, and weights."""
    if reading.columns is not None:
        raise InputError("columns is for jets; name the column or an expression of it.")
    refuse_shared(files)
    values, weights = [], []
    for name, paths in files.items():
        text = of_sample(weight, "weight", name, known)
        rows = reading.rows(paths, [expression, *([] if text is None else [text])])
        values.append(rows.table([expression])[:, 0])
        weights.append(np.ones(len(rows)) if text is None else rows.table([text])[:, 0])
    number = np.repeat(np.arange(len(files)), [len(column) for column in values])
    return np.concatenate(values), number, np.concatenate(weights)
