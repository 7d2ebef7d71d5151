"""CATHODE: a flow of the sidebands, drawn from in the window, and a classifier (2109.00546)."""

from typing import Any, ClassVar

from colliderkit.methods.search.resonant.classifiers import Judge
from colliderkit.methods.search.resonant.flows import FlowSearch, outer_flow
from colliderkit.methods.search.resonant.search import Candidates

__all__ = ["Cathode"]


class Cathode(FlowSearch):
    """Search by a classifier of the events in the window against background drawn for it.

    A flow learns p(x | m) in the sidebands. At masses drawn from those in the window it gives
    `oversampling` times as many events as there are, a template of the background there; features
    that follow the mass do no harm, as long as they do so smoothly. The classifier is the mean
    of `members`, and of perceptrons that of their 10 best epochs; trees hold out against features
    that tell nothing (2309.13111).

    Args: see `FlowSearch`.
    """

    name: ClassVar[str] = "cathode"

    def _judge(
        self,
        data: Candidates,
        simulation: Candidates | None,
        seed: int,
        **where: Any,
    ) -> Judge:
        flow = outer_flow(self, data, seed, **where)
        mass, noise = self._template(data, seed)
        inside = data.inside(self.signal_region)
        return self._classify(inside, inside.features, flow.decode(noise, mass), seed)
