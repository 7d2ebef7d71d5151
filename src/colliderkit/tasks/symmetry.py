"""The task of symmetry discovery: fit and page."""

from pathlib import Path

import numpy as np

from colliderkit.methods.method import Method, load
from colliderkit.methods.search.symmetry import Symmetry
from colliderkit.report.html import Report
from colliderkit.report.latent import finite_rotations
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.tasks import runs
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.task import Inputs, Task

__all__ = ["SymmetryTask"]

Files = list[str] | str


class SymmetryTask(Task):
    """Find transformations of columns under which the density of events stays the same."""

    methods = ("symmetry",)

    def read(
        self,
        method: Symmetry,
        reading: Reading,
        files: Files,
        *,
        features: list[str] | str,
        weight: str | None = None,
    ) -> Inputs:
        """Find rotations, or any linear maps, under which the density of events stays the same.

        Args:
            files: ROOT, HDF5 or Parquet files.
            features: columns or expressions of one unit, two or more: ``px1,py1,px2,py2``.
            weight: an expression; else events count one.

        Examples:
            colliderkit fit symmetry dijets.root --features px1,py1,px2,py2 --out symmetry
        """
        names = split_expressions(features)
        method.set_params(features=tuple(names))
        rows = reading.rows(files, [*names, *([] if weight is None else [weight])])
        weights = None if weight is None else rows.table([weight])[:, 0]
        return Inputs(method, {"events": rows.table(names), "weight": weights})

    def page(self, model: Path) -> Report:
        """Show the generators that were found, and how well the events exclude others.

        Examples:
            colliderkit report symmetry
        """
        method: Symmetry = load(model)
        note = {
            "configuration": (model / runs.CONFIGURATION).read_text(),
            "command": f"colliderkit fit symmetry --config {runs.CONFIGURATION}",
            "seeds": [method.seed_],
        }
        names = method.features_
        page = runs.page(
            "Symmetries of a density",
            f"{len(method.generators_)} generators of continuous symmetries of"
            f" {', '.join(names)} are compatible with the events.",
            model,
            note,
        )
        page.add_heading("Candidates")
        page.add_definitions(
            "A candidate is the generator that changes the density least, of those orthogonal to"
            " the ones before. Its p-value is the probability that events of an unchanged density"
            f" look changed as much; the search ends at the first below {method.level:g}. A"
            " p-value that is not small excludes nothing: how far a generator may point from the"
            " true one is its error."
        )
        count = len(method.generators_)
        page.add_table(
            ["candidate", "p-value", "found", "error [rad]"],
            [
                [i + 1, float(p), "yes" if i < count else "no",
                 float(method.errors_[i]) if i < count else "–"]
                for i, p in enumerate(method.p_values_)
            ],
            "Candidates in the order in which they were looked for.",
        )  # fmt: skip
        for i, generator in enumerate(method.generators_):
            page.add_table(
                ["moves", *(f"by {name}" for name in names)],
                [[name, *map(float, row)] for name, row in zip(names, generator, strict=True)],
                f"Generator {i + 1}: the rate at which each column moves, for each unit of the"
                " others; a rotation in one plane has an angle in rad.",
            )
        if method.angles_ is not None:
            page.add_heading("Finite rotations")
            page.add_figure(
                finite_rotations(method.angles_),
                "Half of the events, rotated about the mean, against the other half: χ² by angle"
                " over its degrees of freedom; 1 where the density is unchanged.",
                wide=True,
            )
            found = zip(
                np.degrees(method.angles_.found),
                np.degrees(method.angles_.error),
                method.angles_.p_value,
                strict=True,
            )
            page.add_table(
                ["angle [degrees]", "error", "p-value"],
                [list(map(float, row)) for row in found],
                "Angles at which the density is compatible with being unchanged.",
            )
        return page

    def summary(self, method: Method) -> str:
        """Say how many were found."""
        assert isinstance(method, Symmetry)
        finite = "" if method.angles_ is None else f", {len(method.angles_.found)} finite rotations"
        return f"{len(method.generators_)} continuous symmetries{finite}"
