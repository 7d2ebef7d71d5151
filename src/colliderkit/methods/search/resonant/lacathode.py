"""LaCATHODE: classify in the latent space of the flow of the sidebands (2210.14924)."""

from typing import Any, ClassVar

from colliderkit.events.tables import Floats
from colliderkit.methods.search.resonant.classifiers import Classifiers, Judge
from colliderkit.methods.search.resonant.flows import FeatureFlow, FlowSearch, outer_flow
from colliderkit.methods.search.resonant.search import Candidates

__all__ = ["LaCathode"]


class LaCathode(FlowSearch):
    """Search as CATHODE does, in z(x, m), which is normal for background of any mass.

    The flow of the sidebands sends the events of the window to z, and a classifier tells them from
    normal numbers. Since the background has the same z everywhere, a cut on the score keeps the
    shape of its spectrum, where one on x that follows the mass would sculpt it.

    Args: see `FlowSearch`.
    """

    name: ClassVar[str] = "lacathode"

    def _judge(
        self,
        data: Candidates,
        simulation: Candidates | None,
        seed: int,
        **where: Any,
    ) -> Judge:
        flow = outer_flow(self, data, seed, **where)
        _, noise = self._template(data, seed)
        inside = data.inside(self.signal_region)
        latent = flow.encode(inside.features, inside.mass)
        return _Latent(flow, self._classify(inside, latent, noise, seed))

    def _built(self, options: Any) -> Judge:
        flow = FeatureFlow(options["features"], self.flow)
        return _Latent(flow, Classifiers(options["classifiers"]))


class _Latent(Judge):
    """Classifiers of what a flow makes of the events."""

    def __init__(self, flow: FeatureFlow, classifiers: Classifiers) -> None:
        super().__init__()
        self.flow = flow
        self.classifiers = classifiers

    @property
    def options(self) -> Any:
        return {"features": len(self.flow.low), "classifiers": self.classifiers.options}

    def forward(self, features: Floats, mass: Floats) -> Floats:
        scores: Floats = self.classifiers(self.flow.encode(features, mass), mass)
        return scores
