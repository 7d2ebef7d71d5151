"""Loss curves: training and validation loss of each epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from colliderkit.report.plots import drawn, legend, styles
from colliderkit.training.settings import Epoch

__all__ = ["training"]


FEW = 6  # epochs


def _training(history: Sequence[Epoch]) -> tuple[list[float], list[float]]:
    """Return epochs and training losses: those of parts of an epoch, where there are few."""
    if len(history) >= FEW or not all(row.parts for row in history):
        return [row.epoch + 1.0 for row in history], [row.training_loss for row in history]
    pairs = [
        (row.epoch + (k + 0.5) / len(row.parts), loss)
        for row in history
        for k, loss in enumerate(row.parts)
    ]
    return [x for x, _ in pairs], [loss for _, loss in pairs]


@drawn
def training(histories: Mapping[str, Sequence[Epoch]]) -> Figure:
    """Draw training (dotted) and validation (full) loss by epoch; a star marks the one chosen.

    Of fewer than `FEW` epochs the training loss is drawn ten times an epoch, where it is known. A
    loss that is positive throughout is drawn on a logarithm, and so are more than 30 epochs.
    """
    figure = Figure()
    axes = figure.subplots()
    look = styles(list(histories))
    for name, history in histories.items():
        colour = look[name]["color"]
        epochs = [row.epoch + 1 for row in history]
        validation = [row.validation_loss for row in history]
        # A line of one or two epochs is hardly seen.
        few: dict[str, Any] = {"marker": "o", "markersize": 6} if len(history) < FEW else {}
        axes.plot(epochs, validation, linewidth=2.6, label=name, **look[name], **few)
        axes.plot(*_training(history), ":", color=colour, linewidth=1.8)
        if history and (guess := history[-1].guess) is not None:
            axes.axhline(guess, linestyle=(0, (1, 3)), color=colour, linewidth=1.4)
            if min(validation) >= guess:
                axes.plot([], [], " ", label=f"{name}: no better than guessing")
        for row in history:
            if row.best:
                axes.plot(
                    row.epoch + 1,
                    row.validation_loss,
                    "*",
                    color=colour,
                    markersize=20,
                    markeredgecolor="white",
                )
    axes.plot([], [], "k-", linewidth=2.6, label="validation")
    axes.plot([], [], "k:", linewidth=1.8, label="training")
    axes.plot([], [], "k*", markersize=14, linestyle="none", label="chosen epoch")
    values = [
        loss
        for history in histories.values()
        for row in history
        for loss in (row.training_loss, row.validation_loss, *row.parts)
    ]
    # The first epochs often are many times higher than what the reader wants to compare.
    if min(values, default=0) > 0:
        axes.set_yscale("log")
    if max((len(history) for history in histories.values()), default=0) > 30:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Epoch")
    axes.set_ylabel("Loss")
    legend(figure)
    return figure
