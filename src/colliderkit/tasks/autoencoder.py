"""The task of an autoencoder: fit, apply, evaluate, page and export."""

from pathlib import Path

from colliderkit.methods.method import Method
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.report.html import Report
from colliderkit.report.training import training
from colliderkit.serve.onnx import export_method
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.scored import ScoredTask, unlabelled
from colliderkit.tasks.task import Inputs

__all__ = ["AutoencoderTask"]

LOSSES = (
    "Loss of each epoch.",
    "Loss of each epoch. Where the network is trained, that of training is the difference of the"
    " energies of events and of samples, and that of validation how far samples are from events.",
)
Files = list[str] | str
Texts = list[str] | str | None


class AutoencoderTask(ScoredTask):
    """Score events by how badly an autoencoder reproduces them."""

    methods = ("autoencoder",)

    def read(
        self,
        method: Autoencoder,
        reading: Reading,
        files: Files,
        *,
        features: Texts = None,
        weight: str | None = None,
    ) -> Inputs:
        r"""Train an autoencoder on unlabelled events; what it reproduces badly is anomalous.

        Args:
            files: ROOT, HDF5 or Parquet files of background, or of data with little signal.
            features: columns or expressions with a number an event (a,b,log(c)), for files that
                hold no particles; without it the files hold jets.
            weight: an expression, 0 or more; else the files' own weights.

        Examples:
            colliderkit fit autoencoder events.root --features pt,m --out autoencoder
            colliderkit fit autoencoder qcd.root --representation set --kind contrastive \
              --out autoencoder
        """
        if names := split_expressions(features):
            method.set_params(features=tuple(names))
        return Inputs(method, unlabelled(method, reading, files, weight))

    def export(
        self, method: Autoencoder, reading: Reading, files: Files, *, out: Path, force: bool = False
    ) -> str:
        """Export the score as ONNX with its preprocessing, checked on events against the original.

        Args:
            files: events on which both must agree; the first 512 are used.

        Examples:
            colliderkit export autoencoder qcd_test.root --out autoencoder.onnx
        """
        if method.features is None:
            events = reading.head(files, 512)
        else:
            events = reading.rows(files, method.features, stop=512).table(method.features)
        difference = export_method(method, out, events, force=force)
        return f"largest difference to torch {difference:.1e} of the score on {len(events)} events"

    def described(self, method: Autoencoder) -> str:
        """Name the kind."""
        how = {"error": "the error of", "radius": "the latent radius of"}[method.measure]
        return (
            f"The score is {how} a {method.kind} autoencoder of a {method.representation} through"
            f" {method.latent} numbers. No label entered its training."
        )

    def drawn(self, page: Report, method: Autoencoder) -> None:
        """Add the training."""
        page.add_heading("Training")
        page.add_figure(training(method.history_), LOSSES[method.kind == "normalised"], wide=True)

    def summary(self, method: Method) -> str:
        """Name the kind."""
        assert isinstance(method, Autoencoder)
        return f"fitted a {method.kind} autoencoder"
