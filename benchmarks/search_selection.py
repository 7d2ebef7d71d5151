"""The search that two halves of the data agree about best, beside the best by labels.

    python benchmarks/search_selection.py

Five settings of CWoLa hunting on the toy of sources/toys/resonance.py, 150 signal events among
10,000: `select_search` chooses without labels, in `--sets` data sets. The figure is the largest
significance improvement of the chosen one over that of the best by labels, the mean over the sets;
the peer is a choice at random.
"""

import argparse

import numpy as np
from sklearn.base import clone

from colliderkit.methods.method import versions
from colliderkit.methods.search.resonant.cwola import CwolaHunting
from colliderkit.methods.search.resonant.selection import select_search
from colliderkit.metrics.significance import max_improvement
from colliderkit.sources.toys.resonance import Resonance
from comparison import row, save

COMMAND = "python benchmarks/search_selection.py"
TOY = Resonance(distance=(1.5, 1.5, 1.0, 1.0))
REGION = (3300.0, 3700.0)
SETTINGS = {
    "25 trees of 7 leaves": ({"rounds": 25, "leaves": 7}, 1),
    "4 of these": ({"rounds": 25, "leaves": 7}, 4),
    "200 trees of 63 leaves, fast": ({"rounds": 200, "leaves": 63, "learning_rate": 0.5}, 1),
    "25 trees of 2 leaves": ({"rounds": 25, "leaves": 2}, 1),
    "1 tree of 4 leaves": ({"rounds": 1, "leaves": 4}, 1),
}


def main() -> None:
    """Choose, and write the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=20)
    parsed = parser.parse_args()
    candidates = {
        name: CwolaHunting(efficiency=0.03, folds=4, options=options, members=members)
        for name, (options, members) in SETTINGS.items()
    }
    chosen, random = [], []
    for i in range(parsed.sets):
        events = TOY.events(10_000, 150, [5, i])
        data = events.features, events.mass
        best = select_search(candidates, *data, seed=i).best
        inside = (events.mass >= REGION[0]) & (events.mass < REGION[1])
        gain = {
            name: max_improvement(
                clone(one).fit(*data, seed=i).score_[inside], events.label[inside]
            ).value
            for name, one in candidates.items()
        }
        chosen.append(gain[best] / max(gain.values()))
        random.append(float(np.mean(list(gain.values()))) / max(gain.values()))
        print(f"{i}: {best}, {chosen[-1]:.2f} of the best, at random {random[-1]:.2f}", flush=True)
    one, other = float(np.mean(chosen)), float(np.mean(random))
    error = float(np.std(np.subtract(chosen, random), ddof=1) / np.sqrt(len(chosen)))
    save(
        "search_selection",
        [
            row(
                f"{len(chosen)} data sets: significance improvement of the search that two halves"
                " choose over the best by labels, and of one at random",
                one, other, one / other, error / other, unit="of the best", bar=">= 1",
                command=COMMAND, versions=versions(),
            )
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
