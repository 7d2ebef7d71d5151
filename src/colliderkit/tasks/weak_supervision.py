"""The task of weak supervision: a tagger from mixed samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.schema import weights_of
from colliderkit.files import existing_file
from colliderkit.methods.method import Method, load
from colliderkit.methods.search.mixtures.mixed_samples import MixedSamples
from colliderkit.methods.search.mixtures.without_labels import WithoutLabels
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.value import number
from colliderkit.report.html import Report
from colliderkit.report.tagging import add_taggers, last_class
from colliderkit.report.verdict import Aim
from colliderkit.serve.onnx import export_method
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.labels import summary
from colliderkit.tasks.reading import OfSamples, Reading
from colliderkit.tasks.tagging import TaggingTask, head, is_flat, refuse_taken, scored_classifier
from colliderkit.tasks.task import Inputs

__all__ = ["WeakSupervisionTask"]

Files = list[str] | str
Texts = list[str] | str | None


class WeakSupervisionTask(TaggingTask):
    """Train a tagger of two classes on mixed samples of data, without labels."""

    methods: ClassVar[tuple[str, ...]] = ("without-labels", "label-proportions")
    around: ClassVar[Mapping[str, str]] = dict.fromkeys(methods, "tagging")

    def read(  # type: ignore[override]
        self,
        method: MixedSamples,
        reading: Reading,
        *,
        samples: dict[str, list[str] | str],
        start: str | None = None,
        weight: OfSamples = None,
        features: Texts = None,
    ) -> Inputs:
        r"""Train a tagger on mixed samples of data; --fractions of signal where they are known.

        Args:
            samples: ROOT, HDF5 or Parquet files by the name of the mixed sample, two or more; the
                last has more signal than the first.
            start: a folder of fit tagging, trained on simulation, whose weights the training begins
                from; the network and its inputs must be the same.
            weight: an expression, or one for each sample by name; else the files' own weights.
            features: of networks on particles, names of per-particle features; of networks on
                tables, columns or expressions with a number an event (a,b,log(c)), for files that
                hold no particles.

        Examples:
            colliderkit fit weak-supervision --samples '{dijets: dijets.root, Z+jet: zjet.root}' \
              --out tagger
            colliderkit fit weak-supervision --method label-proportions --network pfn \
              --samples '{a: a.root, b: b.root}' --fractions '{a: 0.3, b: 0.8}' --out tagger
        """
        tagger = method.tagger
        if names := split_expressions(features):
            refuse_taken(tagger, names)
            tagger.set_params(features=tuple(names))
        _name_samples(method, list(samples))
        if start is not None:
            begun = load(start)
            if not isinstance(begun, Tagger):
                raise InputError(f"start: {start} holds no single tagger; give one of fit tagging.")
            method.set_params(start=begun)
        flat = tagger.features if is_flat(tagger) else None
        if flat is not None:
            chunks = list(reading.tables(samples, flat, weight))
        else:
            chunks = list(reading.classes(samples, weight))
        jets = ak.concatenate(chunks)
        weights = weights_of(jets) if "weight" in jets.fields else None
        particles = None if flat is not None else int(ak.sum(ak.num(jets["constituents"])))
        account(summary(list(samples), np.asarray(jets["label"]), weights, particles))
        return Inputs(method, {"jets": jets})

    def page(self, model: Path, evaluation: Path, *, classes: Texts = None) -> Report:
        """Draw an evaluation on labelled jets: curves, scores, training and the mixed samples.

        Args:
            classes: other names of the classes for the page, background and signal: gluon,quark.

        Examples:
            colliderkit report tagger-test --classes gluon,quark
        """
        method: MixedSamples = load(model)
        names = split_expressions(classes) or list(method.tagger.classes)
        if len(names) != 2:
            raise InputError(f"classes has {len(names)} names; give two, background and signal.")
        note = runs.about(evaluation)
        jets = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        page = runs.page(
            f"Tagging {names[1]} against {names[0]} without labels",
            f"The network {method.tagger.network} has learned from {len(method.names)} mixed"
            f" samples ({', '.join(method.names)}), and is judged on {number(len(jets))} labelled"
            " jets that it has not seen.",
            model,
            note,
        )
        truth = last_class(np.asarray(jets["label"]), weights_of(jets), names, note["efficiencies"])
        add_taggers(page, [scored_classifier(method, jets)], truth, probability=False)
        page.conclude([Aim("The tagger tells the classes apart", "AUC", "*", "above", 0.5)])
        page.add_heading("Mixed samples")
        fractions = method.fractions or {}
        weights = dict(zip(method.names, _weights(method), strict=True))
        page.add_table(
            ["sample", "fraction of signal", "weight in the score"],
            [[name, fractions.get(name, "not given"), weights[name]] for name in method.names],
            "What the training was told of each sample, and how its probability enters the score.",
        )
        return page

    def export(
        self,
        method: MixedSamples,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        force: bool = False,
    ) -> str:
        """Export the trained network as ONNX with its preprocessing, checked on jets.

        Without labels its classes are the mixed samples, and of two the score is the probability
        of the second.

        Args:
            files: jets on which both must agree; the first 512 are used.

        Examples:
            colliderkit export tagger jets_test.h5 --out tagger.onnx
        """
        jets = head(method.tagger, reading, files, 512)
        difference = export_method(method.tagger_, out, jets, force=force)
        said = f"largest difference to torch {difference:.1e} on {len(jets)} jets"
        if len(method.names) > 2 and isinstance(method, WithoutLabels):
            terms = " + ".join(
                f"{weight:.4g} P({name})"
                for name, weight in zip(method.names, method.weights_, strict=True)
            )
            said += f"; the score is {terms}"
        return said

    def summary(self, method: Method) -> str:
        """Name the network and the samples."""
        assert isinstance(method, MixedSamples)
        return f"fitted {method.tagger.network} to {', '.join(method.names)}"


def _name_samples(method: MixedSamples, names: Sequence[str]) -> None:
    """Give the method the samples in the order of the files; raise `InputError` for others."""
    fractions = method.fractions
    if fractions is not None:
        if set(fractions) != set(names):
            raise InputError(
                f"fractions names {', '.join(fractions)} and samples {', '.join(names)}; give a"
                " fraction for each sample."
            )
        method.set_params(fractions={name: fractions[name] for name in names})
    if isinstance(method, WithoutLabels):
        method.set_params(samples=tuple(names))


def _weights(method: MixedSamples) -> list[float | str]:
    """Return how the probability of each sample enters the score."""
    if isinstance(method, WithoutLabels):
        return [float(weight) for weight in method.weights_]
    return ["–"] * len(method.names)
