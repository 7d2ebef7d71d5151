"""omnifold's MultiFold on tables of observables: seconds, and the push weights it ends with.

Run inside omnifold's environment (see environments.py); prints one JSON line. The inputs are
standardised by the simulation's, which omnifold leaves to its user; what does not pass is 0.
"""

import argparse
import contextlib
import json
import os
import resource
import tempfile
import time
from importlib.metadata import version

import numpy as np
import tensorflow as tf

with contextlib.redirect_stdout(open(os.devnull, "w")):
    from omnifold import MLP, DataLoader, MultiFold


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["unfold"])
    parser.add_argument("--file", required=True)
    parser.add_argument("--found", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=1e-4)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    tf.keras.utils.set_random_seed(options.seed)  # numpy's, which omnifold shuffles by, as well
    given = np.load(options.file)
    wall, cpu = time.perf_counter(), time.process_time()
    truth, reco, data = scaled(given)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(open(os.devnull, "w")):
        unfolding = MultiFold(
            "benchmark",
            MLP(reco.shape[1]),
            MLP(truth.shape[1]),
            DataLoader(reco=data),
            DataLoader(
                reco=reco,
                pass_reco=given["pass_reco"],
                gen=truth,
                pass_gen=given["pass_truth"],
            ),
            weights_folder=folder,
            log_folder=folder,
            niter=options.iterations,
            batch_size=options.batch,
            epochs=options.epochs,
            lr=options.rate,
        )
        unfolding.Unfold()
        push = np.where(given["pass_truth"], unfolding.weights_push, 0.0)
    seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    np.save(options.found, push)
    answer = {
        **seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "versions": {name: version(name) for name in ("omnifold", "tensorflow-cpu", "numpy")},
    }
    print(json.dumps(answer))


def scaled(given):
    """Return truth (N, C), reco (N, C) and data (D, C) as float32 of about unit width."""
    tables = []
    for level, others in (("truth", ()), ("reco", ("data",))):
        passed = given[f"pass_{level}"]
        mean, width = given[level][passed].mean(0), given[level][passed].std(0)
        own = np.where(passed[:, None], (given[level] - mean) / width, 0.0)
        tables += [own, *((given[name] - mean) / width for name in others)]
    return [table.astype(np.float32) for table in tables]


if __name__ == "__main__":
    main()
