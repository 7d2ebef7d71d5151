"""The task of run-wise scores: calibrate on good runs, flag later ones, evaluate, page."""

from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.errors import InputError
from colliderkit.files import atomic_folder
from colliderkit.methods.method import Method
from colliderkit.methods.operations.run_scores import RunScores
from colliderkit.sources.files.monitors import ScoreTable, read_run_scores
from colliderkit.tasks.account import account
from colliderkit.tasks.data_quality import (
    FLAGS,
    CertifyingTask,
    figures,
    later,
    write_flags,
)
from colliderkit.tasks.task import Evaluation, Inputs

__all__ = ["RunScoresTask"]

Files = list[str] | str


class RunScoresTask(CertifyingTask):
    """Certify runs by a table of scores that the user has made, with good and bad labels."""

    methods = ("run-scores",)

    def read(
        self,
        method: RunScores,
        files: Files,
        *,
        run: str | None = None,
        label: str | None = None,
        good: str | None = None,
        share: float = 0.5,
    ) -> Inputs:
        r"""Calibrate on the good runs of a table of scores, and flag the later ones at once.

        Args:
            files: CSV or Parquet with a row a run: its number, one or more scores, and good or bad
                where it is known. Without labels all runs calibrate, and none is judged.
            run: the column of the number of the run.
            label: the column that says whether a run is good.
            good: the value of the label of a good run, where it is not "good".
            share: of the runs, the earliest, whose good ones calibrate; the later ones are judged.

        Examples:
            colliderkit fit run-scores runs.csv --out scores
        """
        table = read_run_scores(files, scores=method.scores, run=run, label=label, good=good)
        account(table.said)
        method.scores = list(table.names)
        if table.good is None:
            account("no label: all runs calibrate, as good ones")
            return Inputs(method, {"values": table.values, "run": table.run})
        first = int(share * len(table))
        early = table.at(slice(0, first))
        early = early.at(early.good)
        if not len(early):
            raise InputError(f"{files}: none of the first {first} runs is good; raise share.")
        account(f"{len(early)} good runs until run {early.run[-1]} calibrate")
        # As evaluate has it: bad runs behind the last that calibrates are judged too.
        late = table.at(table.run > early.run[-1])
        return Inputs(method, {"values": early.values, "run": early.run}, late)

    def fit(self, inputs: Inputs, *, seed: int, folder: Path, resume: bool) -> Method:
        """Fit, and say what comes of the later runs of the table."""
        method = super().fit(inputs, seed=seed, folder=folder, resume=resume)
        assert isinstance(method, RunScores)
        if inputs.beside is not None and len(inputs.beside):
            found = figures(judged_table(method, inputs.beside))
            account(
                f"of {len(inputs.beside)} later runs: "
                + "; ".join(f"{row.quantity} {row.estimate}" for row in found)
            )
        return method

    def keep(self, method: Method, inputs: Inputs, folder: Path) -> None:
        """Write the flags of the later runs of the table."""
        assert isinstance(method, RunScores)
        if inputs.beside is not None and len(inputs.beside):
            write_flags(folder / FLAGS, judged_table(method, inputs.beside))

    def apply(
        self,
        method: RunScores,
        files: Files,
        *,
        out: Path,
        run: str | None = None,
        label: str | None = None,
        good: str | None = None,
        force: bool = False,
    ) -> None:
        """Flag later runs: write a folder with flags.csv.

        Args:
            files: CSV or Parquet with the scores of the fit.
            run: the column of the number of the run.
            label: the column that says whether a run is good.
            good: the value of the label of a good run, where it is not "good".

        Examples:
            colliderkit apply scores new.csv --out flagged
        """
        table = later(method, scores_of(method, files, run=run, label=label, good=good))
        with atomic_folder(out, force) as part:
            write_flags(part / FLAGS, judged_table(method, table))

    def evaluate(
        self,
        method: RunScores,
        files: Files,
        *,
        run: str | None = None,
        label: str | None = None,
        good: str | None = None,
    ) -> Evaluation:
        r"""Flag later runs and judge it: how often good and bad ones are flagged.

        Without labels the share is that of all runs. Runs that are not later than those of the fit
        are left out, which is said: the table of the fit may be given again.

        Args:
            files: CSV or Parquet with the scores of the fit.
            run: the column of the number of the run.
            label: the column that says whether a run is good.
            good: the value of the label of a good run, where it is not "good".

        Examples:
            colliderkit evaluate scores runs.csv --out shift
        """
        table = later(method, scores_of(method, files, run=run, label=label, good=good))
        judged = judged_table(method, table)

        def write(folder: Path) -> None:
            write_flags(folder / FLAGS, judged)

        return Evaluation(f"{len(table)} runs judged", figures(judged), judged, write=write)


def scores_of(method: RunScores, files: Files, **options: Any) -> ScoreTable:
    """Read the scores that were calibrated, and say what was read."""
    table = read_run_scores(files, scores=method.scores_, **options)
    account(table.said)
    return table


def judged_table(method: RunScores, table: ScoreTable) -> dict[str, Any]:
    """Return columns of what is found of run-wise scores."""
    p, each = method.p_values(table.values), method.tests(table.values)
    names = np.array(method.joint_.names)
    columns: dict[str, Any] = {
        "run": table.run,
        "p": p,
        "flagged": p <= method.rate,
        "test": names[each.argmin(1)],
        "place": np.full(len(p), "the run"),
    }
    return columns | ({} if table.good is None else {"good": table.good})
