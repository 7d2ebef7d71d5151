"""The style, colours, sizes and axes that all plots share.

Each plotting function of this package is `drawn`: it returns a matplotlib `Figure` that bears its
name, and keeps no state. Its legend is a row above the axes, so that it never lies on a curve.

The colours are those of Petroff (2107.02270), moved to where each has a contrast of 3 or more on
white and on the card of a dark page, and any two can be told apart by readers of any colour
vision; a model has the same colour and line in every plot (`styles`).
"""

import functools
import re
import textwrap
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, ParamSpec

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.ticker import (
    FuncFormatter,
    LogFormatter,
    LogFormatterSciNotation,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "draw_ratio",
    "drawn",
    "fit_to_page",
    "legend",
    "limit_ratio",
    "mark",
    "merged",
    "ratio_label",
    "round_edges",
    "style",
    "styles",
    "with_ratio",
]

P = ParamSpec("P")
Floats = NDArray[np.float64]
Span = Literal["half", "lone", "wide"]

COLOURS = (
    "#148bf2",
    "#cd7300",
    "#9a1706",
    "#828d80",
    "#7414be",
    "#8c5967",
    "#ca3a03",
    "#69723a",
    "#657c8e",
    "#195650",
)
CARD = "#eef1f5"  # behind figures on a dark page
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "v", "D", "P")

# Inches that a figure is wide, by how much of the page it takes: so the same font size in all is
# the same size on the page.
WIDTHS: dict[Span, float] = {"half": 8.0, "lone": 9.85, "wide": 16.4}
SINGLE = 10.0  # a figure that is drawn narrower takes half of the page
ENTRIES = 10  # of the reference, from which on a ratio is drawn
ARROW = "arrow"  # marks what stands for a point outside of the axes

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
    # Unfolding; the ones that are alike have one colour.
    "omnifold": 4,
    "multifold": 0,
    "unifold": 6,
    "ibu": 2,
    "ibuownchoice": 12,
    "iterativebayes": 2,
    "inversion": 1,
    "generative": 5,
    # Searches, and the bounds of what they can find.
    "cathode": 0,
    "cwola": 2,
    "cwolahunting": 2,
    "anode": 4,
    "salad": 1,
    "supervised": 9,
    "supervisedbound": 9,
    "idealised": 7,
    "idealisedbound": 7,
}
CLASSES = (COLOURS[0], COLOURS[2], COLOURS[1], COLOURS[4], *COLOURS[5:], COLOURS[3])

SMALL = {
    "figure.figsize": (8.0, 7.2),
    "font.size": 18,
    "axes.linewidth": 1.4,
    "legend.fontsize": 15,
    "axes.labelsize": 18,
    "axes.titlesize": 16,
    "xtick.labelsize": 15,
    "ytick.labelsize": 15,
    "xtick.major.pad": 8,
    "ytick.major.pad": 7,
    "xtick.major.size": 9,
    "ytick.major.size": 9,
    "xtick.minor.size": 4.5,
    "ytick.minor.size": 4.5,
    "lines.linewidth": 2.0,
    "legend.frameon": False,
    "legend.columnspacing": 1.3,
    "legend.handlelength": 1.6,
    "legend.handletextpad": 0.6,
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


def drawn(function: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorate a plotting function: its figure is drawn in this style, and bears its name.

    Labels of logarithmic axes are set so that they do not collide.
    """

    @functools.wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with style():
            figure = function(*args, **kwargs)
            for axes in figure.axes:
                for axis in (axes.xaxis, axes.yaxis):
                    if axis.get_scale() == "log":
                        _label_decades(axis)
        figure.set_label(function.__name__)
        return figure

    return draw


def _label_decades(axis: Axis) -> None:
    """Label a logarithmic axis: few ticks, with numbers that are read at once."""
    if not isinstance(axis.get_major_formatter(), LogFormatter):
        return  # the plot has its own
    low, high = sorted(axis.get_view_interval())
    if not 0 < low < high:
        return
    decades = np.log10(high / low)
    if decades < 0.8:
        axis.set_major_locator(MaxNLocator(4))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1.8 else (1,), numticks=8))
    plain = low >= 0.8e-3 and high < 2e4
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:g}") if plain else LogFormatterSciNotation()
    )
    axis.set_minor_formatter(NullFormatter())


def styles(names: Sequence[str], *, taken: Collection[int] = ()) -> dict[str, dict[str, Any]]:
    """Return the colour and line of each model: the same in every plot.

    Networks and methods of the package have fixed places in the palette; any other name has the
    place that its checksum gives, or the next that is free among `names` and not `taken` by what
    else a figure shows.
    """
    keys = {name: re.sub(r"[^a-z0-9]", "", name.lower()) for name in names}
    places: dict[str, int] = {}
    for name in sorted(names, key=lambda name: keys[name] not in PLACES):
        place = PLACES.get(keys[name], zlib.crc32(name.encode()) % len(COLOURS))
        while place in places.values() or place in taken:
            place = (place + 1) % (len(COLOURS) * len(LINES))
        places[name] = place
    return {
        name: {
            "color": COLOURS[places[name] % len(COLOURS)],
            "linestyle": LINES[places[name] // len(COLOURS)],
        }
        for name in names
    }


def legend(figure: Figure, *axes: Axes, title: str = "", fontsize: float | None = None) -> None:
    """Set a legend in rows above all panels: what is labelled in `axes`, or in all, each once.

    `title` stands before the entries of the first row's line.
    """
    found: dict[str, Any] = {}
    for panel in axes or figure.axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if not found:
        return
    if title:
        found = {title: matplotlib.lines.Line2D([], [], linestyle="none"), **found}
    place = _place(figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    room = (WIDTHS[span_of(figure)] - 0.2) * figure.dpi
    for columns in range(min(len(found), 8), 0, -1):
        row = figure.legend(
            list(found.values()),
            list(found),
            loc=place,
            ncols=columns,
            fontsize=fontsize,
            borderaxespad=0.2,
            alignment="right",
        )
        if columns == 1 or row.get_window_extent(renderer).width <= room:
            return
        row.remove()


def _place(figure: Figure) -> Literal["upper right", "outside upper right"]:
    """Return where a legend stands: in the room that a layout makes, or that was left for it."""
    engine = figure.get_layout_engine()
    free = engine is None or isinstance(engine, PlaceHolderLayoutEngine)
    return "upper right" if free else "outside upper right"


def mark(figure: Figure, source: str) -> None:
    """Write where the events of a figure are from, small, at its top right; "" writes nothing."""
    if not source:
        return
    if not figure.legends:
        figure.legend([], [], loc=_place(figure), borderaxespad=0.2, alignment="right")
    letters = int(11 * figure.get_figwidth())
    (row, *_) = figure.legends
    if len(re.sub(r"[$\\{}_]", "", source)) > letters:  # signs of TeX take no room
        source = textwrap.fill(source, letters)
    row.set_title(source, prop=FontProperties(size=12.5))
    row.get_title().set_multialignment("right")
    row.get_title().set_color("0.25")


def span_of(figure: Figure) -> Span:
    """Return how much of the page a figure takes by its own width: half, or all of it."""
    return "half" if figure.get_figwidth() < SINGLE else "wide"


def fit_to_page(figure: Figure, span: Span) -> None:
    """Give a figure the width at which its fonts are as large as those of all others on a page."""
    width, height = figure.get_size_inches()
    kept = WIDTHS["half"] if span == "lone" else WIDTHS[span]
    if span == "lone" and np.isclose(width, WIDTHS["lone"]):
        kept = width
    figure.set_size_inches(WIDTHS[span], height * kept / width)


def with_ratio() -> tuple[Figure, tuple[Axes, Axes]]:
    """Return a figure of two panels, the lower one for the ratio to one of its curves."""
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    return figure, (top, bottom)


def ratio_label(axes: Axes, name: str) -> None:
    """Label the panel of a ratio to `name`, in as many lines as fit beside it."""
    lines = ["Ratio to", *textwrap.wrap(name, 13)]
    axes.set_ylabel("\n".join(lines), loc="center", fontsize=15 if len(lines) < 3 else 12.5)


def merged(entries: ArrayLike, least: float = ENTRIES) -> NDArray[np.int64]:
    """Return where groups of neighbouring bins begin, each of `least` `entries` (K,) or more.

    What is left over at the end joins the last group; without enough entries there is none.
    """
    starts, inside, begin = [], 0.0, 0
    for place, count in enumerate(np.asarray(entries, dtype=np.float64)):
        inside += count
        if inside >= least:
            starts.append(begin)
            begin, inside = place + 1, 0.0
    return np.array(starts, dtype=np.int64)


def draw_ratio(
    axes: Axes,
    edges: Floats,
    values: tuple[Floats, Floats],
    base: Floats,
    starts: NDArray[np.int64],
    *,
    shift: float = 0.0,
    **look: Any,
) -> None:
    """Draw contents (K,) with errors (K,) over those of a reference, `base` (K,), as points.

    Bins are merged into the groups that begin at `starts` (see `merged`); a group of several has
    a horizontal bar. `shift` moves the points within their bins, as a part of the width.
    """
    if len(starts) == 0:
        return
    ends = np.append(starts[1:], len(base))
    below = np.add.reduceat(base, starts)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(below > 0, np.add.reduceat(values[0], starts) / below, np.nan)
        error = np.sqrt(np.add.reduceat(values[1] ** 2, starts)) / np.abs(below)
    low, high = edges[starts], edges[ends]
    geometric = axes.get_xscale() == "log" and low.min() > 0
    middle = np.sqrt(low * high) if geometric else (low + high) / 2 + shift * (high - low)
    several = ends - starts > 1
    axes.errorbar(
        middle,
        ratio,
        np.where(np.isfinite(error), error, 0),
        [np.where(several, middle - low, 0), np.where(several, high - middle, 0)],
        **{"fmt": "o", "markersize": 4, "elinewidth": 1.4, **look},
    )


def limit_ratio(axes: Axes, reach: float | None = None) -> None:
    """Show a ratio linearly within [0, 2] if that holds it, else on a logarithm up to 20.

    With a `reach` the limits are 1 -+ it. Points outside of the limits are arrows at the edge;
    a panel without any point says so.
    """
    found = [np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines]
    ratio = np.concatenate([np.zeros(0), *(y[np.isfinite(y) & (y > 0)] for y in found)])
    shown = [line for line in axes.lines if np.isfinite(np.ravel(line.get_ydata())).any()]
    if not any(_is_points(line) or np.size(line.get_xdata()) > 2 for line in shown):
        axes.text(0.5, 0.7, "too few entries", transform=axes.transAxes, ha="center", size=13)
    if reach is not None or len(ratio) == 0 or (ratio.max() < 2 and ratio.min() > 0.2):
        reach = reach or min(1.0, 1.3 * np.abs(ratio - 1).max(initial=0.1))
        axes.set_ylim(1 - reach, 1 + reach)
        axes.yaxis.set_major_locator(MaxNLocator(3))
    else:
        axes.set_yscale("log")
        low, high = max(1 / 20, 0.7 * min(ratio.min(), 1)), min(20, 1.4 * max(ratio.max(), 1))
        axes.set_ylim(low, high)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 12 * low else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    arrows(axes)


def arrows(axes: Axes) -> None:
    """Draw an arrow at the edge of the axes for each point above or below their limits."""
    low, high = axes.get_ylim()
    for line in list(axes.lines):
        if not _is_points(line):
            continue
        x, y = (np.asarray(each, dtype=np.float64) for each in line.get_data())
        for beyond, marker, place in ((y > high, "^", 0.94), (y < low, "v", 0.06)):
            if beyond.any():
                axes.plot(
                    x[beyond],
                    np.full(int(beyond.sum()), place),
                    marker,
                    color=line.get_color(),
                    markerfacecolor="white",
                    markersize=8,
                    markeredgewidth=1.5,
                    transform=axes.get_xaxis_transform(),
                    gid=ARROW,
                )


def _is_points(line: matplotlib.lines.Line2D) -> bool:
    marker = line.get_marker()
    return marker not in ("", "None", "none", None, " ", "_", "|") and line.get_gid() != ARROW


def round_edges(low: float, high: float, bins: int = 40) -> NDArray[np.float64]:
    """Return edges over about [low, high] whose width is 1, 2, 2.5 or 5 times a power of ten."""
    width = max(high - low, 1e-9) / bins
    power = 10.0 ** np.floor(np.log10(width))
    width = power * min((1, 2, 2.5, 5, 10), key=lambda step: abs(step - width / power))
    return np.arange(np.floor(low / width), np.ceil(high / width) + 1) * width
