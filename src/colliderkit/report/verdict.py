"""Claims and their verdicts: what a page concludes, computed from its own numbers.

An `Aim` says what is asked of rows that are not there yet; judged on rows it becomes a `Claim`,
which holds, does not hold, or is not decided. A `Ranking` finds the best and its lead.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

from colliderkit.metrics.value import Value, number
from colliderkit.report.results import Result
from colliderkit.training.settings import Epoch, no_better_than_guessing

__all__ = ["SIGMA", "Aim", "Claim", "Line", "Ranking", "Verdict", "worse_than_guessing"]

Relation = Literal["below", "above", "equal", "within"]
Verdict = Literal["holds", "does not hold", "not decided"]
SIGMA = 2.0  # standard deviations that decide a single comparison
MARKS: dict[str, str] = {
    "best": "★",
    "holds": "✓",
    "does not hold": "✗",
    "not decided": "?",
    "alarm": "!",
}
ORDER: tuple[Verdict, ...] = ("does not hold", "not decided", "holds")


@dataclass(frozen=True)
class Line:
    """One line of a verdict: `kind` is a `Verdict`, "best" or "alarm"."""

    kind: str
    text: str

    @property
    def mark(self) -> str:
        """The sign in front of it."""
        return MARKS[self.kind]

    def __str__(self) -> str:
        return f"{self.mark} {self.text}"


@dataclass(frozen=True)
class Claim:
    """Judge a statement by its `estimate` and the `bound` that it names.

    - `relation`: the estimate lies "below" or "above" the bound, is "equal" to it within errors,
      or "within" the two ends of a range;
    - `about`: whose estimate, and `than`: whose value the bound is, "of the floor";
    - `among`: of how many comparisons this is the worst or the best. The larger, the more standard
      deviations decide: as many as 2 are for one;
    - `tolerance`: the largest error with which "equal" may hold; None allows any.

    Errors of estimate and bound are added in quadrature, which is cautious where both come from
    the same events. Without a known error nothing is decided; an error of 0 is exact. A lower
    limit decides what follows from it alone, and is never used as a value.
    """

    text: str
    estimate: Value | None
    relation: Relation
    bound: Value | tuple[float, float] | None
    about: str = ""
    than: str = ""
    among: int = 1
    tolerance: float | None = None

    @property
    def needed(self) -> float:
        """Standard deviations that decide: 2 for one comparison, more for the worst of many."""
        normal = NormalDist()
        return -normal.inv_cdf(normal.cdf(-SIGMA) / max(self.among, 1))

    @property
    def sigma(self) -> float | None:
        """Standard deviations on the side of the claim (negative: against it), None if unknown.

        Of "equal" it is minus the distance.
        """
        estimate, bound = self.estimate, self.bound
        if estimate is None or bound is None or estimate.lower_limit or math.isnan(estimate.value):
            return None
        if isinstance(bound, tuple):
            away = min(estimate.value - bound[0], bound[1] - estimate.value)
            return _ratio(away, estimate.error)
        if bound.lower_limit or math.isnan(bound.value):
            return None
        away = estimate.value - bound.value
        distance = _ratio(away, _error_between(estimate, bound))
        if distance is None or self.relation == "above":
            return distance
        return -abs(distance) if self.relation == "equal" else -distance

    @property
    def verdict(self) -> Verdict:
        """Whether the claim holds."""
        estimate, bound = self.estimate, self.bound
        if estimate is None or bound is None:
            return "not decided"
        if estimate.lower_limit or (isinstance(bound, Value) and bound.lower_limit):
            return self._by_limit(estimate, bound)
        sigma = self.sigma
        if sigma is None:
            return "not decided"
        if self.relation == "equal":
            if -sigma < self.needed:
                return "not decided" if self.loose else "holds"
            return "does not hold" if -sigma >= self.needed + 1 else "not decided"
        if abs(sigma) < self.needed:
            return "not decided"
        return "holds" if sigma > 0 else "does not hold"

    @property
    def loose(self) -> bool:
        """Whether the error is larger than the tolerance: then nothing is known to be equal."""
        if self.tolerance is None or self.estimate is None or not isinstance(self.bound, Value):
            return False
        return _error_between(self.estimate, self.bound) > self.tolerance

    def _by_limit(self, estimate: Value, bound: Value | tuple[float, float]) -> Verdict:
        """Decide by a lower limit of the estimate or of the bound, if it says enough."""
        if isinstance(bound, tuple):
            return "does not hold" if estimate.value > bound[1] else "not decided"
        limit, other = (estimate, bound) if estimate.lower_limit else (bound, estimate)
        # NaN, an error that is not known, and a second limit decide nothing.
        if other.lower_limit or not limit.value > other.value + self.needed * other.error:
            return "not decided"
        if self.relation == "equal":
            return "does not hold"
        larger: Relation = "above" if limit is estimate else "below"
        return "holds" if self.relation == larger else "does not hold"

    @property
    def asked(self) -> str:
        """What is asked of the estimate: "below 1.1"."""
        if isinstance(self.bound, tuple):
            return f"{number(self.bound[0])} to {number(self.bound[1])}"
        return f"{self.relation} {'–' if self.bound is None else self.bound}"

    @property
    def reason(self) -> str:
        """The numbers behind the verdict, in words."""
        whose = f"{self.about}: " if self.about else ""
        if self.estimate is None:
            return "not measured at this scale"
        if self.bound is None:
            return f"{whose}{self.estimate}, with nothing to compare it with at this scale"
        if isinstance(self.bound, tuple):
            bound = f"{number(self.bound[0])} to {number(self.bound[1])}"
        else:
            bound = f"{self.bound}" + (f" {self.than}" if self.than else "")
        sigma = self.sigma
        if sigma is None:
            known = self.estimate.lower_limit or "> " in bound or math.isfinite(self.estimate.error)
            return f"{whose}{self.estimate} against {bound}" + (
                "" if known else ", and no error is known"
            )
        if self.relation == "within":
            where = "inside of" if sigma > 0 else "outside of"
        elif self.relation == "equal":
            where = "from"
        else:
            where = self.relation if sigma >= 0 else _opposite(self.relation)
        if math.isinf(sigma):
            return f"{whose}{self.estimate}, {where.replace('from', 'not')} {bound}"
        text = f"{whose}{self.estimate}, {_sigmas(sigma)} {where} {bound}"
        if self.relation == "equal" and self.verdict == "not decided" and self.loose:
            assert self.tolerance is not None
            text += f"; the error is larger than the tolerance, {number(self.tolerance)}"
        return text

    @property
    def sentence(self) -> str:
        """The claim, its verdict and its numbers."""
        return f"{self.text}: {self.verdict} ({self.reason})."

    @property
    def line(self) -> Line:
        """The claim as a line of a verdict."""
        return Line(self.verdict, self.sentence)

    def plain(self) -> dict[str, Any]:
        """Return the claim as JSON values, for results.json."""
        sigma = self.sigma
        finite = sigma is not None and math.isfinite(sigma)
        return {
            "text": self.text,
            "verdict": self.verdict,
            "reason": self.reason,
            "sigma": sigma if finite else None,
        }


@dataclass(frozen=True)
class Aim:
    """Say what is asked of the rows of a table, before they are there.

    - `text`: the statement that is judged;
    - `quantity` and `subject`: of which rows; `*` stands for any text;
    - `relation` and `bound`: a number or, of "within", a range. Instead of it `against` names the
      subject whose value is the bound, `over` the quantity that it is of (the same if not given),
      and `times` multiplies it. A row is held against each subject that there is;
    - `tolerance`: the largest error with which "equal" may hold; None allows any;
    - `which` row decides: of "every" the worst, of "some" the best, or the "first" or "last" one
      (the strongest of a scan, say).

    >>> Aim("A network beats a cut", "AUC", "PFN", "above", against="multiplicity")
    """

    text: str
    quantity: str
    subject: str = "*"
    relation: Relation = "below"
    bound: float | tuple[float, float] | None = None
    against: str = ""
    over: str = ""
    times: float = 1.0
    tolerance: float | None = None
    which: Literal["every", "some", "first", "last"] = "every"

    def judge(self, results: Sequence[Result]) -> Claim:
        """Return the claim that rows decide."""
        rows = [
            row
            for row in results
            if matches(self.subject, row.subject)
            and matches(self.quantity, row.quantity)
            and not (self.against and not self.over and matches(self.against, row.subject))
        ]
        if self.which in ("first", "last"):
            rows = rows[:1] if self.which == "first" else rows[-1:]
        if not rows:
            return Claim(self.text, None, self.relation, None, tolerance=self.tolerance)
        claims = [claim for row in rows for claim in self._claims(row, results)]
        claims = [replace(claim, among=len(claims)) for claim in claims]
        worst = sorted(claims, key=_standing)
        return worst[-1] if self.which == "some" else worst[0]

    def _claims(self, row: Result, results: Sequence[Result]) -> list[Claim]:
        """Return what is claimed of a row: one, or one for each subject that it is held against."""
        names = [row.subject] if "*" in self.subject or self.which != "every" else []
        names += [row.quantity] if "*" in self.quantity else []
        about = ", ".join(names)
        claim = Claim(self.text, row.estimate, self.relation, None, about, tolerance=self.tolerance)
        if not self.against and not self.over:
            bound = self.bound
            return [replace(claim, bound=bound if isinstance(bound, tuple) else _exact(bound))]
        quantity, subject = self.over or row.quantity, self.against or row.subject
        others = [r for r in results if matches(subject, r.subject) and r.quantity == quantity]
        of, end = "of ", ""
        if self.times != 1:
            of, end = f"({number(self.times)} times that of ", ")"
        return [
            replace(
                claim,
                bound=other.estimate.times(self.times),
                than=of + (other.subject if self.against else other.quantity) + end,
            )
            for other in others
        ] or [claim]


@dataclass(frozen=True)
class Ranking:
    """Find the best of a table by one quantity, its lead, and who misses a baseline.

    - `better`: whether a "higher" or a "lower" value is;
    - `among`: the subjects that compete; `aside` are none (floors, exact answers); `*` stands for
      any text;
    - `baselines`: subjects that every other should be better than.
    """

    quantity: str
    better: Literal["higher", "lower"]
    among: Sequence[str] = ("*",)
    aside: Sequence[str] = ()
    baselines: Sequence[str] = ()

    def lines(self, results: Sequence[Result]) -> list[Line]:
        """Return a line on the best, and one on each baseline that is missed."""
        rows = [
            row
            for row in results
            if row.quantity == self.quantity
            and any(matches(one, row.subject) for one in self.among)
            and not any(matches(one, row.subject) for one in self.aside)
            and not math.isnan(row.value)
        ]
        if len(rows) < 2:
            return []
        sign = 1 if self.better == "lower" else -1
        best, second = sorted(rows, key=lambda row: sign * row.value)[:2]
        lead = self._claim(best, second)
        text = f"Best {self.quantity}: {best.subject}, {best.estimate}"
        other = f"{second.subject} ({second.estimate})"
        if lead.verdict == "holds":
            ahead = "" if lead.sigma is None else f"{_sigmas(lead.sigma)} "
            text += f", {ahead}ahead of {other}."
        else:
            known = "" if lead.sigma is None else f" ({_sigmas(lead.sigma)})"
            text += f"; its lead over {other} is not decided{known}."
        return [Line("best", text), *self._missed(rows, results)]

    def _claim(self, one: Result, other: Result, among: int = 1) -> Claim:
        relation: Relation = "below" if self.better == "lower" else "above"
        return Claim("", one.estimate, relation, other.estimate, among=among)

    def _missed(self, rows: Sequence[Result], results: Sequence[Result]) -> list[Line]:
        lines = []
        for row in results:
            if row.quantity != self.quantity or row.subject not in self.baselines:
                continue
            others = [other for other in rows if other.subject not in self.baselines]
            claims = [(other, self._claim(other, row, len(others))) for other in others]
            missed = [
                f"{other.subject} ({other.estimate}, {_sigmas(claim.sigma or 0.0)})"
                for other, claim in claims
                if claim.verdict == "does not hold"
            ]
            if missed:
                text = f"Worse than the baseline {row.subject} ({row.estimate}) in {self.quantity}"
                lines.append(Line("does not hold", f"{text}: {', '.join(missed)}."))
        return lines


def worse_than_guessing(histories: Mapping[str, Sequence[Epoch]]) -> list[Line]:
    """Name the trainings whose best validation loss is not below that of a guess.

    The guess knows the shares of the classes alone (`Epoch.guess`); of other losses there is none.
    """
    lines = []
    for name, epochs in histories.items():
        best = no_better_than_guessing(epochs)
        if best is not None and best.guess is not None:
            lines.append(
                Line(
                    "alarm",
                    f"{name} learned nothing that holds for other events: its validation loss is"
                    f" {number(best.validation_loss, 3)}, and that of guessing by the shares of the"
                    f" classes {number(best.guess, 3)} (training {number(best.training_loss, 3)}).",
                )
            )
    return lines


def matches(pattern: str, text: str) -> bool:
    """Return whether a text is of a pattern, in which `*` stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None


def _exact(bound: float | None) -> Value | None:
    return None if bound is None else Value(bound, 0.0)


def _standing(claim: Claim) -> tuple[int, float]:
    sigma = claim.sigma
    return ORDER.index(claim.verdict), 0.0 if sigma is None else sigma


def _error_between(estimate: Value, bound: Value) -> float:
    """Return the error of estimate - bound, on the side of the estimate that the bound is on."""
    towards = estimate.down if estimate.value > bound.value else estimate.up
    return math.hypot(estimate.error if towards is None else towards, bound.error)


def _ratio(away: float, error: float) -> float | None:
    """Return away / error; infinite where there is no error, None where it is not known."""
    if math.isnan(error) or math.isnan(away):
        return None
    if error > 0:
        return away / error
    return 0.0 if away == 0 else math.copysign(math.inf, away)


def _sigmas(sigma: float) -> str:
    size = abs(sigma)
    if size > 99:
        return "more than 99σ"
    return f"{size:.1f}σ" if size < 10 else f"{size:.0f}σ"


def _opposite(relation: Relation) -> str:
    return "above" if relation == "below" else "below"
