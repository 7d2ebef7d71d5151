"""Plots of decorrelation: what is drawn is what was given."""

import io
import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import CARETUPBASE

from colliderkit.metrics.value import Value
from colliderkit.report.decorrelation import colours, efficiencies, frontier
from colliderkit.report.plots import style


def drawn(figure: Figure) -> bytes:
    file = io.BytesIO()
    with style():
        figure.savefig(file, format="svg")
    return file.getvalue()


def test_the_frontier_holds_every_point():
    points = {
        "plain": [(Value(30, 1), Value(4, 0.1))],
        "DisCo": [(Value(8, 0.2), Value(300, 30)), (Value(20, 0.5), Value(10, 0.4))],
    }
    figure = frontier(points, published={"theirs": [(19.0, 4.1), (7.5, 301.0)]})
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "theirs",
        "plain",
        "DisCo",
    ]
    # The points of a method are joined by rejection.
    own = [
        line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"
    ]
    assert list(own[0].get_xdata()) == [8, 20]
    assert len(drawn(figure)) > 5000


def test_efficiencies_are_drawn_over_the_bins():
    figure = efficiencies({"flat": (np.ones(3), np.full(3, 0.01))}, [50, 100, 150, 250])
    (axes,) = figure.axes
    assert axes.get_xlim() == (50, 250)
    assert axes.get_ylim()[0] == 0
    drawn(figure)


def test_a_limit_has_an_arrow():
    limit = Value(500, math.nan, True)
    points = [(Value(5, 0.1), limit), (Value(9, 0.1), Value(50, 4))]
    figure = frontier({"one": points})
    # A caret at the end of the bar of the limit alone.
    carets = [line for line in figure.axes[0].lines if line.get_marker() == CARETUPBASE]
    assert [list(line.get_ydata()) for line in carets] == [[700]]
    drawn(figure)


def test_a_family_keeps_its_colour_over_figures() -> None:
    first = colours(["unconstrained", "DisCo", "MoDe[0], binned"])
    members = colours(["unconstrained", "DisCo, strength 300", "MoDe[0], binned, at most 0.1"])
    assert list(first.values()) == list(members.values())
    assert len(set(first.values())) == 3
