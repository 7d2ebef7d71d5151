"""The surrogate and the comparison that the benchmarks of showers share.

They are those of `colliderkit study calo-surrogate --scale laptop`, its "diffusion".
"""

from colliderkit.methods.simulation.comparison import ShowerComparison
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.training.settings import Training

CALORIMETER = "photons-368"
THRESHOLD = 0.05  # MeV
TIMED = 50e3  # MeV


def diffusion() -> ShowerSurrogate:
    """Return the surrogate, not fitted."""
    return ShowerSurrogate(
        threshold=THRESHOLD,
        generator="diffusion",
        network="ring-mixer",
        network_options={"width": 64, "depth": 4},
        options={"steps": 4},
        layer_options={"transforms": 4, "bins": 12, "hidden": [64, 64]},
        validation=0.05,
        layers=Training(epochs=20, batch_size=512, learning_rate=2e-3, schedule="cosine"),
        voxels=Training(
            epochs=60,
            batch_size=128,
            learning_rate=4e-3,
            schedule="one-cycle",
            precision="bf16-mixed",
        ),
    )


def comparison(levels: tuple[str, ...] = ("low-level", "high-level")) -> ShowerComparison:
    """Return the comparison with a reference, not fitted."""
    classifier = Training(
        epochs=30, batch_size=1000, learning_rate=2e-4, schedule="constant", patience=6
    )
    return ShowerComparison(threshold=THRESHOLD, levels=levels, classifier=classifier, width=512)
