"""Find anomalies of a network and the link behind them: CUSUM, PCA of traffic, isolation forest."""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.methods.method import Method
from colliderkit.metrics.incidents import Incident, incidents_above
from colliderkit.networks.boosted_trees import BoostedTrees
from colliderkit.seeds import derive
from colliderkit.sources.network.probes import PathProbes

__all__ = ["DETECTORS", "NetworkAnomaly"]

Detector = Literal["cusum", "pca", "isolation-forest"]
DETECTORS: tuple[Detector, ...] = ("cusum", "pca", "isolation-forest")
QUANTA = 2  # packets that a probing host drops itself: no loss of the network
SLACK, CLIP = 1.0, 5.0  # of a CUSUM, in standard deviations
LONG = 10  # intervals of an incident in the training, in the mean
HIGH = 0.995  # quantile of a link's own scores that is its unit
FORGETS = 0.03  # of its sum in an interval, so that it ends some time after its cause
LEAST_DELAY = 0.2  # ms that a delay is known to, at best
TREES, SAMPLE = 50, 256  # of an isolation forest (Liu et al., 2008)


class NetworkAnomaly(Method):
    """Score how anomalous a network is by probes of its paths, and say which link it is.

    - "cusum": of each path S_t = max(0, .97 S_t-1 + z_t - 1), z_t the delay or the packets lost
      above what is usual, in standard deviations (Page, 1954), with a memory of 33 intervals;
    - "pca": the traffic of all pairs of sites without its `components` largest components, squared
      (Lakhina, Crovella, Diot, 2004);
    - "isolation-forest": how few random cuts part delay, loss and traffic of a link, contrasted as
      below, from all others (Liu, Ting, Zhou, 2008).

    A loss of one or two probes of an interval is what a probing host drops itself, and counts as
    none. The score of a link contrasts the n paths that take it with the m that do not,

        s_l = (mean_with - mean_without) / sqrt(1/n + 1/m),

    in units of what one interval in 200 of the link has in the training: busy links are often full.
    The threshold is the lowest at which the training has not more incidents than `alarms` a day;
    it may have faults in it, so that there are rather fewer.

    Args:
        kind: "cusum", "pca" or "isolation-forest".
        components: of the traffic that are usual.
        packets: probes of a path in one interval.
        day: intervals of a day.
        alarms: incidents a day that may be found in the training.

    After `fit`: `threshold_`; `centre_` and `spread_` (P, 3) of what is measured; `scale_` (L,);
    and the `components_` (K, P) or the `forest_`.
    """

    name: ClassVar[str] = "network-anomaly"

    threshold_: float
    centre_: Floats
    spread_: Floats
    scale_: Floats
    components_: Floats
    size_: dict[str, int]
    forest_: BoostedTrees

    def __init__(
        self,
        *,
        kind: Detector = "cusum",
        components: int = 5,
        packets: int = 600,
        day: int = 1440,
        alarms: float = 1.0,
    ) -> None:
        self.kind = kind
        self.components = components
        self.packets = packets
        self.day = day
        self.alarms = alarms

    def fit(
        self,
        probes: PathProbes,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn what is usual from T intervals of P paths, without labels, and return self.

        Raises `InputError` for weights, and for fewer intervals than paths or than 50.
        """
        self._begin(seed=seed, folder=folder, resume=resume, probes=probes)
        if weight is not None:
            raise InputError(
                "what is usual is a median of intervals, without weights; leave weight out."
            )
        if self.kind not in DETECTORS:
            raise InputError(f"kind '{self.kind}' is none of {', '.join(DETECTORS)}.")
        probes = _checked(probes)
        paths = probes.routes.shape[0]
        if len(probes) < max(50, paths):
            raise InputError(
                f"{len(probes)} intervals of {paths} paths do not say what is usual; give"
                f" {max(50, paths)} or more."
            )
        self.centre_ = np.median(probes.values, axis=0)
        # Queues that fill now and then are usual: the spread is that of all intervals.
        least = np.array([1e-9, LEAST_DELAY, 1 / self.packets])
        self.spread_ = np.maximum(probes.values.std(0), least)
        self.components_ = np.zeros((0, paths))
        self.size_ = {"inputs": 4, "outputs": 1}
        self.forest_ = BoostedTrees(**self.size_)
        if self.kind == "pca":
            traffic = (probes["traffic"] - probes["traffic"].mean(0)) / self.spread_[:, 0]
            *_, axes = np.linalg.svd(traffic, full_matrices=False)
            self.components_ = axes[: min(self.components, paths - 1)]
        if self.kind == "isolation-forest":
            rows = _outstanding(self._standard(probes), probes.routes)
            self.forest_ = _isolated(rows.reshape(-1, 4), derive(seed, "forest"))
            self.size_ = self.forest_.options
        high = np.quantile(self._links(probes), HIGH, axis=0)
        self.scale_ = np.maximum(high, max(float(np.median(high)), 1e-9))
        score = self._links(probes) / self.scale_
        self.threshold_ = float(score.max())
        allowed = max(self.alarms * len(probes) / self.day, 1.0)
        highest = score.max(1)
        # From above, and not of more than `LONG` intervals each: at a threshold that all is above
        # there is one incident, without an end.
        most = min(LONG * allowed / len(highest), 0.5)
        for part in np.geomspace(1 / len(highest), most, 40):
            threshold = float(np.quantile(highest, 1 - part))
            if len(incidents_above(score, threshold)) > allowed:
                break
            self.threshold_ = threshold
        return self

    def score(self, probes: PathProbes) -> Floats:
        """Return how anomalous each link is in each interval, (T, L); higher is more so."""
        _ = self.threshold_
        probes = _checked(probes)
        if len(probes.routes) != len(self.centre_):
            raise InputError(
                f"{len(probes.routes)} paths, and {len(self.centre_)} were fitted; give the same."
            )
        return self._links(probes) / self.scale_

    def incidents(self, probes: PathProbes) -> list[Incident]:
        """Return the incidents above the threshold, each with its link, by places in `probes`."""
        return incidents_above(self.score(probes), self.threshold_)

    def _links(self, probes: PathProbes) -> Floats:
        """Return the score of each link, (T, L)."""
        standard = self._standard(probes)
        if self.kind == "isolation-forest":
            rows = _outstanding(standard, probes.routes)
            with torch.no_grad():
                table = torch.from_numpy(rows.reshape(-1, 4).astype(np.float32))
                depth = torch.cat([self.forest_(part)[:, 0] for part in table.split(65536)])
            mean = depth.double().numpy().reshape(rows.shape[:2]) / TREES
            score: Floats = 2 ** (-mean / _cuts(SAMPLE))
            return score
        if self.kind == "pca":
            traffic = standard[:, :, 0]
            rest = traffic - traffic @ self.components_.T @ self.components_
            return _contrast((rest**2)[:, :, None], probes.routes)[:, :, 0]
        rise = np.clip(np.maximum(standard[:, :, 1], standard[:, :, 2]), -CLIP, CLIP) - SLACK
        sums = np.zeros_like(rise)
        last = np.zeros(rise.shape[1])
        for time, step in enumerate(rise):
            last = sums[time] = np.maximum((1 - FORGETS) * last + step, 0)
        return _contrast(sums[:, :, None], probes.routes)[:, :, 0]

    def _standard(self, probes: PathProbes) -> Floats:
        """Return traffic, delay, packets lost and the delay's step, standardised, (T, P, 4)."""
        z = (probes.values - self.centre_) / self.spread_
        lost = np.maximum(probes["loss"] * self.packets - QUANTA, 0)
        z[:, :, 2] = np.maximum(lost - np.maximum(self.centre_[:, 2] * self.packets - QUANTA, 0), 0)
        step = np.diff(z[:, :, 1], axis=0, prepend=z[:1, :, 1])
        return np.concatenate([z, step[:, :, None]], axis=2)

    def _rebuild(self) -> None:
        self.forest_ = BoostedTrees(**self.size_)


def _contrast(values: Floats, routes: NDArray[np.bool_]) -> Floats:
    """Contrast what paths (T, P, C) with each link have with what the others have, (T, L, C)."""
    taken = routes.astype(np.float64)
    n, m = (np.maximum(part.sum(0), 1) for part in (taken, 1 - taken))
    # A link that no path takes is behind nothing.
    scale = np.where(routes.any(0), 1 / np.sqrt(1 / n + 1 / m), 0.0)
    weight = (taken / n - (1 - taken) / m) * scale
    contrasted: Floats = np.einsum("tpc,pl->tlc", values, weight, optimize=True)
    return contrasted


def _outstanding(standard: Floats, routes: NDArray[np.bool_]) -> Floats:
    """Contrast links, (T, L, 4); delay and loss that are less than elsewhere are not anomalous."""
    contrasted = _contrast(standard, routes)
    return np.concatenate([np.abs(contrasted[:, :, :1]), np.maximum(contrasted[:, :, 1:], 0)], 2)


def _isolated(rows: Floats, seed: int) -> BoostedTrees:
    """Grow an isolation forest, and return trees whose sum is the depth that a row comes to."""
    from sklearn.ensemble import IsolationForest

    grown: Any = IsolationForest(n_estimators=TREES, max_samples=SAMPLE, random_state=seed % 2**32)
    grown.fit(rows.astype(np.float32))
    trees = [tree.tree_ for tree in grown.estimators_]
    sizes = [tree.node_count for tree in trees]
    starts = np.cumsum([0, *sizes[:-1]])
    offset = np.repeat(starts, sizes)
    here = np.arange(sum(sizes))
    left, right, feature, threshold, inside = (
        np.concatenate([getattr(tree, name) for tree in trees])
        for name in ("children_left", "children_right", "feature", "threshold", "n_node_samples")
    )
    leaf = left < 0
    depth = np.concatenate([_depths(tree) for tree in trees])
    forest = BoostedTrees(rows.shape[1], 1, rounds=TREES, nodes=len(here), depth=int(depth.max()))
    columns = {
        "feature": np.where(leaf, 0, feature),
        "left": np.where(leaf, here, left + offset),
        "right": np.where(leaf, here, right + offset),
        "threshold": threshold.astype(np.float32),
        "value": np.where(leaf, depth + _cuts(inside), 0.0),
        "root": starts.reshape(forest.root.shape),
    }
    for name, column in columns.items():
        getattr(forest, name).copy_(torch.from_numpy(np.ascontiguousarray(column)))
    return forest


def _depths(tree: Any) -> Floats:
    """Return the depth of each node of a tree, whose children come after it."""
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    return depth


def _cuts(count: ArrayLike) -> Floats:
    """Return the mean number of cuts that part one of n events, 2 H(n-1) - 2 (n-1)/n."""
    n = np.maximum(np.asarray(count, dtype=np.float64), 2)
    harmonic = np.log(n - 1) + np.euler_gamma
    mean: Floats = np.where(n > 2, 2 * harmonic - 2 * (n - 1) / n, 1.0)
    return np.where(np.asarray(count) > 1, mean, 0.0)


def _checked(probes: PathProbes) -> PathProbes:
    """Check probes that a user made without `PathProbes.checked`."""
    return PathProbes.checked(
        probes.values, probes.routes, interval=probes.interval, link=probes.link
    )
