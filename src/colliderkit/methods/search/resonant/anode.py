"""ANODE: the ratio of two densities, of the window and of the sidebands (2001.04990)."""

from typing import Any, ClassVar

import numpy as np

from colliderkit.events.tables import Floats
from colliderkit.methods.search.resonant.classifiers import Judge
from colliderkit.methods.search.resonant.flows import (
    DensitySearch,
    FeatureFlow,
    grown_flow,
    outer_flow,
)
from colliderkit.methods.search.resonant.search import Candidates, Range

__all__ = ["Anode"]


class Anode(DensitySearch):
    """Search by the ratio of two densities of the features,

        ln p_window(x | m) - ln p_sidebands(x | m),

    each a flow: one of the events in the window, and one of the sidebands, interpolated into it.
    Events outside of the window are judged as at its nearer end, where the first flow is known.

    Args: see `DensitySearch`.
    """

    name: ClassVar[str] = "anode"

    def _judge(
        self,
        data: Candidates,
        simulation: Candidates | None,
        seed: int,
        **where: Any,
    ) -> Judge:
        outer = outer_flow(self, data, seed, **where)
        inner = grown_flow(self, "inner", data, data.inside(self.signal_region), seed, **where)
        return _DensityRatio(inner, outer, self.signal_region)

    def _built(self, options: Any) -> Judge:
        inner, outer = (FeatureFlow(options["features"], self.flow) for _ in range(2))
        return _DensityRatio(inner, outer, self.signal_region)


class _DensityRatio(Judge):
    """ln p(x | m) of one flow less that of another, m in a region."""

    def __init__(self, inner: FeatureFlow, outer: FeatureFlow, region: Range) -> None:
        super().__init__()
        self.inner = inner
        self.outer = outer
        self.region = region

    @property
    def options(self) -> Any:
        return {"features": len(self.outer.low)}

    def forward(self, features: Floats, mass: Floats) -> Floats:
        m = np.clip(mass, *self.region)
        ratio: Floats = self.inner.log_prob(features, m) - self.outer.log_prob(features, m)
        return ratio
