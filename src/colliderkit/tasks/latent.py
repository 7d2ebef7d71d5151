"""The task of a latent structure: fit, apply, evaluate and page."""

import numpy as np

from colliderkit.events.tokens import ANGLES, MOMENTA
from colliderkit.methods.method import Method
from colliderkit.methods.search.latent import LatentDirichlet
from colliderkit.report.html import Report
from colliderkit.report.latent import lund_topics
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.scored import ScoredTask, unlabelled
from colliderkit.tasks.task import Inputs

__all__ = ["LatentTask"]

Files = list[str] | str
Texts = list[str] | str | None


class LatentTask(ScoredTask):
    """Score events by the share of the rarest topic that they are mixed of."""

    methods = ("latent-dirichlet",)

    def read(
        self,
        method: LatentDirichlet,
        reading: Reading,
        files: Files,
        *,
        features: Texts = None,
        weight: str | None = None,
    ) -> Inputs:
        """Find topics, distributions of splittings of which jets are mixtures, without labels.

        Args:
            files: ROOT, HDF5 or Parquet files of unlabelled jets.
            features: columns that count tokens (n1,n2,n3), of files that hold no particles.
            weight: an expression, 0 or more; else the files' own weights.

        Examples:
            colliderkit fit latent jets.root --alpha '[0.9, 0.1]' --out topics
        """
        if names := split_expressions(features):
            method.set_params(features=tuple(names))
        arguments = unlabelled(method, reading, files, weight)
        arguments.pop("event", None)
        jets = arguments["events"]
        if method.features is None and "weight" in jets.fields:
            arguments["weight"] = np.asarray(jets["weight"])
        return Inputs(method, arguments)

    def described(self, method: LatentDirichlet) -> str:
        """Say what the topics are of."""
        return (
            f"The score is the share of the rarest of {method.topics} topics, which latent"
            " Dirichlet allocation has found without labels."
        )

    def drawn(self, page: Report, method: LatentDirichlet) -> None:
        """Add the topics."""
        page.add_heading("Topics")
        if method.features is None:
            page.add_figure(
                lund_topics(method.topics_, method.bins, ANGLES, MOMENTA),
                "Each topic as a distribution over the primary Lund plane, the commonest first.",
                wide=True,
            )
            return
        page.add_table(
            ["token", *(f"topic {k}" for k in range(1, method.topics + 1))],
            [
                [name, *map(float, column)]
                for name, column in zip(method.features, method.topics_.T, strict=True)
            ],
            "The share of each token in each topic, the commonest topic first.",
        )

    def summary(self, method: Method) -> str:
        """Say how large the topics are."""
        assert isinstance(method, LatentDirichlet)
        return "shares of the topics: " + ", ".join(f"{share:.3g}" for share in method.shares_)
