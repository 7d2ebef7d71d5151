"""Density p(x | m) of the features of events given their mass, by a flow, for searches."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from colliderkit.events.tables import Floats, validation_mask
from colliderkit.generators.flow import ConditionalFlow
from colliderkit.losses.rows import own_loss
from colliderkit.methods.search.resonant.classifiers import Classifiers, TwoSamples
from colliderkit.methods.search.resonant.search import Candidates, Range, ResonantSearch
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Training

__all__ = [
    "FLOW_TRAINING",
    "HELD",
    "PIECE",
    "DensitySearch",
    "FeatureFlow",
    "FlowSearch",
    "grown_flow",
    "named",
    "outer_flow",
    "sized",
]

HELD = 0.1  # of the events choose the epoch
PIECE = 1 << 14  # events evaluated at a time
MARGIN = 0.01  # of a feature's range, beyond its ends: the logit is finite there
FLOW_TRAINING = Training(epochs=20, learning_rate=4e-3, schedule="one-cycle")
# Where no size of the batches is given: steps an epoch, and events a step, a power of two.
STEPS, SMALLEST, LARGEST = 32, 256, 4096


class FeatureFlow(nn.Module):
    """Density p(x | m) of features (F,) given the mass.

    Features have hard ends (a mass of 0, a ratio of 1) that no spline follows: a flow learns
    y = ln u / (1 - u), u = (x - low) / (high - low), where `low` and `high` lie just beyond the
    events that it is trained on.
    """

    low: Tensor
    high: Tensor

    def __init__(self, features: int, options: Mapping[str, Any] | None) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("high", torch.ones(features, dtype=torch.float64))
        self.flow = ConditionalFlow(features, 1, **(options or {}))
        self.eval()

    def fit(
        self,
        features: Floats,
        mass: Floats,
        weight: Floats,
        held: Any,
        training: Training,
        *,
        seed: int,
        folder: Path | None,
        resume: bool,
        progress: bool,
        title: str,
    ) -> Self:
        """Learn from events (N, F) of masses (N,) and weights (N,); those `held` choose the epoch.

        The ends of the features are those of `ends`, which was called before.
        """
        y, m = self.inner(features), torch.from_numpy(mass)[:, None]
        self.flow.fit_scaling(y, m)
        unit = torch.from_numpy(weight / weight.mean()).float()
        data = Dataset(y, torch.zeros(len(y)), unit, m)
        fit(
            self.flow,
            own_loss,
            *data.split(held),
            sized(training, len(y)),
            seed=seed,
            folder=folder,
            resume=resume,
            progress=progress,
            title=title,
        )
        return self

    def ends(self, features: Floats) -> Self:
        """Take the ends of the features from events (N, F)."""
        low, high = features.min(0), features.max(0)
        margin = MARGIN * np.where(high > low, high - low, 1.0)
        self.low.copy_(torch.from_numpy(low - margin))
        self.high.copy_(torch.from_numpy(high + margin))
        return self

    def inner(self, features: Floats) -> Tensor:
        """Return y (N, F) of features (N, F); beyond the ends, that of the ends."""
        u = (torch.from_numpy(np.asarray(features)) - self.low) / (self.high - self.low)
        least = MARGIN / 10
        return u.clamp(least, 1 - least).logit()

    def outer(self, y: Tensor) -> Floats:
        """Return features (N, F) of y (N, F)."""
        features: Floats = (self.low + (self.high - self.low) * torch.sigmoid(y.double())).numpy()
        return features

    @torch.no_grad()
    def log_prob(self, features: Floats, mass: Floats) -> Floats:
        """Return ln p(y | m), (N,): that of x up to a term that is the same for all flows."""
        m = torch.from_numpy(mass)[:, None]
        pairs = zip(self.inner(features).split(PIECE), m.split(PIECE), strict=True)
        return torch.cat([self.flow.log_prob(y, c).double() for y, c in pairs]).numpy()

    @torch.no_grad()
    def encode(self, features: Floats, mass: Floats) -> Floats:
        """Return z (N, F), standard normal where the features follow p(x | m)."""
        m = torch.from_numpy(mass)[:, None]
        pairs = zip(self.inner(features).split(PIECE), m.split(PIECE), strict=True)
        return torch.cat([self.flow.encode(y, c).double() for y, c in pairs]).numpy()

    @torch.no_grad()
    def decode(self, noise: Floats, mass: Floats) -> Floats:
        """Return features (N, F) of z (N, F)."""
        z, m = torch.from_numpy(noise).float(), torch.from_numpy(mass)[:, None]
        pairs = zip(z.split(PIECE), m.split(PIECE), strict=True)
        return self.outer(torch.cat([self.flow.decode(part, c) for part, c in pairs]))


def sized(training: Training, events: int) -> Training:
    """Return a training with the size of its batches, which follows the number of events."""
    if training.batch_size is not None:
        return training
    near = 1 << max(round(events / STEPS), 1).bit_length() - 1
    return replace(training, batch_size=min(max(near, SMALLEST), LARGEST))


class FlowSearch(ResonantSearch):
    """Base of searches whose background is a flow of the sidebands, interpolated into the window.

    Args:
        signal_region, sidebands, folds, efficiency: as of `ResonantSearch`.
        classifier, options, members: as of `ResonantSearch`.
        flow: keyword arguments of `generators.flow.ConditionalFlow`.
        oversampling: events of the template for each event of the window.
        training: of the flow: epochs, learning rate and the like; without a batch size there are
            32 steps an epoch or more, of 256 to 4096 events.
        edges, bins, family, orders: as of `ResonantSearch`.
    """

    def __init__(
        self,
        *,
        signal_region: Range = (3300.0, 3700.0),
        sidebands: Range | None = None,
        folds: int = 5,
        efficiency: float = 0.01,
        classifier: Literal["trees", "network"] = "trees",
        options: Mapping[str, Any] | None = None,
        members: int = 5,
        flow: Mapping[str, Any] | None = None,
        oversampling: float = 4.0,
        training: Training = FLOW_TRAINING,
        edges: Sequence[float] | None = None,
        bins: int = 40,
        family: str = "dijet",
        orders: tuple[int, int] = (2, 3),
    ) -> None:
        super().__init__(
            signal_region=signal_region,
            sidebands=sidebands,
            folds=folds,
            efficiency=efficiency,
            classifier=classifier,
            options=options,
            members=members,
            edges=edges,
            bins=bins,
            family=family,
            orders=orders,
        )
        self.flow = flow
        self.oversampling = oversampling
        self.training = training

    def _template(self, data: Candidates, seed: int) -> tuple[Floats, Floats]:
        """Draw `oversampling` masses for each event of the window from theirs, and noise, as many.

        Events are drawn by their weights; (n,) and (n, F).
        """
        inside = data.inside(self.signal_region)
        random = np.random.default_rng(derive(seed, "template"))
        count = max(1, round(self.oversampling * len(inside)))
        chance = inside.weight / inside.weight.sum()
        mass = inside.mass[random.choice(len(inside), count, p=chance)]
        return mass, random.normal(size=(count, data.features.shape[1]))

    def _classify(
        self, inside: Candidates, found: Floats, template: Floats, seed: int
    ) -> Classifiers:
        """Train classifiers of the window's events, seen as `found` (n, F), and a template."""
        weights = inside.weight, np.ones(len(template))
        return self._classified(TwoSamples.of(found, template, weights), seed)


class DensitySearch(ResonantSearch):
    """Base of searches whose score is a ratio of densities, without a classifier.

    Args:
        signal_region, sidebands, folds, efficiency: as of `ResonantSearch`.
        flow: keyword arguments of `generators.flow.ConditionalFlow`.
        training: of the flows, as of `FlowSearch`.
        edges, bins, family, orders: as of `ResonantSearch`.
    """

    def __init__(  # no super: there is no classifier to set
        self,
        *,
        signal_region: Range = (3300.0, 3700.0),
        sidebands: Range | None = None,
        folds: int = 5,
        efficiency: float = 0.01,
        flow: Mapping[str, Any] | None = None,
        training: Training = FLOW_TRAINING,
        edges: Sequence[float] | None = None,
        bins: int = 40,
        family: str = "dijet",
        orders: tuple[int, int] = (2, 3),
    ) -> None:
        self.signal_region = signal_region
        self.sidebands = sidebands
        self.folds = folds
        self.efficiency = efficiency
        self.flow = flow
        self.training = training
        self.edges = edges
        self.bins = bins
        self.family = family
        self.orders = orders

    def _check_classifier(self) -> None:
        """There is none."""


def outer_flow(
    search: FlowSearch | DensitySearch, data: Candidates, seed: int, **where: Any
) -> FeatureFlow:
    """Learn p(x | m) in the sidebands; `where` has the folder, resume and progress."""
    sides = Candidates.joined(search._sideband(data))
    return grown_flow(search, "outer", data, sides, seed, **where)


def grown_flow(
    search: FlowSearch | DensitySearch,
    title: str,
    data: Candidates,
    events: Candidates,
    seed: int,
    **where: Any,
) -> FeatureFlow:
    """Learn p(x | m) of `events` between the ends of the features of all `data`."""
    start = derive(seed, "flow")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(start, title))
        flow = FeatureFlow(data.features.shape[1], search.flow).ends(data.features)
    return flow.fit(
        events.features,
        events.mass,
        events.weight,
        validation_mask(events.event, HELD, derive(start, title, "validation")),
        search.training,
        seed=derive(start, title, "training"),
        title=title,
        **named(where, title),
    )


def named(where: Mapping[str, Any], title: str) -> dict[str, Any]:
    """Return folder, resume and progress of one of several trainings of a judge, by its title."""
    folder: Path | None = where["folder"]
    own = None if folder is None else folder.with_name(f"{folder.name}-{title}")
    return {**where, "folder": own}
