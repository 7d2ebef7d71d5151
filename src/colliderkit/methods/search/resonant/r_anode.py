"""R-ANODE: the density of the signal itself, beside a fixed background (2312.11629)."""

from typing import Any, ClassVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colliderkit.events.tables import Floats, validation_mask
from colliderkit.generators.flow import ConditionalFlow
from colliderkit.losses.rows import own_loss
from colliderkit.methods.search.resonant.classifiers import Judge
from colliderkit.methods.search.resonant.flows import (
    HELD,
    PIECE,
    DensitySearch,
    FeatureFlow,
    named,
    outer_flow,
    sized,
)
from colliderkit.methods.search.resonant.search import Candidates, Range
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit

__all__ = ["RAnode"]

START = 0.02  # share of signal that a training begins with
LEAST = 1e-6  # of the share, and of one less it
STEPS = 200  # of expectation maximisation


class RAnode(DensitySearch):
    """Search by the density of the signal, learned in the window with the background held fixed,

        p_window(x | m) = w p_S(x) + (1 - w) p_sidebands(x | m).

    p_S, a flow, and the share w are fitted to the events of the window by maximum likelihood, with
    the flow of the sidebands as it is; the score is ln p_S(x) - ln p_sidebands(x | m). ANODE learns
    the whole density of the window, of which the signal is a thousandth. The published form has the
    mass among the features of p_S; without, the score follows no mass and its cut makes no bump.

    Args: see `DensitySearch`.

    After `fit` each judge has the share w that it found: `shares_` (folds,).
    """

    name: ClassVar[str] = "r-anode"

    @property
    def shares_(self) -> Floats:
        """The share of signal in the window that each judge has found, (folds,)."""
        judges = cast("list[_SignalRatio]", self.judges_)
        return np.array([float(judge.signal.share.detach().sigmoid()) for judge in judges])

    def _judge(
        self,
        data: Candidates,
        simulation: Candidates | None,
        seed: int,
        **where: Any,
    ) -> Judge:
        inside = data.inside(self.signal_region)
        outer = outer_flow(self, data, seed, **where)
        y = outer.inner(inside.features)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "signal"))
            signal = _Mixture(ConditionalFlow(y.shape[1], 1, **(self.flow or {})))
        background = torch.from_numpy(outer.log_prob(inside.features, inside.mass))[:, None]
        signal.flow.fit_scaling(y, torch.zeros(len(y), 1))
        unit = torch.from_numpy(inside.weight / inside.weight.mean()).float()
        held = validation_mask(inside.event, HELD, derive(seed, "signal", "validation"))
        fit(
            signal,
            own_loss,
            *Dataset(y, torch.zeros(len(y)), unit, background).split(held),
            sized(self.training, len(y)),
            seed=derive(seed, "signal", "training"),
            title="signal",
            **named(where, "signal"),
        )
        signal.settle(y, background[:, 0], unit)
        return _SignalRatio(signal, outer, self.signal_region)

    def _built(self, options: Any) -> Judge:
        features = options["features"]
        signal = _Mixture(ConditionalFlow(features, 1, **(self.flow or {})))
        return _SignalRatio(signal, FeatureFlow(features, self.flow), self.signal_region)


class _Mixture(nn.Module):
    """-ln[w p_S(y) + (1 - w) p_B], the context being ln p_B (B, 1)."""

    def __init__(self, flow: ConditionalFlow) -> None:
        super().__init__()
        self.flow = flow
        self.share = nn.Parameter(torch.logit(torch.tensor(START)))

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        signal = F.logsigmoid(self.share) + self.log_prob(values)
        background = F.logsigmoid(-self.share) + context[:, 0].to(signal.dtype)
        return -torch.logaddexp(signal, background)[:, None]

    def log_prob(self, y: Tensor) -> Tensor:
        """Return ln p_S(y), (B,)."""
        return self.flow.log_prob(y, torch.zeros(len(y), 1))

    @torch.no_grad()
    def settle(self, y: Tensor, background: Tensor, weight: Tensor) -> None:
        """Take the share of largest likelihood for p_S as it is, by expectation maximisation.

        A training is too short for it: one number moves as slowly as all others.
        """
        signal = torch.cat([self.log_prob(piece) for piece in y.split(PIECE)])
        odds = signal.double() - background
        for _ in range(STEPS):
            each = torch.sigmoid(odds + self.share.double())
            share = (weight * each).sum() / weight.sum()
            self.share.copy_(share.clamp(LEAST, 1 - LEAST).logit())


class _SignalRatio(Judge):
    """ln p_S(x) - ln p_B(x | m), m in a region."""

    def __init__(self, signal: _Mixture, outer: FeatureFlow, region: Range) -> None:
        super().__init__()
        self.signal = signal
        self.outer = outer
        self.region = region

    @property
    def options(self) -> Any:
        return {"features": len(self.outer.low)}

    @torch.no_grad()
    def forward(self, features: Floats, mass: Floats) -> Floats:
        pieces = self.outer.inner(features).split(PIECE)
        signal = torch.cat([self.signal.log_prob(piece).double() for piece in pieces]).numpy()
        ratio: Floats = signal - self.outer.log_prob(features, np.clip(mass, *self.region))
        return ratio
