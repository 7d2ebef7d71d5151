"""A fitted method on an inference server: its verbs, answered by the file that was exported."""

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.ragged import Ragged
from colliderkit.events.tables import Floats, as_table
from colliderkit.methods.ratio import Ratio
from colliderkit.methods.regression import Conformal, Regression
from colliderkit.methods.regression.regression import Prediction
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.methods.search.trigger import Trigger
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.serve.remote import RemoteModel, Unavailable

__all__ = ["on_server"]

Answer = dict[str, NDArray[Any]]
Verb = Callable[..., Any]
COMPARED = 16  # events of the first call, which the method answers too
# Of the root mean square answer, in 99% of the numbers: other networks differ by far more, and
# another processor or a GPU by less.
TOLERANCE, USUAL = 1e-3, 0.99


def on_server(method: Any, remote: RemoteModel) -> Any:
    """Return a copy of a fitted method that is answered by a server with its exported file.

    It is used as the method itself: `predict_proba` and `regression` of a tagger, `log_ratio` and
    `weights` of a ratio, `score` of an autoencoder or a trigger, `predict` and `interval` of a
    regression, `sample` of a surrogate of showers. Jets are sent in requests of
    `RemoteModel.rows`, sorted by length, as many at a time as it allows.

    The first events of each verb are answered here too: raises `InputError` where the server's
    model is another one, by more than 1e-3 of the root mean square answer, and for a method that
    has no exported form. Events that no server answers within the deadline are answered here, with
    a warning.
    """
    copied = copy.copy(method)
    if isinstance(method, Trigger):
        copied.scorer_ = on_server(method.scorer_, remote)
        return copied
    if isinstance(method, Conformal):
        copied.method_ = on_server(method.method_, remote)
        return copied
    for kind, verbs in VERBS.items():
        if isinstance(method, kind):
            for name, there in verbs(method, remote).items():
                # Of this copy alone, in place of the function of its class.
                vars(copied)[name] = Answered(name, getattr(method, name), there, remote)
            return copied
    known = ", ".join(kind.__name__ for kind in (*VERBS, Conformal, Trigger))
    raise InputError(f"{type(method).__name__} is not asked on a server; these are: {known}.")


@dataclass
class Answered:
    """Answer a verb by the server `there`; `here`, by the method, if none answers."""

    name: str
    here: Verb
    there: Verb
    remote: RemoteModel
    compared: bool = False
    warned: bool = False

    def __call__(self, events: Any, *more: Any) -> Any:
        if len(events) == 0:
            return self.here(events, *more)
        try:
            if not self.compared:
                self._compare([_first(x) for x in (events, *more)])
            return self.there(events, *more)
        except Unavailable as error:
            if not self.warned:
                warnings.warn(f"{error} The method answers here instead", stacklevel=2)
                self.warned = True
            return self.here(events, *more)

    def _compare(self, first: list[Any]) -> None:
        for ours, theirs in zip(
            _numbers(self.here(*first)), _numbers(self.there(*first)), strict=True
        ):
            if ours.shape != theirs.shape:
                raise InputError(
                    f"{self.remote.where}: answers in the shape {list(theirs.shape)}, and the"
                    f" method in {list(ours.shape)}; serve the file that was exported from it."
                )
            away = float(np.quantile(np.abs(ours - theirs), USUAL)) if ours.size else 0.0
            size = float(np.sqrt(np.mean(ours**2))) if ours.size else 0.0
            if not away <= TOLERANCE * size:
                raise InputError(
                    f"{self.remote.where}: holds another model, whose {self.name} is {away:.2g} off"
                    f" where this one's is {size:.2g}; export this one again and serve that."
                )
        self.compared = True


def ask(remote: RemoteModel, inputs: Ragged | Tensor, theta: Tensor | None = None) -> Answer:
    """Return the outputs (N, ...) of N raw events by their names, asked in batches at once."""
    order = torch.arange(len(inputs))
    if isinstance(inputs, Ragged):
        order = inputs.lengths.argsort(stable=True)
    asked = []
    for events in order.split(remote.rows):
        if isinstance(inputs, Ragged):
            feed = {"constituents": inputs.padded(events)[0].numpy()}
        else:
            feed = {"table": inputs[events].float().numpy()}
        if theta is not None:
            feed["theta"] = theta[events].float().numpy()
        asked.append(remote.submit(feed))
    answers = [future.result() for future in asked]
    back = order.argsort().numpy()
    return {name: np.concatenate([a[name] for a in answers])[back] for name in answers[0]}


def output(answer: Answer, name: str, remote: RemoteModel) -> NDArray[Any]:
    """Return an output of the exported file; raise `InputError` where the server has none such."""
    if name not in answer:
        raise InputError(
            f"{remote.where}: answers {', '.join(answer)} and not '{name}', as the method's file"
            " does; export this one again and serve that."
        )
    return answer[name]


def _tagger(method: Tagger, remote: RemoteModel) -> dict[str, Verb]:
    def predict_proba(jets: ak.Array) -> Floats:
        answer = ask(remote, method.inputs(jets))
        return output(answer, "probability", remote).astype(np.float64)

    def regression(jets: ak.Array) -> dict[str, NDArray[np.float32]]:
        answer = ask(remote, method.inputs(jets))
        return {name: output(answer, name, remote).reshape(-1) for name in method.regress}

    return {"predict_proba": predict_proba, "regression": regression}


def _ratio(method: Ratio, remote: RemoteModel) -> dict[str, Verb]:
    def answer(inputs: Ragged | Tensor, context: Tensor | None) -> Tensor:
        given = output(ask(remote, inputs, context), "log_ratio", remote)
        return torch.from_numpy(given.reshape(-1).astype(np.float64))

    return {"answer": answer}


def _autoencoder(method: Autoencoder, remote: RemoteModel) -> dict[str, Verb]:
    def score(events: Any) -> Floats:
        given = output(ask(remote, method.inputs(events)), "score", remote)
        return given.reshape(-1).astype(np.float64)

    return {"score": score}


def _regression(method: Regression, remote: RemoteModel) -> dict[str, Verb]:
    def predict(x: ArrayLike) -> Prediction:
        answer = ask(remote, torch.from_numpy(as_table(x, "x", method.names_)))
        estimate, std = (
            output(answer, name, remote).reshape(-1).astype(np.float64)
            for name in ("estimate", "std")
        )
        return Prediction(estimate, std)

    return {"predict": predict}


def _surrogate(method: ShowerSurrogate, remote: RemoteModel) -> dict[str, Verb]:
    def decode(noise: Tensor, incident: Tensor) -> Tensor:
        feed = {"noise": noise.float().numpy(), "incident": incident[:, None].float().numpy()}
        (energies,) = remote.run(["energies"], feed)
        return torch.from_numpy(energies.copy())

    return {"decode": decode}


VERBS: Mapping[type, Callable[[Any, RemoteModel], dict[str, Verb]]] = {
    Tagger: _tagger,
    Ratio: _ratio,
    Autoencoder: _autoencoder,
    Regression: _regression,
    ShowerSurrogate: _surrogate,
}


def _first(values: Any) -> Any:
    """Return what is given of the first events."""
    if values is None:
        return None
    if isinstance(values, Ragged):
        return values.at(torch.arange(min(COMPARED, len(values))))
    return values[:COMPARED]


def _numbers(answer: Any) -> list[Floats]:
    """Return the numbers of an answer; of a regression, estimate and standard deviation."""
    if isinstance(answer, Prediction):
        parts = [answer.estimate, answer.std]
    elif isinstance(answer, Mapping):
        parts = list(answer.values())
    else:
        parts = [answer]
    return [np.asarray(part, dtype=np.float64) for part in parts]
