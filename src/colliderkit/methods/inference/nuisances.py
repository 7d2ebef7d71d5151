"""Nuisance parameters: what a simulation does not know, as transformations of its events."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.methods.method import Method

__all__ = ["TRANSFORMATIONS", "Nuisance", "NuisanceMethod", "Transformation"]

Transformation = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
Process = Literal["background", "signal", "all"]


@dataclass(frozen=True)
class Nuisance:
    """Name a nuisance parameter and say what it does to events.

    - `transform`: a function ``(x (N, C), weight (N,), value) -> (x, weight)`` of torch, which
      changes nothing at `nominal` and can be differentiated by the value, or the name of one of
      `TRANSFORMATIONS`, which acts on `column` of x;
    - `process`: whose events it changes, "background" (label 0), "signal" (1) or "all";
    - `width`: the standard deviation of its Gaussian constraint; None: it is free;
    - `step`: how far histograms are varied to either side, by default `width`.
    """

    name: str
    transform: str | Transformation
    process: Process = "background"
    nominal: float = 0.0
    width: float | None = None
    step: float | None = None
    column: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.transform, str):
            if self.transform not in TRANSFORMATIONS:
                raise InputError(
                    f"nuisance '{self.name}': no transformation is called '{self.transform}';"
                    f" choose one of {', '.join(TRANSFORMATIONS)} or give a function."
                )
            if self.transform != "yield" and self.column is None:
                raise InputError(f"nuisance '{self.name}': '{self.transform}' needs a column.")
            if self.transform != "shift" and self.nominal == 0:
                raise InputError(
                    f"nuisance '{self.name}': '{self.transform}' multiplies by value over nominal;"
                    " give a nominal value other than 0."
                )
        for name in ("width", "step"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"nuisance '{self.name}': {name} is {value}, not positive.")
        if self.width is None and self.step is None:
            raise InputError(f"nuisance '{self.name}' is free and needs a step.")
        if self.process not in ("background", "signal", "all"):
            raise InputError(
                f"nuisance '{self.name}': process '{self.process}' is none of background, signal,"
                " all."
            )

    @property
    def size(self) -> float:
        """The step of its variations."""
        size = self.width if self.step is None else self.step
        assert size is not None
        return size

    def touches(self, label: Tensor) -> Tensor:
        """Pick the events (N,) that it changes."""
        if self.process == "all":
            return torch.ones_like(label, dtype=torch.bool)
        return (label > 0.5) == (self.process == "signal")

    def apply(
        self, x: Tensor, weight: Tensor, label: Tensor, value: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """Return events (N, C) and weights (N,) at `value`, a number or one for each event."""
        value = torch.as_tensor(value, dtype=x.dtype)
        if isinstance(self.transform, str):
            moved, scaled = TRANSFORMATIONS[self.transform](self, x, weight, value)
        else:
            moved, scaled = self.transform(x, weight, value)
        chosen = self.touches(label)
        return torch.where(chosen[:, None], moved, x), torch.where(chosen, scaled, weight)

    def slopes(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Return dx/dvalue (N, C) and d ln w/dvalue (N,) at the nominal value."""
        ones = torch.ones_like(label, dtype=x.dtype)

        def at(value: Tensor) -> tuple[Tensor, Tensor]:
            return self.apply(x, ones, label, value)

        start = torch.tensor(self.nominal, dtype=x.dtype)
        slopes: tuple[Tensor, Tensor] = torch.func.jvp(at, (start,), (torch.ones_like(start),))[1]
        return slopes

    def plain(self) -> dict[str, Any]:
        """Return what JSON can hold; raise `InputError` for a function as transformation."""
        if not isinstance(self.transform, str):
            raise InputError(
                f"nuisance '{self.name}' is a function, which no file can hold; use one of"
                f" {', '.join(TRANSFORMATIONS)}."
            )
        return asdict(self)


class NuisanceMethod(Method):
    """Save and load `nuisances` and the `options` of a network with the other arguments."""

    nuisances: Sequence[Nuisance]
    options: Mapping[str, Any] | None

    def _parameters(self) -> dict[str, Any]:
        return {
            **super()._parameters(),
            "nuisances": [nuisance.plain() for nuisance in self.nuisances],
            "options": None if self.options is None else dict(self.options),
        }

    @classmethod
    def _from_parameters(cls, parameters: dict[str, Any]) -> Self:
        nuisances = tuple(Nuisance(**plain) for plain in parameters["nuisances"])
        return super()._from_parameters({**parameters, "nuisances": nuisances})


def _shift(nuisance: Nuisance, x: Tensor, weight: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """x + value - nominal."""
    return _column(nuisance, x, lambda c: c + value - nuisance.nominal), weight


def _scale(nuisance: Nuisance, x: Tensor, weight: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """x value / nominal."""
    return _column(nuisance, x, lambda c: c * value / nuisance.nominal), weight


def _rate(nuisance: Nuisance, x: Tensor, weight: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """x nominal / value: an exponential of rate nominal becomes one of rate value."""
    return _column(nuisance, x, lambda c: c * nuisance.nominal / value), weight


def _yield(nuisance: Nuisance, x: Tensor, weight: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """w value / nominal."""
    return x, weight * value / nuisance.nominal


def _column(nuisance: Nuisance, x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    columns = list(x.unbind(1))
    assert nuisance.column is not None
    columns[nuisance.column] = change(columns[nuisance.column])
    return torch.stack(columns, 1)


TRANSFORMATIONS: dict[str, Callable[[Nuisance, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "shift": _shift,
    "scale": _scale,
    "rate": _rate,
    "yield": _yield,
}
