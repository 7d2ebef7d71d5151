"""Transport of sideband events into the window, as in CURTAINs (2203.09470, 2305.04646)."""

from typing import Any, ClassVar

import numpy as np

from colliderkit.methods.search.resonant.classifiers import Judge
from colliderkit.methods.search.resonant.flows import FlowSearch, outer_flow
from colliderkit.methods.search.resonant.search import Candidates
from colliderkit.seeds import derive

__all__ = ["Transport"]


class Transport(FlowSearch):
    """Search by a classifier of the events in the window against sideband events moved there.

    With f the flow of the sidebands, an event x of mass m becomes

        x' = f^-1(f(x; m); m'),

    what it would be at the mass m' of an event in the window. CATHODE draws the noise that this
    decodes, here it is that of events: what the flow does not know of the features is in both
    directions, and much of it cancels. CURTAINs learns such a map by optimal transport (2203.09470)
    or by a second flow on top (2305.04646); this is its form with one flow.

    Args: see `FlowSearch`; each sideband event is moved to `oversampling` masses on average, in
        units of the events in the window.
    """

    name: ClassVar[str] = "transport"

    def _judge(
        self,
        data: Candidates,
        simulation: Candidates | None,
        seed: int,
        **where: Any,
    ) -> Judge:
        flow = outer_flow(self, data, seed, **where)
        mass, _ = self._template(data, seed)
        outside = Candidates.joined(self._sideband(data))
        random = np.random.default_rng(derive(seed, "transport"))
        chance = outside.weight / outside.weight.sum()
        rows = _spread(random, chance, len(mass))
        noise = flow.encode(outside.features[rows], outside.mass[rows])
        inside = data.inside(self.signal_region)
        return self._classify(inside, inside.features, flow.decode(noise, mass), seed)


def _spread(random: np.random.Generator, chance: Any, count: int) -> Any:
    """Draw `count` rows by their chances, each as often as it has to be, to within one."""
    rows = np.searchsorted(np.cumsum(chance), (np.arange(count) + random.random()) / count)
    return random.permutation(np.minimum(rows, len(chance) - 1))
