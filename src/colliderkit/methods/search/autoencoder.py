"""Autoencoder: learn to reproduce events, and call those anomalous that are reproduced badly."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import awkward as ak
import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import clone
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.ragged import Ragged
from colliderkit.events.schema import CONSTITUENTS, FOURVECTOR, check_jets, weights_of
from colliderkit.events.tables import Floats, as_table, as_weight, event_numbers, validation_mask
from colliderkit.losses.rows import own_loss
from colliderkit.methods.architecture import Architecture
from colliderkit.methods.method import Method
from colliderkit.names import Registry
from colliderkit.networks.autoencoders import MapCoder
from colliderkit.networks.autoencoding import Autoencoding, Reproducing
from colliderkit.ranges import check
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["Autoencoder"]

CODERS = Registry(
    "representation of an autoencoder",
    {
        "table": "colliderkit.networks.autoencoders:TableCoder",
        "map": "colliderkit.networks.autoencoders:MapCoder",
        "image": "colliderkit.networks.autoencoders:ImageCoder",
        "set": "colliderkit.networks.autoencoders:SetCoder",
    },
    supplied=("columns", "encoded", "latent"),
)
PIECE = 1024  # events that are scored at a time


class Autoencoder(Method):
    """Learn to reproduce events through a few numbers, and score others by the error.

    The training is on background, or on data in which signal is rare; no label enters. What is
    reproduced badly need not be rare: an error depends on how complex an event is and on the
    coordinates (2209.06225), which the kinds "contrastive" and "normalised" are there to mend.

    Args:
        kind: "plain"; "variational" with a prior of the latent numbers; "contrastive", where
            events are told from anomalous counterparts by their error, which makes it -ln p(x) of
            a table; or "normalised", of tables and maps: the error is the energy of a density,
            trained against samples of itself (2206.14225; see
            `networks.autoencoding.Autoencoding`).
        representation: what is reproduced: a "table" of columns, a "map" of many numbers of one
            kind (the bins of a monitor), an "image" or a "set" of the constituents of a jet.
        features: of a table without jets, the names of its columns.
        observables: of a table of jets: a preset or names of `events.observables`.
        options: keyword arguments of `networks.autoencoders.TableCoder`, MapCoder, ImageCoder or
            SetCoder.
        latent: numbers that an event is reproduced from.
        prior: of a variational autoencoder: "normal"; "dirichlet" for numbers that sum to 1,
            shares of classes; or a "mixture" of normal classes (both 2104.08291).
        classes: of a mixture.
        beta: the weight of its divergence.
        measure: the score: the "error", or of a variational one the "radius", the squared distance
            of the latent mean from the prior's, which needs no decoder (a trigger's); a
            mixture has none.
        validation: the share of the events, by a hash of their number, that chooses the epoch.
        training: epochs, batch size, learning rate and the like.

    After `fit`: `model_` (`Autoencoding`), `columns_` of the raw inputs, and `history_` of
    "network", before it of "reproduction", with which a normalised one begins. ``model_.score`` is
    the score as a torch module takes it: raw columns and mask.
    """

    name: ClassVar[str] = "autoencoder"
    resumable: ClassVar[bool] = True

    columns_: list[str]
    model_: Autoencoding
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        kind: Literal["plain", "variational", "contrastive", "normalised"] = "plain",
        representation: Literal["table", "map", "image", "set"] = "table",
        features: Sequence[str] | None = None,
        observables: str | Sequence[str] = "standard",
        options: dict[str, Any] | None = None,
        latent: int = 4,
        prior: Literal["normal", "dirichlet", "mixture"] = "normal",
        classes: int = 2,
        beta: float = 1.0,
        measure: Literal["error", "radius"] = "error",
        validation: float = 0.15,
        training: Training = Training(learning_rate=2e-3),
    ) -> None:
        self.kind = kind
        self.representation = representation
        self.features = features
        self.observables = observables
        self.options = options
        self.latent = latent
        self.prior = prior
        self.classes = classes
        self.beta = beta
        self.measure = measure
        self.validation = validation
        self.training = training

    def fit(
        self,
        events: Any,
        *,
        event: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on a table (N, C) or N jets and return self.

        `event` (N,) int64 parts training from validation; that of jets is their own if not given.
        `weight` (N,), 0 or more, multiplies the losses, and the jets' own weights. Checkpoints go
        to `folder`, from which `resume` goes on. Raises `InputError` for events that are not of the
        representation, values that are not finite and weights below 0.
        """
        self._begin(
            seed=seed, folder=folder, resume=resume, events=events, event=event, weight=weight
        )
        self._check()
        inputs, self.columns_ = self._read(events)
        train, held_out = self._datasets(events, inputs, event, weight, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "networks"))
            self._rebuild()
        if isinstance(train.inputs, Tensor):
            self.model_.coder.fit(train.inputs)
        history: dict[str, list[Epoch]] = {}
        stages = ["network"]
        if self.kind == "normalised":
            stages, self.model_.plain = ["reproduction", "network"], True
        for stage in stages:
            if history:
                self.model_.settle(min(epoch.validation_loss for epoch in history["reproduction"]))
            part = None if folder is None else Path(folder)
            if part is not None and self.kind == "normalised":
                part = part / stage
            history[stage] = fit(
                self.model_.train(),
                own_loss,
                train,
                held_out,
                self.training,
                folder=part,
                seed=seed,
                resume=resume and part is not None and part.exists(),
                title=f"{self.kind} autoencoder" if stage == "network" else stage,
                progress=progress,
            )
        self.history_ = history
        return self

    def score(self, events: Any) -> Floats:
        """Return how anomalous events are, (N,); higher is more so."""
        radius = self.measure == "radius"
        return self._each(events, lambda *raw: self.model_.score(*raw, radius=radius))

    def class_shares(self, events: Any) -> Floats:
        """Return the posterior of each class of a mixture in events, (N, classes).

        It orders events between classes; where it is 1/2 need not be where they are fewest.
        Raises `InputError` for another prior, which has no classes.
        """
        if self.prior != "mixture":
            raise InputError(
                f"prior is '{self.prior}', which has no classes; take prior 'mixture', or the"
                " latent numbers of prior 'dirichlet', which are shares."
            )
        return self._each(events, self.model_.classes)

    def latent_numbers(self, events: Any) -> Floats:
        """Return the latent numbers of events, (N, latent); of a Dirichlet prior they sum to 1."""
        return self._each(events, self.model_.latent)

    def sample(self, count: int, *, steps: int = 500, seed: int = 0) -> Floats:
        """Draw rows of a table or map from the density of a normalised autoencoder, (count, C).

        Each is a Markov chain of its own, so many `steps` after it began on the manifold. Raises
        `InputError` for another kind, which is no density.
        """
        if self.kind != "normalised":
            raise InputError(
                f"kind is '{self.kind}', and only a normalised autoencoder is a density to draw"
                " from; take kind 'normalised'."
            )
        check({"count": count, "steps": steps, "seed": seed})
        random = torch.Generator().manual_seed(derive(seed, "chains"))
        drawn = self.model_.samples(count, steps, random)
        coder = self.model_.coder
        assert isinstance(coder, MapCoder)
        return coder.scaling.restored(drawn).numpy()

    def differences(self, events: Any) -> Floats:
        """Return what of a table or of maps (N, C) is not reproduced, in spreads, (N, C).

        Raises `InputError` where constituents of jets are reproduced, which have no such columns.
        """
        if self.representation not in ("table", "map"):
            raise InputError(
                f"representation is '{self.representation}', and differences are of the numbers of"
                " a table or a map; take the score."
            )
        return self._each(events, lambda values, mask: self.model_.differences(values))

    def in_fixed_point(
        self,
        events: Any,
        bits: int,
        *,
        training: Training | None = None,
        event: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        progress: bool = True,
    ) -> Self:
        """Return a copy in fixed point: weights and hidden activations of `bits` each.

        The ranges are those of `events` (N, C). Without `training` the weights are rounded and no
        more. With it they are trained as they are rounded, quantisation-aware, to give on these
        events, taken as `fit` takes them, what this one gives: so that the same ones are kept. (The
        option `bits` trains for fixed point from the beginning, without a teacher.) In fixed point
        a score is what integers give, exactly. Raises `InputError` for one of jets,
        whose networks have no fixed point, and for one that is in fixed point already.
        """
        options = dict(self.options or {})
        if self.representation not in ("table", "map") or options.get("bits") is not None:
            raise InputError(
                f"an autoencoder of representation '{self.representation}' with bits"
                f" {options.get('bits')} is not put in fixed point; take one of a table or a map,"
                " trained without bits."
            )
        check({"bits": bits, "seed": seed})
        other: Self = clone(self).set_params(options=options | {"bits": bits})
        other.columns_, other.history_, other.seed_ = self.columns_, self.history_, self.seed_
        other._rebuild()
        other.model_.load_state_dict(self.model_.state_dict(), strict=False)
        inputs = other.inputs(events)
        assert isinstance(inputs, Tensor)
        other.model_.train()
        with torch.no_grad():
            for part in inputs.split(PIECE):
                other.model_.score(part)
        if training is not None:
            train, held_out = other._datasets(events, inputs, event, weight, seed)
            radius = self.measure == "radius"
            history = fit(
                Reproducing(other.model_, copy.deepcopy(self.model_), radius=radius),
                own_loss,
                train,
                held_out,
                training,
                seed=seed,
                title=f"{bits} bits",
                progress=progress,
            )
            other.history_ = {**self.history_, "fixed point": history}
        other.model_.eval()
        return other

    def _datasets(
        self,
        events: Any,
        inputs: Ragged | Tensor,
        event: ArrayLike | None,
        weight: ArrayLike | None,
        seed: int,
    ) -> tuple[Dataset, Dataset]:
        """Return what is trained on and what chooses the epoch."""
        if isinstance(events, ak.Array):
            own = weights_of(events)
            weight = own if weight is None else own * as_weight(weight, len(own))
            event = event if event is not None or "event" not in events.fields else events["event"]
        negative = "an error cannot be made larger without end"
        weights = as_weight(weight, len(inputs), negative=negative)
        numbers = event_numbers(event, len(inputs), "the events")
        validation = validation_mask(numbers, self.validation, seed)
        unit = torch.from_numpy((weights / weights.mean()).astype(np.float32))
        train, held_out = Dataset(inputs, torch.zeros(len(inputs)), unit).split(validation)
        return train, held_out

    def inputs(self, events: Any) -> Ragged | Tensor:
        """Return what `model_` takes for these events: ragged raw columns, or a table."""
        return self._read(events, self.columns_)[0]

    def _each(self, events: Any, answer: Any) -> Floats:
        """Return an answer of the model for all events, in pieces."""
        inputs = self.inputs(events)
        nothing = torch.zeros(len(inputs))
        data = Dataset(inputs, nothing, nothing)
        self.model_.eval()
        with torch.inference_mode():
            batches = (data.batch(rows) for rows in torch.arange(len(inputs)).split(PIECE))
            parts = [answer(batch.values, batch.mask) for batch in batches]
        return torch.cat(parts).double().numpy()

    def _read(self, events: Any, fitted: Sequence[str] = ()) -> tuple[Ragged | Tensor, list[str]]:
        """Return raw inputs and the names of their columns."""
        if self.representation not in ("table", "map"):
            if not isinstance(events, ak.Array) or CONSTITUENTS not in events.fields:
                raise InputError(
                    f"the events are no jets with constituents, which representation"
                    f" '{self.representation}' takes; give jets, or take representation 'table'."
                )
            constituents = check_jets(events, "jets", FOURVECTOR)[CONSTITUENTS]
            return Ragged.from_awkward(constituents, FOURVECTOR), list(FOURVECTOR)
        if isinstance(events, ak.Array):
            reader = Architecture("mlp", features=self.features, observables=self.observables)
            table = reader.inputs(events)
            assert isinstance(table, Tensor)
            return table.double(), list(reader.columns)
        names = fitted or self.features or ()
        values = as_table(events, "the events", names)
        return torch.from_numpy(values), list(names) or [f"x{i}" for i in range(values.shape[1])]

    def _check(self) -> None:
        choices = {
            "kind": ("plain", "variational", "contrastive", "normalised"),
            "representation": tuple(CODERS),
            "prior": ("normal", "dirichlet", "mixture"),
            "measure": ("error", "radius"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise InputError(
                    f"{name} is '{getattr(self, name)}'; choose one of {', '.join(known)}."
                )
        if self.kind != "variational" and (self.prior != "normal" or self.measure != "error"):
            raise InputError(
                f"prior '{self.prior}' and measure '{self.measure}' are of a variational"
                f" autoencoder, and kind is '{self.kind}'; take kind 'variational'."
            )
        if self.kind == "normalised" and self.representation not in ("table", "map"):
            raise InputError(
                f"kind 'normalised' samples rows of numbers, and representation is"
                f" '{self.representation}'; take 'table' or 'map'."
            )
        if self.measure == "radius" and self.prior == "mixture":
            raise InputError(
                "a prior 'mixture' has no one mean, and measure is 'radius'; take measure 'error'."
            )
        if self.prior == "dirichlet" and self.latent < 2:
            raise InputError("latent is 1, and shares that sum to 1 are two or more; raise it.")

    def _rebuild(self) -> None:
        encoded = self.latent * (2 if self.kind == "variational" else 1)
        sizes = {"encoded": encoded, "latent": self.latent}
        if self.representation in ("table", "map"):
            sizes["columns"] = len(self.columns_)
        coder = CODERS.build(self.representation, **sizes, **(self.options or {}))
        self.model_ = Autoencoding(
            coder,
            self.latent,
            kind=self.kind,
            prior=self.prior,
            beta=self.beta,
            classes=self.classes,
        )
