"""What a cut on time gains by formulas, on the toy of pileup: python benchmarks/pileup_times.py.

The missing momentum of 200 events with a mean of 60 collisions, by charged-hadron subtraction and
PUPPI with a window of three resolutions (30 ps at least), and over that without times on the same
events; errors by bootstrap of events. Less than ten seconds.
"""

import numpy as np

from colliderkit.events.pileup import Particles
from colliderkit.methods.reconstruction.charged_subtraction import ChargedHadronSubtraction
from colliderkit.methods.reconstruction.puppi import Puppi
from colliderkit.metrics.pileup import missing_momentum, momentum_shift, resampled
from colliderkit.sources.detector.timing import Timing, blurred
from colliderkit.sources.toys.pileup import pileup_toy

EVENTS, MU = 200, 60.0


def main() -> None:
    """Print a line a method and resolution."""
    events = pileup_toy(EVENTS, MU, timing=Timing(0.0), seed=[11, EVENTS])
    particles = Particles.of(events)
    for kind in (ChargedHadronSubtraction, Puppi):
        squares: dict[float | None, np.ndarray] = {}
        for resolution in (None, 0.0, 30.0, 60.0, 100.0):
            seen = events if resolution is None else blurred(events, resolution, seed=11)
            window = None if resolution is None else max(3 * resolution, 30.0)
            method = kind(time_window=window).fit(seen[:1], progress=False)
            weight = np.concatenate([np.asarray(x) for x in method.weights(seen)])
            shift = momentum_shift(particles, weight)
            squares[resolution] = (shift**2).sum(1)
            mine, bare = squares[resolution], squares[None]
            met = missing_momentum(shift)
            ratio = resampled(lambda n, m=mine, b=bare: np.sqrt((n @ m) / (n @ b)), EVENTS)
            times = "no times" if resolution is None else f"{resolution:g} ps"
            print(f"{method.name}, {times}: MET shift {met.value:.2f} +- {met.error:.2f} GeV,"
                  f" over no times {ratio.value:.3f} +- {ratio.error:.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
