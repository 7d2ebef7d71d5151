"""Quantities with uncertainties beside the published ones: the rows of ``results.json``.

The file is one JSON object: ``format`` (2), ``title``, ``command``, ``seeds``, ``versions``,
``timing`` (seconds by step), ``configuration`` (YAML text) and ``rows``. A row has the fields
of `Result`; what is not known is null.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from colliderkit.errors import InputError
from colliderkit.files import atomic_file, existing_file
from colliderkit.metrics.value import Value, over_seeds, with_errors

__all__ = ["Result", "read_results", "write_results"]

FORMAT = 2


@dataclass(frozen=True)
class Result:
    """One quantity of one subject (a model, a method), with the published value.

    - `value` ± `error`: ours, the total uncertainty of the value;
    - `seeds`: the standard deviation of one training over seeds, None for a single one;
    - `counting`: the statistical error of the events evaluated on;
    - `lower_limit`: `value` is a lower limit (95% confidence) and has no errors;
    - `published` ± `published_error`, and its `source` ("arXiv:1902.09914");
    - `setup`: "same" if ours was made as the published one, "stand-in" if not (other events,
      fewer of them, another detector), and in about five words the `difference`;
    - `unit`: "" for a pure number;
    - `up`, `down`: the error in each direction where it is not the same (few events).
    """

    subject: str
    quantity: str
    value: float
    error: float | None = None
    seeds: float | None = None
    counting: float | None = None
    lower_limit: bool = False
    published: float | None = None
    published_error: float | None = None
    source: str = ""
    setup: Literal["same", "stand-in"] = "stand-in"
    unit: str = ""
    difference: str = ""
    up: float | None = None
    down: float | None = None

    def __post_init__(self) -> None:
        if self.setup not in ("same", "stand-in"):
            raise InputError(f"set-up '{self.setup}' of a result is neither 'same' nor 'stand-in'.")
        if self.published is not None and not self.source:
            raise InputError(f"the published {self.quantity} of {self.subject} needs its source.")

    @classmethod
    def over_seeds(
        cls, subject: str, quantity: str, values: Sequence[Value], **published: Any
    ) -> Self:
        """Combine the values of one quantity over trainings that differ by their seed.

        The value is the mean; its error is sqrt(std^2 / n + counting^2): the events evaluated
        on are the same for each seed, so that their error does not shrink with n; one of NaN is
        not known. If any value is a lower limit, the result is one: the smallest of all. Further
        keywords are fields of `Result` (published, source, setup, unit, ...).
        """
        if len(values) == 1 and values[0].up is not None:
            published |= {"up": values[0].up, "down": values[0].down}
        if any(value.lower_limit for value in values):
            smallest = min(value.value for value in values)
            return cls(subject, quantity, smallest, lower_limit=True, **published)
        mean, std, error = over_seeds(list(values))
        counting = sum(value.error for value in values) / len(values)
        if math.isnan(counting):  # not known
            both = (None, None) if len(values) == 1 else (error, std)
            return cls(subject, quantity, mean, *both, **published)
        if len(values) == 1:
            return cls(subject, quantity, mean, counting, None, counting, **published)
        return cls(subject, quantity, mean, math.hypot(error, counting), std, counting, **published)

    @property
    def estimate(self) -> Value:
        """The value with its total error, NaN if that is not known."""
        error = math.nan if self.error is None or self.lower_limit else self.error
        return Value(self.value, error, self.lower_limit, self.up, self.down)

    @property
    def tension(self) -> float | None:
        """Standard deviations between ours and the published value, if the set-up is the same.

        None where it is not, and where no error is known.
        """
        if self.published is None or self.setup != "same" or self.lower_limit or not self.error:
            return None
        total = math.hypot(self.error, self.published_error or 0.0)
        return (self.value - self.published) / total

    def ours(self) -> str:
        """Write ``value ± seeds ± counting`` to two digits of the larger error.

        A value without any error stands alone.
        """
        if self.lower_limit or (self.up is not None and not self.seeds):
            return str(self.estimate)
        errors = [e for e in (self.seeds, self.counting) if e] or [self.error or math.nan]
        return with_errors(self.value, *errors)

    def theirs(self) -> str:
        """Write the published value and its error as published."""
        if self.published is None:
            return ""
        error = "" if self.published_error is None else f" ± {self.published_error:g}"
        return f"{self.published:g}{error}"


def write_results(
    path: str | Path, rows: Sequence[Result], about: dict[str, Any], force: bool = False
) -> Path:
    """Write `rows` and what they are `about` (title, command, seeds, ...) as JSON, whole or not."""
    content = {"format": FORMAT, **about, "rows": [_finite(asdict(row)) for row in rows]}
    with atomic_file(path, force) as part:
        part.write_text(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    return Path(path)


def read_results(path: str | Path) -> list[Result]:
    """Read the rows that `write_results` wrote; raise `InputError` if the file is damaged."""
    path = existing_file(path)
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            found = content["format"]
            raise InputError(f"{path}: has format {found}, this version reads {FORMAT}; run again.")
        return [Result(**row) for row in content["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is no results.json ({error}); run the study again.") from error


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: what is not known is null."""
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
