"""Figures of a page: their places on it, and their files beside it."""

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from colliderkit.report.curves import curves_of, described, write_curves
from colliderkit.report.plots import Span, fit_to_page, mark, span_of, style

__all__ = ["Drawing", "grouped", "pictures", "spans", "write_figures"]

RESOLUTION = 150  # dots an inch, of PNG and of what is rasterised


@dataclass(frozen=True)
class Drawing:
    """Plot with its caption, and what stands in files beside the page.

    `alone` in its row, or two side by side; `source` says where its events are from, if not that
    of the report; `beside` has what writes a folder, by the word of its link.
    """

    kind: ClassVar[str] = "drawing"
    figure: Figure
    caption: str
    number: int
    alone: bool = False
    source: str | None = None
    beside: Mapping[str, Callable[[Path], Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its files, such as ``03-roc``."""
        label = str(self.figure.get_label() or "figure").strip("_").replace("_", "-")
        return f"{self.number:02d}-{label}"

    @property
    def alternative(self) -> str:
        """What it shows, in words."""
        return described(curves_of(self.figure)) or self.caption


def grouped(blocks: Sequence[Any]) -> list[list[Any]]:
    """Put drawings that follow one another into one group: the page sets them side by side."""
    groups: list[list[Any]] = []
    for block in blocks:
        if groups and isinstance(block, Drawing) and isinstance(groups[-1][-1], Drawing):
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def pictures(blocks: Sequence[Any], source: str = "") -> dict[int, str]:
    """Return each drawing among `blocks` as a data address (SVG), by its number.

    `source` is where the events of all are from that do not say it themselves.
    """
    places = spans(blocks)
    return {
        drawing.number: _address(_images(drawing, places[drawing.number], ("svg",), source)["svg"])
        for drawing in _drawings(blocks)
    }


def write_figures(blocks: Sequence[Any], folder: Path, source: str = "") -> dict[int, str]:
    """Write each drawing to `folder` as PDF and PNG, and its curves as CSV; return `pictures`."""
    places = spans(blocks)
    addresses: dict[int, str] = {}
    for drawing in _drawings(blocks):
        images = _images(drawing, places[drawing.number], ("svg", "pdf", "png"), source)
        addresses[drawing.number] = _address(images["svg"])
        for kind in ("pdf", "png"):
            (folder / f"{drawing.name}.{kind}").write_bytes(images[kind])
        write_curves(curves_of(drawing.figure), folder / f"{drawing.name}.csv")
        for word, write in drawing.beside.items():
            write(folder / f"{drawing.name}-{word.lower()}")
    return addresses


def _drawings(blocks: Iterable[Any]) -> list[Drawing]:
    return [block for block in blocks if isinstance(block, Drawing)]


def spans(blocks: Sequence[Any]) -> dict[int, Span]:
    """Return how much of the page each drawing takes: pairs have half, what is left stands alone.

    A drawing that is alone has its caption beside it.
    """
    found: dict[int, Span] = {}
    for group in grouped(blocks):
        waiting: Drawing | None = None
        for block in group:
            if not isinstance(block, Drawing):
                continue
            if span_of(block.figure) == "wide":
                found[block.number] = "wide"
            elif not block.alone and waiting is not None:
                found[waiting.number] = found[block.number] = "half"
                waiting = None
                continue
            else:
                found[block.number] = "lone"
            waiting = None if block.alone or found[block.number] == "wide" else block
    return found


def _images(drawing: Drawing, span: Span, kinds: Sequence[str], source: str) -> dict[str, bytes]:
    """Return a drawing in some formats at its size on the page; the same gives the same bytes."""
    figure, images = drawing.figure, {}
    fixed = {"svg.hashsalt": "colliderkit", "figure.constrained_layout.use": False}
    with style(), matplotlib.rc_context(fixed):
        fit_to_page(figure, span)
        mark(figure, source if drawing.source is None else drawing.source)
        engine = figure.get_layout_engine()
        for kind in kinds:
            file = io.BytesIO()
            date: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
            figure.savefig(file, format=kind, metadata=date[kind], dpi=RESOLUTION)
            images[kind] = file.getvalue()
            # The places of the panels stay: finding them takes as long as drawing. With any engine,
            # be it one that does nothing, all is drawn twice.
            figure.set_layout_engine(None)
        figure.set_layout_engine(engine)
    return images


def _address(svg: bytes) -> Markup:
    """Return a picture as a data address that is safe within double quotes.

    Coordinates keep two decimals of a point; letters stay as they are, where base64 would take a
    third more.
    """
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), svg.decode())
    text = " ".join(re.sub(r">\s+<", "><", text).split()).replace('"', "'")
    return Markup("data:image/svg+xml," + quote(text, safe=" '/:;=,.-+*@!?[]{}|$~^"))
