"""One run of a study: request and folder, seeds, timed and resumable steps, a begun report."""

import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import yaml
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import alone, atomic_file, refuse_existing
from colliderkit.methods.method import Method
from colliderkit.report.html import Report
from colliderkit.report.verdict import Aim, Ranking
from colliderkit.report.words import duration
from colliderkit.studies.measured import step_seconds
from colliderkit.studies.provenance import source_of
from colliderkit.studies.sizes import plain, shown

__all__ = ["OPTIONS", "SCALE_NAMES", "Run", "ScaleName", "Study"]

S = TypeVar("S")
M = TypeVar("M", bound=Method)
ScaleName = Literal["smoke", "laptop", "night", "paper"]
# Seconds, minutes and hours on two cores, and a GPU.
SCALE_NAMES: tuple[ScaleName, ...] = ("smoke", "laptop", "night", "paper")
OPTIONS = ("seeds", "workers", "dask", "devices")
# What is dropped with a request that another one replaces.
KEPT = ("data", "models", "steps")


@dataclass(frozen=True)
class Study(Generic[S]):
    """Describe a study: a published result, reproduced from data to report.

    - `name`, `title` and `summary`, which begins the page;
    - `scales`: how much of everything, by name; ``smoke`` takes seconds and its numbers mean
      nothing. A scale of a study that takes "seeds" says how many in its attribute `seeds`;
    - `body`: makes, measures and draws, on a `Run`;
    - `takes`: which of `OPTIONS` it honours; any other is refused;
    - `aims`: what its results are asked, for all scales or as a function of one, and `rankings`:
      of what the best is named. The report concludes from these alone;
    - `events`: how much there is of what, with the fields of the scale: "{train} jets to train on";
    - `stand_in`: in a few words, what stands in for what was published; "" if nothing does.
    """

    name: str
    title: str
    summary: str
    scales: Mapping[str, S]
    body: Callable[["Run[S]"], None]
    takes: Sequence[str] = ()
    aims: Sequence[Aim] | Callable[[S], Sequence[Aim]] = ()
    rankings: Sequence[Ranking] = ()
    events: str = ""
    stand_in: str = ""

    def aims_at(self, scale: S) -> Sequence[Aim]:
        """Return what the results of a scale are asked."""
        return self.aims(scale) if callable(self.aims) else self.aims

    def size(self, scale: S) -> str:
        """Say how many events of what a scale has."""
        return self.events.format(**{n: shown(size) for n, size in plain(scale).items()})

    def run(self, *, scale: str, out: Path, force: bool = False, **options: Any) -> Path:
        """Run into the folder `out` and return the path of the report.

        An interrupted run goes on at its first step that is not complete. Raises `InputError` for
        a scale or an option that the study does not have, and for a folder that holds a report or
        another request, which `force` replaces; what the same request has made stays. Another
        process that runs into the folder is refused.
        """
        with alone(Path(out)):
            run = Run(self, scale, Path(out), force=force, **options)
            self.body(run)
            return run.write(force)


class Run(Generic[S]):
    """Carry a study through: what its body works with.

    Attributes: `scale` (its numbers) and `scale_name`; `seeds`, those of the trainings or
    repetitions; `workers`, `dask`, `devices` as given; `out`; `report`, begun with title, summary,
    command and configuration, to be filled.
    """

    def __init__(
        self,
        study: Study[S],
        scale: str,
        out: Path,
        *,
        force: bool = False,
        seeds: int | None = None,
        workers: int | None = None,
        dask: str | None = None,
        devices: int | None = None,
    ) -> None:
        options = {"seeds": seeds, "workers": workers, "dask": dask, "devices": devices}
        for name, value in options.items():
            if value is not None and name not in study.takes:
                takes = f"it takes {', '.join(study.takes)}" if study.takes else "it takes none"
                raise InputError(f"{name} is no option of the study {study.name}; {takes}.")
            if isinstance(value, int) and value < 1:
                raise InputError(f"{name} is {value}; it must be at least 1.")
        if scale not in study.scales:
            raise InputError(
                f"{study.name} has no scale '{scale}'; choose one of {', '.join(study.scales)}."
            )
        self.study = study
        self.scale_name = scale
        self.scale: S = study.scales[scale]
        self.out = out
        # The few events of a smoke run are made before a second process has begun.
        self.workers = workers or (1 if scale == "smoke" else 2)
        self.dask = dask
        self.devices = devices
        self.begun = time.perf_counter()
        count = seeds if seeds is not None else int(getattr(self.scale, "seeds", 1))
        self.seeds = range(count)
        refuse_existing(out / "report.html", force)
        self._claim(force)
        self.steps = list(self._seconds())  # names of those that were begun, here or before
        self.expected = step_seconds(study.name, scale, repr(self.scale), count)
        command = f"colliderkit study {study.name} --scale {scale}"
        if "seeds" in study.takes:
            command += f" --seeds {count}"
        self.report = Report(
            study.title,
            study.summary,
            command=command,
            configuration=self._configuration(),
            seeds=list(self.seeds) if "seeds" in study.takes else [],
            timing=self._seconds(),
            # A scale that has `toy` says whether it draws a toy in place of the study's events.
            source=source_of(study.name, toy=getattr(self.scale, "toy", None) is True),
        )
        if scale == "smoke":
            sizes = f" ({study.size(self.scale)})" if study.events else ""
            self.report.banner = (
                f"Smoke run{sizes}: it shows that the study runs; no number means anything."
            )

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Say what is done now and keep its seconds; ``with run.step("training"): ...``."""
        if name not in self.steps:
            self.steps.append(name)
        print(f"{self._place(name)}: {name}", file=sys.stderr, flush=True)
        begin = time.perf_counter()
        yield
        seconds = {**self._seconds(), name: time.perf_counter() - begin}
        self.report.timing = seconds
        with atomic_file(self.out / "steps" / "seconds.json", force=True) as part:
            part.write_text(json.dumps(seconds))

    def _place(self, name: str) -> str:
        """Say which step of how many one is, the time that went by, and what is left.

        The number of steps and their times are those of a complete run with the same numbers that
        was measured; the times are scaled by those of the steps that are done. Without such a run
        neither is said.
        """
        number = self.steps.index(name)
        elapsed = timedelta(seconds=round(time.perf_counter() - self.begun))
        total = len(self.expected)
        if number >= total:
            return f"step {number + 1}, {elapsed} elapsed"
        done = self._seconds()
        here, there = sum(list(done.values())[:number]), sum(self.expected[:number])
        pace = here / there if there > 1 else 1.0
        left = timedelta(seconds=round(pace * sum(self.expected[number:])))
        return f"step {number + 1} of {total}, {elapsed} elapsed, about {left} left"

    def file(self, name: str, make: Callable[[Path], Any]) -> Path:
        """Return the path of a data file (or folder), made once: ``make(path)`` writes it whole."""
        path = self.out / "data" / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with self.step(name):
                make(path)
        return path

    def generated(self, name: str, process: str, count: int, *, seed: int, **options: Any) -> Path:
        """Return the path of `count` jets of each class of a Pythia process, generated once.

        `options` are further keywords of `sources.pythia.shards.generate`.
        """
        from colliderkit.sources.pythia.shards import generate

        options |= {"seed": seed, "workers": self.workers, "dask": self.dask}
        return self.file(f"{name}.parquet", lambda path: generate(process, count, path, **options))

    def fitted(self, name: str, method: M, *data: Any, seed: int = 0, **keywords: Any) -> M:
        """Return `method` fitted to `data`, once: it is saved, and loaded where it is there.

        A training that was interrupted goes on from its last checkpoint.
        """
        folder = self.out / "models" / slug(name)
        if not folder.exists():
            work = folder.with_name(folder.name + ".training")
            where = {"folder": work, "resume": True} if method.resumable else {}
            with self.step(f"fit {name}"):
                method.fit(*data, seed=seed, **where, **keywords)
                method.save(folder)
            shutil.rmtree(work, ignore_errors=True)
        return type(method).load(folder)

    def value(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return a JSON value, computed once."""
        path = self.out / "steps" / f"{slug(name)}.json"
        if not path.exists():
            with self.step(name):
                value = compute()
            with atomic_file(path) as part:
                part.write_text(json.dumps(value))
        return json.loads(path.read_text())

    def arrays(
        self, name: str, compute: Callable[[], Mapping[str, NDArray[Any]]]
    ) -> dict[str, NDArray[Any]]:
        """Return arrays by name, computed once."""
        path = self.out / "steps" / f"{slug(name)}.npz"
        if not path.exists():
            with self.step(name):
                arrays = compute()
            with atomic_file(path) as part:
                np.savez(part, **dict(arrays))  # type: ignore[arg-type]
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    def write(self, force: bool = False) -> Path:
        """Judge the aims; write report.html and results.json; return the page's path."""
        self.report.conclude(self.study.aims_at(self.scale), self.study.rankings)
        self.report.facts = [*self._facts(), *self.report.facts]
        return self.report.write(self.out, force=force)

    def _claim(self, force: bool) -> None:
        """Bind the folder to this request, and drop what another one left there."""
        request = {
            "study": self.study.name,
            "scale": self.scale_name,
            "size": repr(self.scale),
            "seeds": len(self.seeds),
        }
        path = self.out / "study.json"
        if path.exists() and json.loads(path.read_text()) != request:
            if not force:
                raise InputError(
                    f"{self.out}: holds another study, scale or number of seeds; choose another"
                    " out, or replace it by force."
                )
            for name in KEPT:
                shutil.rmtree(self.out / name, ignore_errors=True)
            path.unlink()
        if not path.exists():
            with atomic_file(path) as part:
                part.write_text(json.dumps(request) + "\n")

    def _facts(self) -> list[str]:
        """Say how large the run was, and what it stands in for."""
        count = len(self.seeds)
        facts = [f"Scale {self.scale_name}", self.study.size(self.scale)]
        if "seeds" in self.study.takes:
            facts.append("one seed" if count == 1 else f"{count} seeds")
        seconds = sum(self._seconds().values())
        facts.append(f"{duration(seconds)} for all steps")
        if self.study.stand_in:
            facts.append(f"a stand-in for {self.study.stand_in}")
        return [fact for fact in facts if fact]

    def _configuration(self) -> str:
        """Return the YAML that ``study --config`` takes, and the scale's numbers as comments."""
        request: dict[str, Any] = {"name": self.study.name, "scale": self.scale_name}
        if "seeds" in self.study.takes:
            request["seeds"] = len(self.seeds)
        sizes = yaml.safe_dump(plain(self.scale), sort_keys=False)
        comments = "".join(f"#   {line}\n" for line in sizes.splitlines())
        return f"{yaml.safe_dump(request, sort_keys=False)}# The scale:\n{comments}"

    def _seconds(self) -> dict[str, float]:
        """Return the seconds of each step that is complete."""
        path = self.out / "steps" / "seconds.json"
        seconds: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
        return seconds


def slug(name: str) -> str:
    """Return a name as that of a file."""
    return re.sub(r"[^\w.=+]+", "-", name).strip("-")
