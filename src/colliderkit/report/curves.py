"""The curves of a figure as numbers, read from what is drawn: for files beside it and for words.

A curve has columns of equal length: `x`, `y`, the ends of their bars or bins (`x_low`, `x_high`,
`y_low`, `y_high`), and `value` where a colour says it.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import (
    FillBetweenPolyCollection,
    LineCollection,
    PolyCollection,
    QuadMesh,
)
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch
from numpy.typing import NDArray

from colliderkit.report.plots import ARROW
from colliderkit.report.words import plain

__all__ = ["COLUMNS", "Curve", "curves_of", "described", "record", "write_curves"]

Floats = NDArray[np.float64]
COLUMNS = ("x", "x_low", "x_high", "y", "y_low", "y_high", "value")
MOST = 4  # panels, and curves of a panel, that are described


@dataclass(frozen=True)
class Curve:
    """Curve of a figure: its panel, what the axes are, its name, and columns of numbers (N,)."""

    panel: str
    x_label: str
    y_label: str
    name: str
    columns: Mapping[str, Floats]

    def __len__(self) -> int:
        """Return the number of points."""
        return len(next(iter(self.columns.values())))


def record(artist: Artist, **columns: Any) -> None:
    """Keep the numbers of an artist that does not hold them itself: what `curves_of` reads."""
    artist.columns = {k: np.asarray(v, dtype=np.float64) for k, v in columns.items()}  # type: ignore[attr-defined]


def curves_of(figure: Figure) -> list[Curve]:
    """Return what a figure shows, panel by panel, in the order in which it was drawn."""
    panels = [a for a in figure.axes if a.get_visible() and a.get_label() != "<colorbar>"]
    names = {
        name: colour
        for axes in panels
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
        if (colour := _colour(handle)) is not None
    }
    found = []
    for number, axes in enumerate(panels, 1):
        title = plain(axes.get_title("left") or axes.get_title("right") or axes.get_title())
        panel = f"{number} {title}".strip()
        x_label, y_label = _labels(figure, axes)
        seen: list[tuple[str, Mapping[str, Floats]]] = []
        for artist, columns in _read(axes):
            name = _name(artist, names)
            # An outline and its filling are one curve.
            if any(name == other and _equal(columns, kept) for other, kept in seen):
                continue
            seen.append((name, columns))
            found.append(Curve(panel, x_label, y_label, name, columns))
    return found


def _labels(figure: Figure, axes: Axes) -> tuple[str, str]:
    """Return the labels of the axes, those that a panel shares with its neighbours too."""
    labels = []
    for which in ("x", "y"):
        group = getattr(axes, f"get_shared_{which}_axes")().get_siblings(axes)
        each = [getattr(other, f"get_{which}label")() for other in (axes, *group)]
        figures = getattr(figure, f"get_sup{which}label")()
        labels.append(plain(next((label for label in each if label), figures)))
    return labels[0], labels[1]


def _equal(one: Mapping[str, Floats], other: Mapping[str, Floats]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[key], other[key], equal_nan=True) for key in one
    )


def _read(axes: Axes) -> Iterator[tuple[Any, dict[str, Floats]]]:
    """Yield the artists of an axes that hold numbers, with their columns."""
    parts: set[int] = set()
    for container in axes.containers:
        pieces = container.get_children()
        parts |= {id(piece) for piece in pieces}
        if isinstance(container, ErrorbarContainer):
            yield container, _bars(container)
        elif isinstance(container, BarContainer):
            boxes = [(b.get_x(), b.get_y(), b.get_width(), b.get_height()) for b in container]
            x, y, width, height = np.array(boxes).T
            if container.orientation == "horizontal":
                yield container, {"x": x + width, "y": y + height / 2}
            else:
                yield container, {"x_low": x, "x_high": x + width, "y": y + height}
    for artist in axes.get_children():
        if id(artist) in parts or artist.get_gid() == ARROW or not artist.get_visible():
            continue
        columns = getattr(artist, "columns", None) or _columns(axes, artist)
        if columns and len(next(iter(columns.values()))):
            yield artist, columns


def _columns(axes: Axes, artist: Artist) -> dict[str, Floats]:
    if isinstance(artist, Line2D):
        x, y = (np.asarray(each, dtype=np.float64) for each in artist.get_data())
        if artist.get_transform() == axes.transData:
            return {"x": x, "y": y}
        # A line across the axes: of the one coordinate that is a number.
        named = not str(artist.get_label()).startswith("_")
        if artist.get_transform() == axes.get_yaxis_transform(which="grid") and named:
            return {"y": y[:1]}
        return {"x": x[:1]} if named else {}
    if isinstance(artist, StepPatch):
        values, edges, baseline = artist.get_data()
        columns = {"x_low": np.asarray(edges[:-1]), "x_high": np.asarray(edges[1:])}
        if np.ndim(baseline) > 0:
            return columns | {"y_low": np.asarray(baseline), "y_high": np.asarray(values)}
        return columns | {"y": np.asarray(values)}
    if isinstance(artist, FillBetweenPolyCollection):
        return _band(artist)
    if isinstance(artist, ContourSet):
        paths = [path.vertices for path in artist.get_paths()]
        points = np.concatenate([np.zeros((0, 2)), *map(np.asarray, paths)])
        return {"x": points[:, 0], "y": points[:, 1]}
    if isinstance(artist, LineCollection):
        ends = np.array([segment for segment in artist.get_segments() if len(segment) == 2])
        if len(ends) and np.array_equal(ends[:, 0, 1], ends[:, 1, 1]):
            return {"x_low": ends[:, 0, 0], "x_high": ends[:, 1, 0], "y": ends[:, 0, 1]}
        return {}
    if isinstance(artist, AxesImage):
        return _pixels(artist)
    if isinstance(artist, QuadMesh):
        corners = np.asarray(artist.get_coordinates())
        low, high = corners[:-1, :-1].reshape(-1, 2), corners[1:, 1:].reshape(-1, 2)
        values = np.ma.filled(np.ma.asarray(artist.get_array(), dtype=np.float64), np.nan)
        across = {"x_low": low[:, 0], "x_high": high[:, 0]}
        return across | {"y_low": low[:, 1], "y_high": high[:, 1], "value": values.ravel()}
    if isinstance(artist, PolyCollection) and artist.get_array() is not None:
        middles = np.array([np.asarray(path.vertices).mean(0) for path in artist.get_paths()])
        values = np.ma.filled(np.ma.asarray(artist.get_array(), dtype=np.float64), np.nan)
        return {"x": middles[:, 0], "y": middles[:, 1], "value": values}
    return {}


def _bars(container: ErrorbarContainer) -> dict[str, Floats]:
    """Return points and the ends of their bars."""
    line, _, bars = container.lines
    ends = [np.array([np.asarray(path.vertices) for path in each.get_paths()]) for each in bars]
    columns: dict[str, Floats] = {}
    if line is not None:
        x, y = (np.asarray(each, dtype=np.float64) for each in line.get_data())
        columns = {"x": x, "y": y}
    if container.has_xerr:
        across = ends.pop(0)
        columns |= {"x_low": across[:, 0, 0], "x_high": across[:, 1, 0]}
    if container.has_yerr:
        up = ends.pop(0)
        if "x" not in columns:
            columns["x"] = up[:, 0, 0]
        columns |= {"y_low": up[:, 0, 1], "y_high": up[:, 1, 1]}
    return columns


def _band(band: FillBetweenPolyCollection) -> dict[str, Floats]:
    """Return the two sides of a band, from its outlines."""
    x, low, high = [], [], []
    for path in band.get_paths():
        corners = np.asarray(path.vertices)
        count = (len(corners) - 3) // 2
        x.append(corners[1 : count + 1, 0])
        one, other = corners[1 : count + 1, 1], corners[count + 2 : 2 * count + 2, 1][::-1]
        low.append(np.minimum(one, other))
        high.append(np.maximum(one, other))
    if not x:
        return {}
    return {
        "x": np.concatenate(x),
        "y_low": np.concatenate(low),
        "y_high": np.concatenate(high),
    }


def _pixels(image: AxesImage) -> dict[str, Floats]:
    """Return the middles of an image's pixels, row by row, and their values."""
    values = np.ma.filled(np.ma.asarray(image.get_array(), dtype=np.float64), np.nan)
    left, right, bottom, top = image.get_extent()
    if image.origin == "upper":
        bottom, top = top, bottom
        rows = np.linspace(bottom, top, 2 * len(values) + 1)[1::2]
    else:
        rows = np.linspace(bottom, top, 2 * len(values) + 1)[1::2]
    columns = np.linspace(left, right, 2 * values.shape[1] + 1)[1::2]
    y, x = np.meshgrid(rows, columns, indexing="ij")
    return {"x": x.ravel(), "y": y.ravel(), "value": values.ravel()}


def _name(artist: Any, names: Mapping[str, Any]) -> str:
    """Return the label of an artist, or that of the only entry of a legend in its colour."""
    label = str(artist.get_label() or "")
    if label and not label.startswith("_"):
        return plain(label)
    colour = _colour(artist)
    alike = [name for name, other in names.items() if other == colour]
    return plain(alike[0]) if colour is not None and len(alike) == 1 else ""


def _colour(artist: Any) -> str | None:
    """Return the colour of an artist without its transparency, or None."""
    if isinstance(artist, ErrorbarContainer):
        line, _, bars = artist.lines
        return _colour(line if line is not None else bars[0])
    if isinstance(artist, Line2D):
        return _hex(artist.get_color())
    if isinstance(artist, StepPatch):
        return _hex(artist.get_facecolor() if artist.get_fill() else artist.get_edgecolor())
    if isinstance(artist, FillBetweenPolyCollection | LineCollection):
        faces = artist.get_facecolor()
        faces = faces if len(faces) else artist.get_edgecolor()
        return _hex(faces[0]) if len(faces) else None
    return None


def _hex(colour: Any) -> str:
    return to_hex(colour)


def write_curves(curves: Sequence[Curve], path: Path) -> None:
    """Write curves as one table, a row a point, with the labels of the axes in each row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["panel", "x axis", "y axis", "curve", *COLUMNS])
        for curve in curves:
            empty = np.full(len(curve), np.nan)
            rows = np.stack([curve.columns.get(name, empty) for name in COLUMNS], 1)
            for row in rows:
                numbers = ["" if np.isnan(number) else f"{number:.10g}" for number in row]
                writer.writerow([curve.panel, curve.x_label, curve.y_label, curve.name, *numbers])


def described(curves: Sequence[Curve]) -> str:
    """Say in words what the curves of a figure show: where each begins, ends, and is largest."""
    sentences = []
    panels = list(dict.fromkeys(curve.panel for curve in curves))
    for panel in panels[:MOST]:
        here = [curve for curve in curves if curve.panel == panel]
        named = [curve for curve in here if curve.name and _words(curve)]
        here = named or here
        said: dict[str, str] = {}
        for curve in here:
            if curve.name not in said and (words := _words(curve)):
                said[curve.name] = words
        if not said:
            continue
        axes = f"{here[0].y_label or 'values'} against {here[0].x_label or 'position'}"
        title = panel.partition(" ")[2]
        shown = [f"{name} {words}".strip() for name, words in list(said.items())[:MOST]]
        more = f"; and {len(said) - MOST} more" if len(said) > MOST else ""
        sentences.append((f"{title}: " if title else "") + f"{axes}: {'; '.join(shown)}{more}.")
    if len(panels) > MOST:
        sentences.append(f"{len(panels) - MOST} further panels.")
    return " ".join(sentences)


def _words(curve: Curve) -> str:
    columns = curve.columns
    if "value" in columns:
        values = columns["value"][np.isfinite(columns["value"])]
        return f"from {values.min():.3g} to {values.max():.3g}" if len(values) else ""
    if "y" not in columns or ("x" not in columns and "x_low" not in columns):
        return ""
    x = columns["x"] if "x" in columns else (columns["x_low"] + columns["x_high"]) / 2
    y = columns["y"]
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    if len(y) == 0:
        return ""
    if len(y) == 1:
        return f"{y[0]:.3g} at {x[0]:.3g}"
    best = int(y.argmax())
    words = f"{y[0]:.3g} at {x[0]:.3g} to {y[-1]:.3g} at {x[-1]:.3g}"
    return words + (f", largest {y[best]:.3g} at {x[best]:.3g}" if 0 < best < len(y) - 1 else "")
