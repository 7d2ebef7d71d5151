"""The task of a semi-supervised search: fit, apply, evaluate and page."""

from colliderkit.errors import InputError
from colliderkit.methods.method import Method
from colliderkit.methods.search.semi_supervised import SemiSupervised
from colliderkit.report.html import Report
from colliderkit.report.training import training
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.tasks.reading import OfSamples, Reading, of_sample
from colliderkit.tasks.scored import ScoredTask
from colliderkit.tasks.task import Inputs

__all__ = ["SemiSupervisedTask"]

Files = list[str] | str


class SemiSupervisedTask(ScoredTask):
    """Score events by densities of background and of a few simulated signals."""

    methods = ("semi-supervised",)

    def read(
        self,
        method: SemiSupervised,
        reading: Reading,
        *,
        background: Files,
        signals: dict[str, list[str] | str],
        features: list[str] | str,
        weight: OfSamples = None,
    ) -> Inputs:
        r"""Learn the densities of background and of each simulated signal.

        Args:
            background: ROOT, HDF5 or Parquet files of background, or of data with little signal.
            signals: files of each signal by its name.
            features: columns or expressions with a number an event, as ``m,log(pt)``.
            weight: an expression, or one a sample: ``{background: w}``; else events count one.

        Examples:
            colliderkit fit semi-supervised --background qcd.root \
              --signals '{light: light.root, heavy: heavy.root}' --features m,pt --out quak
        """
        names = split_expressions(features)
        method.set_params(features=tuple(names))
        if "background" in signals:
            raise InputError("a signal is called 'background'; give it another name.")
        tables = {}
        samples = ["background", *signals]
        for sample, files in {"background": background, **signals}.items():
            own = of_sample(weight, "weight", sample, samples)
            rows = reading.rows(files, [*names, *([] if own is None else [own])])
            tables[sample] = rows.events(names, weight=own)
        first = tables.pop("background")
        arguments = {"background": first.values, "signals": tables, "weight": first.weight}
        return Inputs(method, arguments)

    def described(self, method: SemiSupervised) -> str:
        """Name the signals."""
        signals = ", ".join(list(method.densities_)[1:])
        return (
            f"The score is -ln p of background plus {method.reliance:g} times ln p of the simulated"
            f" signals ({signals}), densities by flows."
        )

    def drawn(self, page: Report, method: SemiSupervised) -> None:
        """Add the trainings."""
        page.add_heading("Training")
        histories = {name: d.history_["generator"] for name, d in method.densities_.items()}
        page.add_figure(training(histories), "Loss of each epoch, -ln p.", wide=True)

    def summary(self, method: Method) -> str:
        """Name the signals."""
        assert isinstance(method, SemiSupervised)
        return f"fitted the densities of {', '.join(method.densities_)}"
