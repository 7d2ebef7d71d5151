"""SALAD: simulation reweighted by what its sidebands teach, and a classifier (2001.05001)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from colliderkit.events.tables import Floats
from colliderkit.methods.ratio import Ratio
from colliderkit.methods.search.resonant.classifiers import Judge, TwoSamples
from colliderkit.methods.search.resonant.search import Candidates, Range, ResonantSearch
from colliderkit.seeds import derive
from colliderkit.training.settings import Training

__all__ = ["Salad"]

LARGEST = 30.0  # weight of a simulated event in units of the mean: beyond, it would be all alone
REWEIGHTING = Training(epochs=15, batch_size=1024, learning_rate=2e-3, schedule="cosine")


class Salad(ResonantSearch):
    """Search by a classifier of the events in the window against simulation made to look like data.

    A ratio w(x | m) = p_data / p_simulation of the features and the mass is learned in the
    sidebands (DCTR, 1907.08209) and interpolated into the window; weighted by it the simulated
    background there is the template. `fit` needs `simulation`.

    Args:
        signal_region, sidebands, folds, efficiency: as of `ResonantSearch`.
        classifier, options, members: as of `ResonantSearch`.
        hidden: widths of the perceptron that learns w.
        training: of w: epochs, batch size, learning rate and the like.
        edges, bins, family, orders: as of `ResonantSearch`.
    """

    name: ClassVar[str] = "salad"
    needs: ClassVar[tuple[str, ...]] = ("simulation",)

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
        hidden: Sequence[int] = (64, 64, 64),
        training: Training = REWEIGHTING,
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
        self.hidden = hidden
        self.training = training

    def _judge(
        self,
        data: Candidates,
        simulation: Candidates | None,
        seed: int,
        **where: Any,
    ) -> Judge:
        assert simulation is not None
        measured, simulated = (
            Candidates.joined(self._sideband(events)) for events in (data, simulation)
        )
        ratio = Ratio(hidden=self.hidden, training=self.training).fit(
            _with_mass(measured),
            _with_mass(simulated),
            event=(measured.event, simulated.event),
            weight=(measured.weight, simulated.weight),
            seed=derive(seed, "reweight"),
            progress=where["progress"],
        )
        inside = data.inside(self.signal_region)
        template = simulation.inside(self.signal_region)
        factor = ratio.weights(_with_mass(template))
        factor = np.minimum(factor, LARGEST * np.average(factor, weights=template.weight))
        samples = TwoSamples.of(
            inside.features, template.features, (inside.weight, template.weight * factor)
        )
        return self._classified(samples, seed)


def _with_mass(events: Candidates) -> Floats:
    return np.column_stack([events.features, events.mass])
