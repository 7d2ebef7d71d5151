"""Peak memory and time of OmniFold with a million events and six observables, one iteration.

    python benchmarks/unfolding_memory.py

A million simulated and as many measured events of a toy: six correlated normal numbers, bent to
shapes like those of jets, smeared. In a process of its own, as it comes but for the iteration; the
peak is that of the whole process, with torch and the tables that it reads.
"""

import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from comparison import options, row, run, save

COMMAND = "python benchmarks/unfolding_memory.py"
OBSERVABLES = 6


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=10)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="colliderkit-benchmark-") as folder:
        file, found = Path(folder) / "events.npz", Path(folder) / "push.npy"
        truth, reco = drawn(chosen.events, 0.0, seed=1)
        _, data = drawn(chosen.events, 0.3, seed=2)
        passed = np.ones(chosen.events, dtype=bool)
        np.savez(file, truth=truth, reco=reco, data=data, pass_truth=passed, pass_reco=passed)
        answer = run(
            "colliderkit",
            "unfold",
            file=file,
            found=found,
            threads=chosen.threads,
            iterations=1,
            epochs=chosen.epochs,
            batch=512,
        )
    common = {
        "command": COMMAND,
        "threads": chosen.threads,
        "versions": {name: version(name) for name in ("colliderkit", "torch", "numpy")},
        "events": chosen.events,
        "epochs": chosen.epochs,
    }
    what = "OmniFold, a million events, six observables, one iteration"
    peak, minutes = answer["peak_gb"], answer["wall_s"] / 60
    save(
        "unfolding_memory",
        [
            row(
                f"{what}: peak memory",
                *(peak, None, None, None),
                unit="GB",
                bar="<= 4",
                met=peak <= 4,
                **common,
            ),
            row(
                f"{what}: wall time",
                *(minutes, None, None, None),
                unit="min",
                bar="minutes: <= 10",
                met=minutes <= 10,
                cpu_minutes=answer["cpu_s"] / 60,
                **common,
            ),
        ],
    )


def drawn(count: int, shift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and what is seen of it, (count, 6) each."""
    random = np.random.default_rng(seed)
    common = random.normal(shift, 1, (count, 1))
    latent = 0.6 * common + 0.8 * random.normal(size=(count, OBSERVABLES))
    seen = latent + 0.4 * random.normal(size=latent.shape)
    return bent(latent), bent(seen)


def bent(latent: np.ndarray) -> np.ndarray:
    """Return a steep, a whole, a bounded and three other columns of six normal ones."""
    columns = latent.T.copy()
    columns[0] = 20 * np.exp(0.5 * columns[0])
    columns[1] = np.round(30 + 8 * columns[1])
    columns[2] = 0.5 / (1 + np.exp(-columns[2]))
    return columns.T.copy()


if __name__ == "__main__":
    main()
