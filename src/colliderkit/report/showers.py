"""The page of an evaluation of showers: figures beside the floor, and what showers look like."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry, Grid, Layer
from colliderkit.files import atomic_file, existing_file
from colliderkit.metrics.showers import RESPONSE, VOXELS, ShowerHistograms, separations
from colliderkit.metrics.value import Value
from colliderkit.report import calorimeter
from colliderkit.report.html import Report
from colliderkit.report.results import Result

__all__ = ["Drawn", "add_showers", "example"]

Floats = NDArray[np.float64]
MOST = 6  # layers of which histograms are drawn
KINDS = {
    "centre eta": "The centre in eta",
    "width eta": "The width in eta",
    "width r": "The width in r",
    "sparsity": "The share of empty voxels",
}


@dataclass(frozen=True)
class Drawn:
    """Hold what is drawn of samples of showers, small however many showers they have.

    `spectra` by sample, the reference first, with the bins `edges`; `examples`, a single shower
    (V,) [MeV] of each, of about one energy; `floor`, the name of the sample that is a second
    reference, if there is one.
    """

    geometry: Geometry
    threshold: float
    edges: dict[str, Floats]
    spectra: dict[str, ShowerHistograms]
    examples: dict[str, tuple[float, Floats]]
    floor: str | None = None

    def write(self, path: str | Path, force: bool = False) -> Path:
        """Write all as HDF5."""
        with atomic_file(path, force) as part, h5py.File(part, "w") as file:
            file.attrs["geometry"] = self.geometry.name
            file.attrs["threshold"] = self.threshold
            file.attrs["floor"] = self.floor or ""
            for i, layer in enumerate(self.geometry.layers):
                group = file.create_group(f"layers/{i}")
                group.attrs.update(asdict(layer))
            # Names may hold a slash, which parts groups: they are attributes.
            for i, (name, edges) in enumerate(self.edges.items()):
                file[f"edges/{i}"] = edges
                file[f"edges/{i}"].attrs["name"] = name
            for i, (sample, spectra) in enumerate(self.spectra.items()):
                group = file.create_group(f"samples/{i}")
                energy, shower = self.examples[sample]
                group.attrs["name"], group.attrs["showers"] = sample, spectra.showers
                group.attrs["example_energy"] = energy
                group["example"] = shower
                for field in ("voxel_covariance", "mean", "layer", "radial"):
                    group[field] = getattr(spectra, field)
                for k, name in enumerate(self.edges):
                    group[f"counts/{k}"] = spectra.counts[name]
        return Path(path)

    @classmethod
    def read(cls, path: str | Path) -> "Drawn":
        """Read what `write` wrote; raise `InputError` where it is damaged."""
        path = existing_file(path)
        try:
            with h5py.File(path) as file:
                layers = tuple(_layer(group.attrs) for group in _ordered(file["layers"]))
                edges = {str(each.attrs["name"]): each[:] for each in _ordered(file["edges"])}
                spectra, examples = {}, {}
                for group in _ordered(file["samples"]):
                    name = str(group.attrs["name"])
                    counts = [each[:] for each in _ordered(group["counts"])]
                    arrays = {
                        f.name: group[f.name][:]
                        for f in fields(ShowerHistograms)
                        if f.name not in ("showers", "counts")
                    }
                    spectra[name] = ShowerHistograms(
                        int(group.attrs["showers"]),
                        dict(zip(edges, counts, strict=True)),
                        **arrays,
                    )
                    examples[name] = float(group.attrs["example_energy"]), group["example"][:]
                geometry = Geometry(str(file.attrs["geometry"]), layers)
                floor = str(file.attrs["floor"]) or None
                threshold = float(file.attrs["threshold"])
                return cls(geometry, threshold, edges, spectra, examples, floor)
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{path}: is damaged ({error}); evaluate again.") from error


def _layer(attributes: Any) -> Layer | Grid:
    if "r_edges" in attributes:
        edges = tuple(float(edge) for edge in attributes["r_edges"])
        return Layer(int(attributes["number"]), edges, int(attributes["angles"]))
    number, rows, columns = (int(attributes[name]) for name in ("number", "rows", "columns"))
    return Grid(number, rows, columns, float(attributes["height"]), float(attributes["width"]))


def _ordered(group: Any) -> list[Any]:
    return [group[name] for name in sorted(group, key=int)]


def example(incident: NDArray[Any], showers: NDArray[Any], energy: float) -> tuple[float, Floats]:
    """Return the shower (V,) whose incident energy is nearest to `energy` [MeV], and its energy."""
    incident = np.asarray(incident).reshape(-1)
    nearest = int(np.argmin(np.abs(np.log(incident / energy))))
    return float(incident[nearest]), np.asarray(showers[nearest], dtype=np.float64)


def add_showers(page: Report, results: Sequence[Result], drawn: Drawn) -> None:
    """Add the figures of each sample beside the floor, and the drawings.

    `results` have the samples as subjects.
    """
    reference, *others = drawn.spectra
    models = [name for name in others if name != drawn.floor]
    _add_figures(page, results, drawn)
    page.add_heading("Energy")
    page.add_figure(
        calorimeter.histograms(drawn.spectra, drawn.edges, [RESPONSE, VOXELS], floor=drawn.floor),
        f"Visible over incident energy, and the energies of all voxels of at least"
        f" {drawn.threshold:g} MeV. Bands and bars: counting; entries of one shower's voxels"
        " fluctuate together.",
        wide=True,
    )
    page.add_figure(
        calorimeter.profiles(drawn.spectra, drawn.geometry, floor=drawn.floor),
        "Mean energy along the shower, and its density across, with the errors of the means.",
        wide=True,
    )
    layers = _chosen(drawn)
    page.add_figure(
        calorimeter.histograms(
            drawn.spectra, drawn.edges, [f"E layer {n}" for n in layers], floor=drawn.floor
        ),
        "Energies of layers"
        + (
            ", six that part the energy evenly."
            if len(layers) < len(drawn.geometry.layers)
            else "."
        ),
        wide=True,
        tall=len(layers) > 3,
    )
    page.add_heading("Shape")
    for kind, title in KINDS.items():
        names = [f"{kind} layer {n}" for n in layers if f"{kind} layer {n}" in drawn.edges]
        if names:
            page.add_figure(
                calorimeter.histograms(drawn.spectra, drawn.edges, names, floor=drawn.floor),
                f"{title} of the showers in a layer.",
                wide=True,
                tall=len(names) > 3,
            )
    apart = {
        name: separations(drawn.spectra[reference], drawn.spectra[name])
        for name in ([drawn.floor] if drawn.floor else []) + models
    }
    page.add_figure(
        calorimeter.separation_by_layer(apart, drawn.geometry, floor=drawn.floor),
        "Separation power of each histogram of a layer, 1/2 Σ (h₁ - h₂)² / (h₁ + h₂), and what"
        " counting alone would give.",
        wide=True,
        tall=True,
    )
    page.add_heading("What showers look like")
    shown = {name: drawn.spectra[name].mean for name in (reference, *models)}
    page.add_figure(
        calorimeter.images(shown, drawn.geometry),
        "The mean shower, layer by layer, seen along the axis."
        + (
            " The radius is drawn as ln(1 + r / r₁), r₁ the end of the first ring."
            if calorimeter.irregular(drawn.geometry)
            else ""
        ),
        wide=True,
        tall=len(shown) > 2,
    )
    single = {
        f"{name}, {drawn.examples[name][0] / 1e3:.3g} GeV": drawn.examples[name][1]
        for name in (reference, *models[:2])
    }
    page.add_figure(
        calorimeter.view(single, drawn.geometry),
        "One shower of each, the voxels that were hit; the shower goes to the right.",
        wide=True,
    )


def _add_figures(page: Report, results: Sequence[Result], drawn: Drawn) -> None:
    subjects = list(dict.fromkeys(result.subject for result in results))
    if drawn.floor in subjects:  # beside the names of the figures
        subjects.remove(drawn.floor)
        subjects.insert(0, drawn.floor)
    cells = {(r.subject, r.quantity): r for r in results}
    figures = list(dict.fromkeys(result.quantity for result in results))
    bands = list(dict.fromkeys(f.partition(", ")[2] for f in figures if ", " in f))
    page.add_heading("Figures")
    page.add_table(
        ["", *subjects],
        [
            [_named(figure), *(_cell(cells.get((subject, figure))) for subject in subjects)]
            for figure in figures
            if ", " not in figure
        ],
        "Each sample against the reference; "
        + (
            f"“{drawn.floor}” is a second sample of the reference's density, what a perfect model"
            " would show."
            if drawn.floor
            else "without a second sample of the reference's density there is no floor to compare"
            " them with."
        )
        + " AUC: of classifiers, on showers that they have not seen; FPD and KPD (2211.10295), MMD"
        " and neighbours (2002.09797) on the high-level features; separation powers in the bins of"
        " the CaloChallenge (2410.21611), means over the layers. The errors are statistical; FPD is"
        " biased by the number of showers, in proportion to 1/N, as its floor is.",
    )
    if bands:
        kinds = list(dict.fromkeys(f.partition(", ")[0] for f in figures if ", " in f))
        page.add_table(
            ["", "sample", *bands],
            [
                [
                    _named(kind),
                    subject,
                    *(_cell(cells.get((subject, f"{kind}, {band}"))) for band in bands),
                ]
                for kind in kinds
                for subject in subjects
            ],
            "The same in bands of incident energy; the classifiers are those of all energies.",
        )
    page.results += results


def _thousand(figure: str) -> bool:
    return figure.startswith(("FPD", "KPD", "MMD", "separation", "Wasserstein"))


def _named(figure: str) -> str:
    return figure + (" × 10³" if _thousand(figure) else "")


def _cell(result: Result | None) -> Value | str:
    if result is None:
        return ""
    unit = 1e3 if _thousand(result.quantity) else 1
    return Value(unit * result.value, unit * (result.error or np.nan))


def _chosen(drawn: Drawn) -> list[int]:
    """Return the numbers of the layers that are drawn: all, or six that part the energy evenly."""
    mean = next(iter(drawn.spectra.values())).layer[0]
    numbers = [layer.number for layer in drawn.geometry.layers]
    if len(numbers) <= MOST:
        return numbers
    depth = (np.cumsum(mean) - mean / 2) / mean.sum()
    places = [int(np.argmin(np.abs(depth - (i + 0.5) / MOST))) for i in range(MOST)]
    return [numbers[place] for place in sorted(set(places))]
