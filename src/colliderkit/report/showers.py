"""Comparisons of showers on a page: quantities beside the floor, and what showers look like."""

from collections.abc import Mapping, Sequence

import numpy as np

from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.methods.simulation.comparison import ShowerComparison
from colliderkit.metrics.showers import RESPONSE, VOXELS, ShowerHistograms
from colliderkit.metrics.value import Value
from colliderkit.report import calorimeter
from colliderkit.report.html import Report
from colliderkit.report.results import Result

__all__ = ["FLOOR", "REFERENCE", "add_showers", "results_of", "strongest"]

REFERENCE, FLOOR = "reference", "floor"
# Of equal densities they are near zero: thousandths are easier to read.
DISTANCES = ("unbiased", "FPD", "KPD", "MMD", "separation", "Wasserstein")
MOST = 6  # layers of which histograms are drawn
KINDS = {
    "centre eta": "The centre in eta",
    "width eta": "The width in eta",
    "width r": "The width in r",
    "sparsity": "The share of empty voxels",
}


def results_of(subject: str, comparisons: Sequence[ShowerComparison]) -> list[Result]:
    """Return the quantities of comparisons that differ by the seed of their sample's model.

    Those of bands of incident energy are named "unbiased FPD, 2 to 8 GeV".
    """
    columns = [
        {
            **each.quantities_,
            **{
                f"{name}, {band}": value
                for band, quantities in each.bands_.items()
                for name, value in quantities.items()
            },
        }
        for each in comparisons
    ]
    return [
        Result.over_seeds(subject, name, [column[name] for column in columns])
        for name in columns[0]
    ]


def strongest(comparisons: Mapping[str, ShowerComparison], floor: str = FLOOR) -> list[str]:
    """Return a sentence a sample: its strongest classifier, with that of the floor beside."""
    beside = comparisons.get(floor)
    sentences = []
    for name, each in comparisons.items():
        if name == floor or not each.strongest_:
            continue
        quantity = f"AUC {each.strongest_}"
        known = None if beside is None else beside.quantities_.get(quantity)
        sentences.append(
            f"{name}: the strongest classifier is “{each.strongest_}”, AUC"
            f" {each.quantities_[quantity]}" + ("." if known is None else f" (floor {known}).")
        )
    return sentences


def add_showers(
    page: Report,
    results: Sequence[Result],
    comparisons: Mapping[str, ShowerComparison],
    *,
    reference: str = REFERENCE,
    floor: str = FLOOR,
) -> None:
    """Add the quantities of each sample beside the floor, and plots of the showers.

    `results` have the samples as subjects; `comparisons` are with one reference, by sample, that
    of `floor` is with a second sample of the reference's density, if there is one.
    """
    first = next(iter(comparisons.values()))
    geometry, edges = first.geometry_, first.edges_
    histograms = {reference: first.histograms_[0]}
    histograms |= {name: each.histograms_[1] for name, each in comparisons.items()}
    beside = floor if floor in comparisons else None
    models = [name for name in comparisons if name != floor]
    page.add_heading("How close is it?")
    if sentences := strongest(comparisons, floor):
        page.add_text(
            " ".join(sentences) + " It is the one whose AUC on the validation showers is largest;"
            " the published network alone says too little."
        )
    page.add_figure(
        calorimeter.histograms(histograms, edges, [RESPONSE, VOXELS], floor=beside),
        "Visible over incident energy, and the energies of all voxels of at least"
        f" {first.threshold:g} MeV: samples should lie on the reference. Bands and bars: counting;"
        " entries of one shower's voxels fluctuate together.",
        wide=True,
    )
    _add_quantities(page, results, beside)
    page.add_heading("Energy")
    page.add_figure(
        calorimeter.profiles(histograms, geometry, floor=beside),
        "Mean energy along the shower, and its density across, with the errors of the means.",
        wide=True,
    )
    layers = _shown_layers(histograms[reference], geometry)
    page.add_figure(
        calorimeter.histograms(histograms, edges, [f"E layer {n}" for n in layers], floor=beside),
        "Energies of layers"
        + (", six that part the energy evenly." if len(layers) < len(geometry.layers) else "."),
        wide=True,
    )
    page.add_heading("Shape")
    for kind, title in KINDS.items():
        names = [f"{kind} layer {n}" for n in layers if f"{kind} layer {n}" in edges]
        if names:
            page.add_figure(
                calorimeter.histograms(histograms, edges, names, floor=beside),
                f"{title} of the showers in a layer.",
                wide=True,
            )
    separations = {name: each.separations_ for name, each in comparisons.items()}
    page.add_figure(
        calorimeter.separation_by_layer(separations, geometry, floor=beside),
        "Separation power of each histogram of a layer, 1/2 Σ (h₁ - h₂)² / (h₁ + h₂), and what"
        " counting alone would give.",
        wide=True,
    )
    page.add_heading("What showers look like")
    shown = {name: histograms[name].mean for name in (reference, *models)}
    page.add_figure(
        calorimeter.images(shown, geometry),
        "The mean shower, layer by layer, seen along the axis."
        + (
            " The radius is drawn as ln(1 + r / r₁), r₁ the end of the first ring."
            if calorimeter.irregular(geometry)
            else ""
        ),
        wide=True,
    )
    examples = {reference: first.examples_[0]}
    examples |= {name: comparisons[name].examples_[1] for name in models[:2]}
    single = {f"{name}, {e / 1e3:.3g} GeV": shower for name, (e, shower) in examples.items()}
    page.add_figure(
        calorimeter.view(single, geometry),
        "One shower of each, the voxels that were hit; the shower goes to the right.",
        wide=True,
    )


def _add_quantities(page: Report, results: Sequence[Result], floor: str | None) -> None:
    subjects = list(dict.fromkeys(result.subject for result in results))
    if floor in subjects:  # beside the names of the quantities
        subjects.remove(floor)
        subjects.insert(0, floor)
    cells = {(r.subject, r.quantity): r for r in results}
    quantities = list(dict.fromkeys(result.quantity for result in results))
    bands = list(dict.fromkeys(f.partition(", ")[2] for f in quantities if ", " in f))
    kind_of = {quantity: quantity.partition(", ")[0] for quantity in quantities}
    small = {
        kind
        for kind in kind_of.values()
        if kind.startswith(DISTANCES)
        and all(abs(r.value) < 1 for r in results if kind_of[r.quantity] == kind)
    }

    def named(kind: str) -> str:
        return kind + (" × 10³" if kind in small else "")

    def cell(subject: str, quantity: str) -> Value | str:
        result = cells.get((subject, quantity))
        if result is None:
            return ""
        return result.estimate.times(1e3 if kind_of[quantity] in small else 1)

    page.add_table(
        ["", *subjects],
        [
            [named(quantity), *(cell(subject, quantity) for subject in subjects)]
            for quantity in quantities
            if ", " not in quantity
        ],
        "Each sample against the reference; "
        + (
            f"“{floor}” is a second sample of the reference's density, what a perfect model"
            " would show."
            if floor
            else "without a second sample of the reference's density there is no floor to compare"
            " them with."
        )
        + " AUC: of classifiers, on showers that they have not seen; FPD and KPD (2211.10295), MMD"
        " and neighbours (2002.09797) on the high-level features; separation powers in the bins of"
        " the CaloChallenge (2410.21611), means over the layers. The errors are those of the"
        " showers; jetnet's FPD and KPD, without “unbiased”, have those of their draws from these"
        " showers alone, and are above zero for equal densities: quote the unbiased ones.",
    )
    if bands:
        kinds = list(dict.fromkeys(f.partition(", ")[0] for f in quantities if ", " in f))
        page.add_table(
            ["", "sample", *bands],
            [
                [
                    named(kind),
                    subject,
                    *(cell(subject, f"{kind}, {band}") for band in bands),
                ]
                for kind in kinds
                for subject in subjects
            ],
            "The same in bands of incident energy; the classifiers are those of all energies.",
        )
    page.results += results


def _shown_layers(reference: ShowerHistograms, geometry: Geometry) -> list[int]:
    """Return the numbers of the layers that are drawn: all, or six that part the energy evenly."""
    mean = reference.layer[0]
    numbers = [layer.number for layer in geometry.layers]
    if len(numbers) <= MOST:
        return numbers
    depth = (np.cumsum(mean) - mean / 2) / mean.sum()
    places = [int(np.argmin(np.abs(depth - (i + 0.5) / MOST))) for i in range(MOST)]
    return [numbers[place] for place in sorted(set(places))]
