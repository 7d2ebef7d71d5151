"""Tasks of showers: a surrogate of their simulation, and comparisons of generated ones."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colliderkit.errors import InputError
from colliderkit.events.calorimeter import Geometry, read_xml
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.files import existing_file
from colliderkit.methods.method import load
from colliderkit.methods.simulation.classifiers import DEFAULT, PUBLISHED
from colliderkit.methods.simulation.comparison import ShowerComparison, check_band
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.metrics.value import number
from colliderkit.report.html import Report
from colliderkit.report.results import read_results
from colliderkit.report.showers import FLOOR, REFERENCE, add_showers, results_of, strongest
from colliderkit.report.training import training as loss_curves
from colliderkit.report.verdict import Aim, Ranking
from colliderkit.report.words import plural
from colliderkit.serve.showers import export_surrogate
from colliderkit.sources import write
from colliderkit.sources.files.showers import mapped_showers, read_showers, write_showers
from colliderkit.sources.geant4.calorimeters import CALORIMETERS, calorimeter
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.task import Evaluation, Inputs, Task
from colliderkit.training.settings import Training

__all__ = ["ShowerComparisonTask", "ShowersTask"]

Files = list[str] | str
COMPARISONS = "comparisons"  # of a folder of evaluate: a fitted method each, by number


class ShowersTask(Task):
    """Learn a surrogate of a shower simulation, draw showers from it, and compare them."""

    methods = ("shower-surrogate",)
    written = (".hdf5", ".h5")

    def read(
        self,
        method: ShowerSurrogate,
        files: Files,
        *,
        geometry: str,
        particle: str | None = None,
        without: list[float] | None = None,
    ) -> Inputs:
        """Learn a surrogate of the simulation that made these showers.

        Args:
            files: HDF5 files of showers, in the CaloChallenge's or CaloGAN's layout.
            geometry: a calorimeter of generate, or an XML file of the CaloChallenge.
            particle: of an XML file with several.
            without: two incident energies [MeV], between which showers are left out: what
                evaluate --bands then says of these is interpolation, or extrapolation at an end.

        Examples:
            colliderkit fit showers photons.hdf5 --geometry photons-368 --out surrogate
        """
        voxels = geometry_of(geometry, particle)
        paths = [files] if isinstance(files, str) else files
        showers = Showers.joined([read_showers(path, voxels) for path in paths])
        low, high = showers.incident.min(), showers.incident.max()
        account(
            f"read {', '.join(map(str, paths[:3]))}: {len(showers)} showers of {low:.4g} to"
            f" {high:.4g} MeV"
        )
        if without is not None:
            if len(without) != 2 or not without[0] < without[1]:
                raise InputError(
                    f"without is {without}; give two energies in MeV, the lower one first."
                )
            low, high = without
            showers = showers.at((showers.incident < low) | (showers.incident >= high))
        return Inputs(method, {"showers": showers, "geometry": voxels})

    def apply(
        self,
        method: ShowerSurrogate,
        files: str,
        *,
        out: Path,
        seed: int = 0,
        outside: bool = False,
        force: bool = False,
    ) -> None:
        """Draw a shower for each incident energy of a file of showers, and write them as HDF5.

        Args:
            files: an HDF5 file of showers, whose incident energies are taken.
            seed: fixes every shower.
            outside: also draw at energies outside the trained range.

        Examples:
            colliderkit apply surrogate energies.hdf5 --out made.hdf5
        """
        incident = read_showers(files).incident
        showers = method.sample(incident, seed=seed, outside=outside)
        attributes = {"physics": f"surrogate {method.generator}"}
        write_showers(out, incident, showers, attributes=attributes, force=force)

    def evaluate(
        self,
        *,
        showers: Path,
        sample: dict[str, str] | list[str] | str,
        geometry: str,
        particle: str | None = None,
        floor: Path | None = None,
        training: Path | None = None,
        count: int | None = None,
        threshold: float = 0.0,
        bands: tuple[float, ...] = (),
        levels: tuple[str, ...] = DEFAULT,
        width: int = 512,
        repetitions: int = 1,
        standardised: bool = False,
        classifier: Training = PUBLISHED,
        seed: int = 0,
    ) -> Evaluation:
        r"""Compare files of showers with a reference, by all measures of the CaloChallenge.

        Args:
            showers: the reference: HDF5 in the layout of the CaloChallenge or of CaloGAN.
            sample: a file to compare with it, several as "[A, B]", or by name as "{name: A}".
            geometry: a calorimeter's name, such as photons-368, or an XML file of the
                CaloChallenge.
            particle: which one of the XML file, where it has several.
            floor: a second file of the reference's density, which is what a perfect model would
                give.
            training: what the samples' model was fitted to, to see whether it copies.
            count: showers of each file that are used, the first ones; all if not given.
            threshold: in MeV; voxels below it count as empty.
            bands: edges in MeV of bands of incident energy that are compared too.
            levels: what classifiers see, of low-level (as published), low-level-log (log10 E),
                high-level and 3-D ResNet, which is slow.
            width: of the classifiers' layers; 2048 is published.
            repetitions: trainings of each classifier, whose scatter enters the errors.
            standardised: scale the classifiers' inputs, which makes them see more than the
                published.
            classifier: how the classifiers are trained.
            seed: of splits, initial weights and draws.

        Examples:
            colliderkit evaluate showers --showers geant4.hdf5 --sample made.hdf5 \
              --geometry photons-368 --out made-test
        """
        voxels = geometry_of(geometry, particle)
        files = _named(sample, floor)
        edges = tuple(sorted(bands))
        comparisons: dict[str, ShowerComparison] = {}
        with tempfile.TemporaryDirectory(prefix="colliderkit-showers-") as folder:

            def mapped(path: Path) -> Showers:
                return mapped_showers(path, folder, voxels, stop=count)

            reference = mapped(showers)
            seen = None if training is None else mapped(training)
            samples = {name: mapped(path) for name, path in files.items()}
            for low, high in zip(edges[:-1], edges[1:], strict=True):  # before what takes long
                check_band([s.incident for s in (reference, *samples.values())], low, high)
            for name, generated in samples.items():
                comparison = ShowerComparison(
                    threshold=threshold,
                    levels=levels,
                    classifier=classifier,
                    width=width,
                    repetitions=repetitions,
                    standardised=standardised,
                    bands=edges,
                )
                comparisons[name] = comparison.fit(
                    reference, generated, voxels, training=None if name == FLOOR else seen,
                    seed=seed,
                )  # fmt: skip
        results = [
            result for name, each in comparisons.items() for result in results_of(name, [each])
        ]
        for sentence in strongest(comparisons):
            print(sentence)
        title = f"{', '.join(name for name in files if name != FLOOR)} against {showers}"
        about = {"samples": list(comparisons), "seeds": [seed]}
        return Evaluation(title, results, about=about, write=lambda out: _save(comparisons, out))

    def page(self, model: Path | None, evaluation: Path | None = None) -> Report:
        """Draw how a surrogate was trained; of an evaluation, its samples beside the reference.

        Examples:
            colliderkit report made-test
        """
        if evaluation is None:
            assert model is not None
            return _surrogate_page(model)
        note = runs.about(evaluation)
        comparisons = {
            name: load(evaluation / COMPARISONS / str(i)) for i, name in enumerate(note["samples"])
        }
        results = read_results(existing_file(evaluation / runs.RESULTS))
        names = ", ".join(name for name in comparisons if name != FLOOR)
        return _page(f"{names} against a reference", comparisons, results, None, note)

    def export(
        self, method: ShowerSurrogate, *, out: Path, par04: bool = False, force: bool = False
    ) -> str:
        """Export a surrogate as ONNX, with its sampler: noise and energy in, MeV a voxel out.

        Args:
            par04: take and give what the inference of Geant4's example Par04 does.

        Examples:
            colliderkit export surrogate --out surrogate.onnx
        """
        difference = export_surrogate(method, out, par04=par04, force=force)
        return f"at most {difference:.1e} of a shower's energy from torch in 99% of the voxels"

    def summary(self, method: ShowerSurrogate) -> str:
        return "fitted surrogate"


class ShowerComparisonTask(Task):
    """Compare one sample of showers with a reference, and keep the classifiers."""

    methods = ("shower-comparison",)

    def read(
        self,
        method: ShowerComparison,
        *,
        reference: Path,
        sample: Path,
        geometry: str,
        particle: str | None = None,
        trained: Path | None = None,
        count: int | None = None,
    ) -> Inputs:
        r"""Compare a sample of showers with a reference, by all measures of the CaloChallenge.

        Args:
            reference: HDF5 in the layout of the CaloChallenge or of CaloGAN, such as Geant4's.
            sample: a file to compare with it, such as a surrogate's.
            geometry: a calorimeter's name, such as photons-368, or an XML file of the
                CaloChallenge.
            particle: which one of the XML file, where it has several.
            trained: what the sample's model was fitted to, to see whether it copies.
            count: showers of each file that are used, the first ones; all if not given.

        Examples:
            colliderkit fit shower-comparison --reference geant4.hdf5 --sample made.hdf5 \
              --geometry photons-368 --out comparison
        """
        voxels = geometry_of(geometry, particle)
        # The maps' files are there as long as the inputs.
        folder = tempfile.TemporaryDirectory(prefix="colliderkit-showers-")
        paths = {"reference": reference, "sample": sample, "training": trained}
        samples = {
            name: mapped_showers(path, folder.name, voxels, stop=count)
            for name, path in paths.items()
            if path is not None
        }
        return Inputs(method, {**samples, "geometry": voxels}, folder)

    def apply(
        self,
        method: ShowerComparison,
        files: str,
        *,
        out: Path,
        level: str = "high-level",
        force: bool = False,
    ) -> None:
        """Write P(sample | shower) of each shower beside its incident energy [MeV].

        Args:
            files: an HDF5 file of showers.
            level: of the classifier.

        Examples:
            colliderkit apply comparison more.hdf5 --out scored.parquet
        """
        showers = read_showers(files, method.geometry_)
        probability = method.probability(showers, level=level)
        columns = {"incident_energy": showers.incident, "probability": probability}
        write(out, columns, force=force)

    def page(self, model: Path) -> Report:
        """Draw what distinguishes the sample from the reference, and what showers look like.

        Examples:
            colliderkit report comparison
        """
        method: ShowerComparison = load(model)
        note = _note(model, method.seed_)
        results = results_of("sample", [method])
        page = _page("A sample against its reference", {"sample": method}, results, model, note)
        if method.history_:
            page.add_heading("Training")
            page.add_figure(loss_curves(method.history_), "Loss of the classifiers.", wide=True)
        return page

    def summary(self, method: ShowerComparison) -> str:
        """Print the quantities of the comparison."""
        for quantity, value in method.quantities_.items():
            print(f"{quantity}: {value}")
        if method.strongest_:
            print(f"the strongest classifier: {method.strongest_}")
        return "compared showers"


AIMS = tuple(
    Aim(f"A {level} classifier finds no difference to the reference", f"AUC {level}", "*", "equal",
        0.5, tolerance=0.05)
    for level in ("low-level", "high-level")
)  # fmt: skip


def geometry_of(name: str, particle: str | None = None) -> Geometry:
    """Return the voxels of a calorimeter by name or XML file; raise `InputError` for neither."""
    if name in CALORIMETERS:
        return calorimeter(name).geometry
    if Path(name).suffix == ".xml":
        return read_xml(name, particle)
    raise InputError(
        f"geometry is {name}, no XML file and no calorimeter; choose from"
        f" {', '.join(CALORIMETERS)}."
    )


def _named(sample: dict[str, str] | list[str] | str, floor: Path | None) -> dict[str, Path]:
    """Return the files by name, the floor first; by their stems if no name is given."""
    if isinstance(sample, dict):
        files = {name: Path(path) for name, path in sample.items()}
    else:
        paths = [Path(p) for p in ([sample] if isinstance(sample, str) else sample)]
        files = {path.stem: path for path in paths}
        if len(files) < len(paths):
            raise InputError("sample has two files of one name; name them, as {one: FILE}.")
    for name in (FLOOR, REFERENCE):
        if name in files:
            raise InputError(f"a sample cannot be called '{name}'; name it, as {{x: FILE}}.")
    if not files:
        raise InputError("sample is empty; name a file to compare.")
    return {**({FLOOR: floor} if floor is not None else {}), **files}


def _save(comparisons: Mapping[str, ShowerComparison], out: Path) -> None:
    for i, comparison in enumerate(comparisons.values()):
        comparison.save(out / COMPARISONS / str(i), force=True)


def _note(model: Path, seed: int) -> dict[str, Any]:
    """Return what the page of a fitted method says of its making."""
    return {
        "command": "colliderkit fit --config, with the configuration below",
        "configuration": (model / runs.CONFIGURATION).read_text(),
        "seeds": [seed],
    }


def _surrogate_page(model: Path) -> Report:
    method: ShowerSurrogate = load(model)
    low, high = (energy / 1e3 for energy in method.range_)
    geometry = method.geometry_
    page = runs.page(
        "A surrogate of a shower simulation",
        f"Showers of {low:.3g} to {high:.3g} GeV in {geometry.voxels} voxels of"
        f" {len(geometry.layers)} layers (geometry “{geometry.name}”), by “{method.generator}”.",
        model,
        _note(model, method.seed_),
    )
    page.add_heading("Training")
    for title, history in method.history_.items():
        page.add_figure(loss_curves({title: history}), f"Loss of each epoch, {title}.")
    return page


def _page(
    title: str,
    comparisons: Mapping[str, ShowerComparison],
    results: Any,
    model: Path | None,
    note: dict[str, Any],
) -> Report:
    first = next(iter(comparisons.values()))
    geometry = first.geometry_
    counts = {REFERENCE: first.histograms_[0].showers}
    counts |= {name: each.histograms_[1].showers for name, each in comparisons.items()}
    page = runs.page(
        "Showers in a calorimeter",
        f"{title}, in {geometry.voxels} voxels of {plural(len(geometry.layers), 'layer')}"
        f" (geometry “{geometry.name}”).",
        model,
        note,
    )
    page.facts += [f"{number(count)} showers of {name}" for name, count in counts.items()]
    add_showers(page, results, comparisons)
    page.conclude(AIMS, [Ranking("AUC low-level", "lower", aside=(FLOOR,))])
    return page
