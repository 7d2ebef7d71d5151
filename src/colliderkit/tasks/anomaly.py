"""The task of a search without a model: fit, apply, evaluate and page."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import numpy as np
import yaml
from numpy.typing import NDArray
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.events.binning import inside
from colliderkit.files import existing_file
from colliderkit.methods.method import Method, load
from colliderkit.methods.search.resonant.bounds import Idealised, Supervised
from colliderkit.methods.search.resonant.limits import Injection, Limits, injected
from colliderkit.methods.search.resonant.mass_dependence import refuse_mass
from colliderkit.methods.search.resonant.scan import WindowScan
from colliderkit.methods.search.resonant.search import ResonantSearch
from colliderkit.report.anomaly import (
    add_bounds,
    add_limits,
    add_scan,
    add_search,
    finding_of,
)
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.seeds import derive
from colliderkit.sources import write
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.sources.files.rows import Rows
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.reading import Reading, beside
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["AnomalyTask"]

Floats = NDArray[np.float64]
Files = list[str] | str
Search = ResonantSearch | WindowScan
TEV = 1000.0  # GeV
SCORED = "search.parquet"  # in the folder of a run: masses, scores, and labels if there are any
LOOSE = 0.5
WEIGHT = "weight"  # the column of it, if files have one
BOUNDS = {"supervised": Supervised, "idealised": Idealised}


class AnomalyTask(Task):
    """Search for a resonance without a model of it."""

    methods = (
        *("cathode", "cwola-hunting", "anode", "salad", "transport", "lacathode", "r-anode"),
        *("supervised-bound", "idealised-bound", "window-scan"),
    )
    around: ClassVar[Mapping[str, str]] = {"window-scan": "cwola-hunting"}

    def read(
        self,
        method: Search,
        reading: Reading,
        *,
        data: Files,
        resonant: str,
        features: str | list[str],
        simulation: Files | None = None,
        label: str | None = None,
        weight: str | None = None,
        event: str | None = None,
        scan: bool = False,
        null: int = 0,
        mass_known: bool = False,
    ) -> Inputs:
        r"""Search a mass spectrum for a resonance by features, without a model of it.

        Args:
            data: ROOT, HDF5 or Parquet files.
            resonant: the mass in which a resonance stands, by name or expression [GeV]; that of a
                file in TeV is recognised by the signal region.
            features: what is told apart, by names or expressions: ``mj1,mj2-mj1,tau21_1``.
            simulation: files of simulated background, for methods that begin with it.
            label: a column that is 1 for signal, to score the search and to train the bounds; the
                search itself does not see it.
            weight: an expression; else the files' own column ``weight``, if they have it; 1
                counts each event one.
            event: of the number by which events are parted into folds, rows if not given.
            scan: search in all windows of the spectrum in place of the signal region.
            null: whole searches, training included, that are repeated without a bump, from which
                the global p-value comes.
            mass_known: take features that are functions of the mass.

        Examples:
            colliderkit fit anomaly --data data.root --resonant mjj \
              --features 'mj1,mj2-mj1,tau21_1,tau21_2' --signal-region 3300,3700 \
              --method cathode --out search
            colliderkit fit anomaly --data data.root --resonant mjj --features a,b --scan \
              --null 20 --method cwola-hunting --out scan
        """
        if reading.columns is not None:
            raise InputError(
                "columns maps the columns of jets, and a search reads features as they are; write"
                " expressions into features and resonant."
            )
        names = split_expressions(features)
        if not names:
            raise InputError("features is empty; name what is told apart, as mj1,tau21_1.")
        if resonant in names:
            raise InputError(
                f"features has '{resonant}', which is the resonant mass: a cut on it makes a bump"
                " of any background; leave it out."
            )
        extra = [text for text in (label, weight, event) if text is not None]
        if label in names:
            raise InputError(f"features has '{label}', which is the label; leave it out.")
        rows = _rows(reading, data, [*names, resonant, *extra])
        search = method.method if isinstance(method, WindowScan) else method
        scan = scan or isinstance(method, WindowScan)
        mass = _mass(rows, resonant, search, scan)
        table = rows.table(names)
        refuse_mass(table, mass, names=names, known=mass_known)
        arguments: dict[str, Any] = {
            "features": table,
            "mass": mass,
            "names": names,
            "weight": _weight(rows, data, weight),
            "event": None if event is None else rows.columns[event].astype(np.int64),
        }
        if null and weight is None and arguments["weight"] is not None:
            raise InputError(
                f"{data}: has a column 'weight', and null repeats the search on events that count"
                " one; give weight 1 to count each event one, or null 0."
            )
        if simulation is not None:
            arguments["simulation"] = _simulated(reading, simulation, names, resonant, search, scan)
        known = None if label is None else _known(rows, label)
        if "label" in search.needs:
            arguments["label"] = known
        if isinstance(method, WindowScan):
            method.set_params(null=null)
        elif scan or null:
            windows = None if scan else [search.signal_region]
            method = WindowScan(method, windows=windows, null=null)
        return Inputs(method, arguments, {"label": known, "bounds": {}})

    def fit(self, inputs: Inputs, *, seed: int, folder: Path, resume: bool) -> Method:
        """Fit the search, and with labels the bounds in its window."""
        fitted = super().fit(inputs, seed=seed, folder=folder, resume=resume)
        assert isinstance(fitted, ResonantSearch | WindowScan)
        if inputs.beside["label"] is not None:
            try:
                inputs.beside["bounds"] = _bounds(_search(fitted), inputs, seed)
            except InputError as error:  # what was searched for is found all the same
                warnings.warn(f"the page has no bounds: {error}", UserWarning, stacklevel=2)
        return fitted

    def keep(self, method: Method, inputs: Inputs, folder: Path) -> None:
        """Write masses, scores and what passes, with labels and the scores of the bounds."""
        assert isinstance(method, ResonantSearch | WindowScan)
        search = _search(method)
        columns = {
            "mass": inputs.arguments["mass"],
            "score": search.score_,
            "passed": search.passed_.astype(np.int64),
        }
        if inputs.arguments["weight"] is not None:
            columns["weight"] = inputs.arguments["weight"]
        if inputs.beside["label"] is not None:
            columns["label"] = inputs.beside["label"]
            columns |= inputs.beside["bounds"]
        write(folder / SCORED, columns)

    def apply(
        self,
        method: Search,
        reading: Reading,
        files: Files,
        model: Path,
        *,
        out: Path,
        force: bool = False,
    ) -> None:
        """Write the score of new events as the column `score` beside all that was read.

        Args:
            files: ROOT, HDF5 or Parquet files of events that the search was not trained on; those
                it was trained on have scores of judges that have not seen them in search.parquet.

        Examples:
            colliderkit apply search new.root --out scored.parquet
        """
        search, resonant = _search(method), _asked(model)["resonant"]
        rows = reading.rows(files, [*search.names_, resonant], own=True)
        mass = _mass(rows, resonant, search, scanned=False, needed=False)
        score = search.score(rows.table(search.names_), mass)
        write(out, beside(rows.own, {"score": score}), force=force)

    def evaluate(
        self,
        method: Search,
        reading: Reading,
        model: Path,
        *,
        data: Files,
        signal: Files,
        strengths: list[int],
        level: float = 0.95,
        resume: bool = False,
        out: Path,
        force: bool = False,
    ) -> Evaluation:
        r"""Set limits on any signal: it is injected, and the search trained anew at each strength.

        Simulated background, labels, weights and numbers of events are those of the fit.

        Args:
            data: the files of the fit.
            signal: files of simulated signal; a column ``weight`` says how often each is drawn.
            strengths: rising numbers of signal events to inject.
            level: confidence of the limits.
            resume: go on from the strengths and folds that an interrupted run has finished.

        Examples:
            colliderkit evaluate search --data data.root --signal signal.root \
              --strengths 50,100,200,400 --out limits
        """
        search, asked = _search(method), _asked(model)
        names, resonant = search.names_, asked["resonant"]
        label = asked.get("label") if "label" in search.needs else None
        weight, event = asked.get("weight"), asked.get("event")
        extra = [text for text in (label, weight, event) if text is not None]
        rows = _rows(reading, data, [*names, resonant, *extra])
        mass = _mass(rows, resonant, search, scanned=False)
        simulation = asked.get("simulation")
        if simulation is not None:
            simulation = _simulated(reading, simulation, names, resonant, search, scan=False)
        found = injected(
            clone(search),
            rows.table(names),
            mass,
            _simulated(reading, signal, names, resonant, search, scan=False),
            strengths=strengths,
            simulation=simulation,
            label=None if label is None else _known(rows, label),
            weight=_weight(rows, data, weight),
            event=None if event is None else rows.columns[event].astype(np.int64),
            names=names,
            level=level,
            seed=derive(search.seed_, "limits"),
            folder=runs.Run(out, resume=resume, force=force).unfinished(),
            resume=resume,
        )
        results = [
            row
            for one in found.injections
            for row in (
                Result(f"{one.strength} injected", "efficiency", one.efficiency, one.error),
                Result(f"{one.strength} injected", "signal behind the cut, limit", one.upper),
            )
        ]
        for name, value in (("observed", found.limit), ("expected", found.expected)):
            if value is not None:
                results.append(Result(f"{name} limit", "signal events", value))
        return Evaluation(
            f"limits on {Path(str(signal)).name}", results, about={"limits": asdict(found)}
        )

    def page(self, model: Path, evaluation: Path | None = None) -> Report:
        """Draw the spectrum before and after the cut, p-values, limits, and with labels the gain.

        Examples:
            colliderkit report search
            colliderkit report search limits
        """
        method: Search = load(model)
        search, resonant = _search(method), _asked(model)["resonant"]
        note: dict[str, Any] = {
            "configuration": (model / runs.CONFIGURATION).read_text(),
            "command": f"colliderkit fit anomaly --config {runs.CONFIGURATION}",
            "seeds": [method.seed_],
        }
        if evaluation is not None:
            note |= runs.about(evaluation)
        scanned = method if isinstance(method, WindowScan) else None
        found = finding_of(search, scanned)
        page = runs.page("A search without a model", found.summary, model, note)
        page.claims.append(found.claim)
        page.findings += found.lines
        events = ak.from_parquet(existing_file(model / SCORED))
        columns = {name: np.asarray(events[name]) for name in events.fields}
        add_search(page, search, columns, resonant)
        if scanned is not None:
            add_scan(page, scanned, resonant)
        if "limits" in note:
            kept = dict(note["limits"])
            injections = [Injection(**one) for one in kept.pop("injections")]
            add_limits(page, Limits(injections=injections, **kept))
        if "label" in columns:
            add_bounds(page, search, columns)
        return page

    def summary(self, method: Method) -> str:
        """Describe what is in excess."""
        assert isinstance(method, ResonantSearch | WindowScan)
        scanned = method if isinstance(method, WindowScan) else None
        return finding_of(_search(method), scanned).summary


def _search(method: Search) -> ResonantSearch:
    """Return the search in one window: of a scan that of the least p-value."""
    return method.search_ if isinstance(method, WindowScan) else method


def _asked(model: Path) -> dict[str, Any]:
    """Return the options that a search was fitted with."""
    options: dict[str, Any] = yaml.safe_load((model / runs.CONFIGURATION).read_text())
    return options


def _known(rows: Rows, label: str) -> NDArray[np.int64]:
    values = rows.table([label])[:, 0]
    if not np.isin(values, (0, 1)).all() or len(np.unique(values)) < 2:
        raise InputError(
            f"label '{label}' has values beside 0 for background and 1 for signal, or one of them"
            " alone; give an expression that tells the two, as (type == 2)."
        )
    return values.astype(np.int64)


def _rows(reading: Reading, files: Files, texts: Sequence[str]) -> Rows:
    """Read expressions, and the column of weights that the files may have."""
    return reading.rows(files, list(dict.fromkeys(texts)), optional=[WEIGHT])


def _weight(rows: Rows, files: Files, given: str | None) -> Floats | None:
    """Return weights (N,): the expression `given`, else the files' own, said; None for ones."""
    if given is None and WEIGHT in rows.columns:
        own: Floats = rows.table([WEIGHT])[:, 0]
        if (own != 1).any():
            account(f"the column '{WEIGHT}' of {files} counts; --weight 1 counts each event one")
            return own
    return None if given is None else rows.table([given])[:, 0]


def _simulated(
    reading: Reading,
    files: Files,
    names: Sequence[str],
    resonant: str,
    search: ResonantSearch,
    scan: bool,
) -> tuple[Floats, ...]:
    """Return features and masses of simulated events, and their weights if they have any."""
    rows = _rows(reading, files, [*names, resonant])
    weight = _weight(rows, files, None)
    events = rows.table(names), _mass(rows, resonant, search, scan)
    return events if weight is None else (*events, weight)


def _mass(
    rows: Rows, resonant: str, search: ResonantSearch, scanned: bool, needed: bool = True
) -> Floats:
    """Return the mass in GeV: that of a file in TeV is told by where the edges lie.

    Raises `InputError` where no event is between the ends of the signal region, or the edges, if
    one is `needed`.
    """
    mass = rows.table([resonant])[:, 0]
    ends: Sequence[float] | None = search.edges if scanned else search.signal_region
    if ends is None:
        return mass
    what = "edges" if scanned else "signal_region"
    low, high = float(ends[0]), float(ends[-1])

    def between(values: Floats) -> bool:
        return bool(inside(values, (low, high)).any())

    if between(mass):
        return mass
    span = f"from {mass.min():g} to {mass.max():g}"
    if between(TEV * mass):
        account(f"{resonant} is in TeV, {span}: taken times 1000, in GeV as {what}")
        return TEV * mass
    if not needed:
        return mass
    raise InputError(
        f"{what} {low:g} to {high:g} holds no event, in GeV nor in TeV: {resonant} goes {span};"
        " give a range that the file has."
    )


def _bounds(search: ResonantSearch, inputs: Inputs, seed: int) -> dict[str, Floats]:
    """Return the out-of-fold scores of the bounds in the window of the search, with its classifier.

    They have the search's own folds, classifiers and members. Their own cut is not looked at: it is
    a loose one, behind which a spectrum can be fitted.
    """
    common = {
        name: value
        for name, value in search.get_params(deep=False).items()
        if name in ResonantSearch.__annotations__ and not name.endswith("_")
    } | {"efficiency": LOOSE}
    arguments = {
        k: v for k, v in inputs.arguments.items() if k not in ("label", "simulation", "names")
    }
    return {
        name: kind(**common)
        .fit(**arguments, label=inputs.beside["label"], seed=derive(seed, name), progress=False)
        .score_
        for name, kind in BOUNDS.items()
    }
