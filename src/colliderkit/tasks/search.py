"""The task of a search for a bump: fit and page."""

from pathlib import Path

import numpy as np
import yaml

from colliderkit.methods.method import Method, load
from colliderkit.methods.search.bump_hunt import BumpHunt
from colliderkit.metrics.value import Value
from colliderkit.report.html import Report
from colliderkit.report.search import bump, local_p_values
from colliderkit.report.verdict import Claim
from colliderkit.tasks import runs
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.task import Inputs, Task

__all__ = ["SearchTask"]

LISTED = 10  # windows in the page's table


class SearchTask(Task):
    """Search a spectrum for a bump, with the look-elsewhere effect."""

    methods = ("bump-hunt",)

    def read(
        self,
        method: BumpHunt,
        reading: Reading,
        *,
        data: list[str] | str,
        mass: str,
        weight: str | None = None,
    ) -> Inputs:
        """Search the spectrum of a mass for a bump on a smooth background.

        Args:
            data: ROOT, HDF5 or Parquet files.
            mass: the quantity that is searched, by name or expression.
            weight: an expression; else events count one.

        Examples:
            colliderkit fit search --data events.root --mass mjj --out search
        """
        rows = reading.rows(data, [mass, *([] if weight is None else [weight])])
        arguments = {
            "mass": rows.table([mass])[:, 0],
            "weight": None if weight is None else rows.table([weight])[:, 0],
        }
        return Inputs(method, arguments)

    def page(self, model: Path) -> Report:
        """Draw the spectrum with its largest excess, and the local p-value of every window.

        Examples:
            colliderkit report search
            colliderkit report search --label '{mjj: "m_jj [GeV]"}'
        """
        hunt: BumpHunt = load(model)
        largest = hunt.bump_
        note = {
            "configuration": (model / runs.CONFIGURATION).read_text(),
            "command": f"colliderkit fit search --config {runs.CONFIGURATION}",
            "seeds": [hunt.seed_],
        }
        label = str(yaml.safe_load(note["configuration"])["mass"])
        low, high = largest.window
        page = runs.page(
            "A search for a bump",
            f"The largest excess of {hunt.counts_.sum():g} events is between {low:g} and {high:g}:"
            f" {largest.observed:g} where {largest.expected:.4g} ± {largest.uncertainty:.2g} are"
            f" expected from the sidebands. Local p-value {largest.local_p:.2g}"
            f" ({largest.significance:.2f} standard deviations), global p-value"
            f" {largest.global_p:.2g} from {hunt.toys} pseudo-experiments.",
            model,
            note,
        )
        error = (max(largest.global_p, 1 / hunt.toys) / hunt.toys) ** 0.5
        page.claims.append(
            Claim(
                "There is a bump: the global p-value is below that of 3 standard deviations",
                Value(largest.global_p, error),
                "below",
                Value(0.00135, 0.0),
            )
        )
        page.add_heading("Spectrum")
        page.add_figure(
            bump(hunt.counts_, hunt.edges_, largest, "Largest excess", label=label, what="Events"),
            f"The spectrum, the background that the sidebands of the window predict (a function of"
            f" {largest.order} parameters beside its norm), and the pulls.",
            wide=True,
        )
        page.add_heading("Windows")
        page.add_figure(
            local_p_values(hunt.windows_, hunt.local_p_, hunt.global_p_, label),
            "Local p-value of every window, over its width; the dotted line is the global p-value"
            " of the smallest.",
            wide=True,
        )
        page.add_table(
            ["window", "observed", "expected", "uncertainty", "significance", "local p"],
            [
                [
                    f"{hunt.windows_[w, 0]:g} to {hunt.windows_[w, 1]:g}",
                    float(hunt.observed_[w]),
                    float(hunt.expected_[w]),
                    float(hunt.uncertainty_[w]),
                    float(hunt.significance_[w]),
                    float(hunt.local_p_[w]),
                ]
                for w in np.argsort(hunt.local_p_)[:LISTED]
            ],
            f"The {min(LISTED, len(hunt.windows_))} windows of the smallest local p-values.",
        )
        return page

    def summary(self, method: Method) -> str:
        """Describe the largest excess."""
        assert isinstance(method, BumpHunt)
        low, high = method.bump_.window
        return (
            f"largest excess {low:g} to {high:g}, local p = {method.bump_.local_p:.2g}, global p ="
            f" {method.global_p_:.2g}"
        )
