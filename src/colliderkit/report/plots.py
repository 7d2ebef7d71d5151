"""The style, colours and axes that all plots share.

Each plotting function of this package returns a matplotlib `Figure` and keeps no state.

Colours are those of Petroff (2107.02270), made for readers with any colour vision; a model has
the same colour and line in every plot (`styles`).
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    NullFormatter,
)
from numpy.typing import NDArray

__all__ = ["limit_ratio", "round_edges", "style", "styles", "with_ratio"]

COLOURS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "v", "D", "P")

# The place of a model in the palette: ten colours, then the same with the next line. Relatives
# share a colour.
PLACES = {
    "pfn": 0,
    "dips": 10,
    "efn": 1,
    "particlenet": 2,
    "particlenetlite": 12,
    "boostedtrees": 8,
    "particletransformer": 4,
    "part": 4,
    "cnn": 5,
    "resnext": 15,
    "nsubjettiness6": 7,
    "nsubjettiness8": 17,
    "mlp": 27,
    "lstm": 6,
    "gru": 16,
    "efp": 9,
    "linear": 19,
}
CLASSES = (COLOURS[0], COLOURS[2], COLOURS[1], COLOURS[4], *COLOURS[5:], COLOURS[3])

SMALL = {
    "figure.figsize": (8.0, 7.2),
    "font.size": 20,
    "axes.linewidth": 1.4,
    "legend.fontsize": 17,
    "xtick.major.size": 9,
    "ytick.major.size": 9,
    "xtick.minor.size": 4.5,
    "ytick.minor.size": 4.5,
    "lines.linewidth": 2.0,
    "figure.constrained_layout.use": True,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw and save in the style of this module: ``with style(): figure.savefig(...)``.

    matplotlib makes ticks when it draws, so that saving belongs inside too. Also a decorator.
    """
    import mplhep

    with matplotlib.style.context([mplhep.style.CMS, SMALL]):
        yield


def styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the colour and line of each model: the same in every plot.

    Networks of the package have fixed places in the palette; any other name has the place
    that its checksum gives, or the next that is free among `names`.
    """
    keys = {name: re.sub(r"[^a-z0-9]", "", name.lower()) for name in names}
    places: dict[str, int] = {}
    for name in sorted(names, key=lambda name: keys[name] not in PLACES):
        place = PLACES.get(keys[name], zlib.crc32(name.encode()) % len(COLOURS))
        while place in places.values():
            place = (place + 1) % (len(COLOURS) * len(LINES))
        places[name] = place
    return {
        name: {
            "color": COLOURS[places[name] % len(COLOURS)],
            "linestyle": LINES[places[name] // len(COLOURS)],
        }
        for name in names
    }


def with_ratio() -> tuple[Figure, tuple[Axes, Axes]]:
    """Return a figure of two panels, the lower one for the ratio to one of its curves."""
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    return figure, (top, bottom)


def limit_ratio(axes: Axes) -> None:
    """Show a ratio linearly within [0, 2] if that holds it, else on a logarithm up to 20."""
    found = [np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines]
    ratio = np.concatenate([y[np.isfinite(y) & (y > 0)] for y in found])
    if len(ratio) == 0 or (ratio.max() < 2 and ratio.min() > 0.2):
        reach = min(1.0, 1.3 * np.abs(ratio - 1).max(initial=0.1))
        axes.set_ylim(1 - reach, 1 + reach)
        return
    axes.set_yscale("log")
    low, high = max(1 / 20, 0.7 * min(ratio.min(), 1)), min(20, 1.4 * max(ratio.max(), 1))
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 15 * low else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def round_edges(low: float, high: float, bins: int = 40) -> NDArray[np.float64]:
    """Return edges over about [low, high] whose width is 1, 2, 2.5 or 5 times a power of ten."""
    width = max(high - low, 1e-9) / bins
    power = 10.0 ** np.floor(np.log10(width))
    width = power * min((1, 2, 2.5, 5, 10), key=lambda step: abs(step - width / power))
    return np.arange(np.floor(low / width), np.ceil(high / width) + 1) * width
