"""Every plotting function: nothing collides, nothing is cut off, the file has what is drawn."""

import csv
import importlib
import inspect
import itertools
import pkgutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from colliderkit import report
from colliderkit.report import plots
from colliderkit.report.curves import curves_of, described, write_curves
from drawings import DRAWINGS, contrast

SOURCE = (
    r"Pythia 8, particle level and fast detector, pp √s = 14 TeV, anti-$k_T$ R = 0.4,"
    r" $p_T$ > 100 GeV"
)


def plotting_functions() -> set[str]:
    """Return all functions of the report's modules that return a figure."""
    found = set()
    for module in pkgutil.iter_modules(report.__path__):
        loaded = importlib.import_module(f"colliderkit.report.{module.name}")
        for name, function in inspect.getmembers(loaded, inspect.isfunction):
            own = function.__module__ == loaded.__name__ and not name.startswith("_")
            if own and inspect.signature(function).return_annotation is Figure:
                found.add(f"{module.name}.{name}")
    return found


def test_every_plotting_function_is_drawn_here():
    assert plotting_functions() == set(DRAWINGS)


def texts(figure: Figure) -> list[Text]:
    """Return what is written and seen; in three dimensions the labels of ticks alone are not."""
    found = list(figure.texts)
    for row in figure.legends:
        found += [*row.get_texts(), row.get_title()]
    for name in ("_suptitle", "_supxlabel", "_supylabel"):
        found.append(getattr(figure, name))
    for axes in figure.axes:
        if not axes.get_visible() or axes.name == "3d":
            continue
        found += [*axes.texts, axes.title, axes._left_title, axes._right_title]
        for axis in (axes.xaxis, axes.yaxis):
            found += [axis.label, axis.offsetText]
            low, high = sorted(axis.get_view_interval())
            room = 1e-9 * (high - low)
            for minor in (False, True):
                for tick in axis.get_minor_ticks() if minor else axis.get_major_ticks():
                    if low - room <= tick.get_loc() <= high + room:
                        found += [tick.label1, tick.label2]
    found = list({id(text): text for text in found}.values())
    return [t for t in found if t is not None and t.get_visible() and t.get_text().strip()]


def box_of(text: Text, renderer) -> Bbox:
    return text.get_window_extent(renderer).padded(-1.0)


def placed(name: str) -> Figure:
    """Return a figure as it is on a page, with the line that says where it is from."""
    figure = DRAWINGS[name]()
    with plots.style():
        plots.fit_to_page(figure, plots.span_of(figure))
        plots.mark(figure, SOURCE)
        FigureCanvasAgg(figure).draw()
    return figure


@pytest.mark.parametrize("name", DRAWINGS)
def test_nothing_collides_and_nothing_is_cut_off(name, tmp_path):
    figure = placed(name)
    renderer = figure.canvas.get_renderer()
    written = [(text.get_text(), box_of(text, renderer)) for text in texts(figure)]
    for (one, first), (other, second) in itertools.combinations(written, 2):
        assert not first.overlaps(second), f"'{one}' and '{other}' lie on each other"
    canvas = Bbox.from_bounds(0, 0, *figure.get_size_inches() * figure.dpi)
    for text, box in written:
        seen = Bbox.intersection(canvas, box)
        assert seen is not None, f"'{text}' is cut off"
        assert seen.size == pytest.approx(box.size), f"'{text}' is cut off"
    panels = [axes for axes in figure.axes if axes.get_visible() and axes.name != "3d"]
    for axes in panels:
        assert axes.get_legend() is None
        for row in figure.legends:
            box = row.get_window_extent(renderer).padded(-1.0)
            assert not box.overlaps(axes.bbox), "the legend lies on a panel"
    assert figure.legends[0].get_title().get_text().startswith("Pythia 8")
    check_contrast(figure)
    check_writing(figure, renderer)
    check_curves(figure, tmp_path)


def check_contrast(figure: Figure) -> None:
    """Find a contrast of 3 in each named line, on white and on the card of a dark page.

    Helping lines without a name, and what fills a band, may be pale.
    """
    for axes in figure.axes:
        for line in axes.lines:
            if line.get_label().startswith("_") or not line.get_visible():
                continue
            marked = line.get_linestyle() in ("None", "none", " ", "")
            colour = line.get_markeredgecolor() if marked else line.get_color()
            check_colour(colour, line.get_alpha(), line.get_label())
        for patch in axes.patches:
            if not patch.get_fill() and not str(patch.get_label()).startswith("_"):
                check_colour(patch.get_edgecolor(), patch.get_alpha(), patch.get_label())


def check_colour(colour: object, alpha: float | None, label: object) -> None:
    red, green, blue, own = to_rgba(colour)
    seen = own if alpha is None else alpha
    for page in ("#ffffff", plots.CARD):
        mixed = seen * np.array([red, green, blue]) + (1 - seen) * np.array(to_rgb(page))
        assert contrast(mixed, page) >= 3, f"{label} can hardly be seen on {page}"


def check_writing(figure: Figure, renderer) -> None:
    """Find no line that runs through what is written in a panel."""
    for axes in figure.axes:
        if axes.name == "3d" or axes.images or axes.collections:
            continue
        for text in axes.texts:
            box = box_of(text, renderer)
            for line in axes.lines:
                if not str(line.get_label()).startswith("_") and line.get_visible():
                    path = line.get_transform().transform_path(line.get_path())
                    assert not path.intersects_bbox(box, filled=False), (
                        f"{line.get_label()} runs through '{text.get_text()}'"
                    )


def check_curves(figure: Figure, folder: Path) -> None:
    """Find each number that is drawn in the file of the curves."""
    curves = curves_of(figure)
    assert curves
    assert described(curves)
    write_curves(curves, folder / "curves.csv")
    with (folder / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(len(curve) for curve in curves) == len(rows)
    panels = [a for a in figure.axes if a.get_visible() and a.get_label() != "<colorbar>"]
    for number, axes in enumerate(panels, 1):
        here = [row for row in rows if row["panel"].split(" ")[0] == str(number)]
        # The caps of bars are lines too.
        ys = {row[column] for row in here for column in ("y", "y_low", "y_high")}
        for line in axes.lines:
            across = line.get_transform() != axes.transData
            if across or len(line.get_xdata()) == 0 or line.get_gid() == plots.ARROW:
                continue
            for y in np.asarray(line.get_ydata(), dtype=np.float64):
                assert np.isnan(y) or f"{y:.10g}" in ys
        for patch in axes.patches:
            if hasattr(patch, "get_data"):
                values, _, baseline = patch.get_data()
                column = "y_high" if np.ndim(baseline) else "y"
                found = {row[column] for row in here}
                assert {f"{v:.10g}" for v in values if np.isfinite(v)} <= found
        for image in axes.images:
            values = np.ma.asarray(image.get_array(), dtype=np.float64).filled(np.nan)
            found = {row["value"] for row in here}
            assert {f"{v:.10g}" for v in values.ravel() if np.isfinite(v)} <= found
