"""PyUnfold's iteration on given response matrices, without its early stop.

Run inside PyUnfold's environment (see environments.py); prints one JSON line.
"""

import argparse
import json
import time
from importlib.metadata import version

import numpy as np

from pyunfold import iterative_unfold


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["unfold"])
    parser.add_argument("--file", required=True)
    parser.add_argument("--found", required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    given, found, seconds = np.load(options.file), {}, {}
    for name in sorted({key.split("/")[0] for key in given.files}):
        data, matrix, prior = (given[f"{name}/{part}"] for part in ("data", "matrix", "prior"))
        efficiency = matrix.sum(1)
        start = time.process_time()
        answer = iterative_unfold(
            data=data,
            data_err=np.sqrt(data),
            response=matrix.T,
            response_err=np.zeros(matrix.T.shape),
            efficiencies=efficiency,
            # Only for the covariance of the response, which is not compared; 0 divides by it.
            efficiencies_err=1e-3 * efficiency,
            prior=prior / prior.sum(),
            # Never reached: as many iterations as are asked for.
            ts_stopping=1e-300,
            max_iter=int(given[f"{name}/iterations"]),
            cov_type="poisson",
        )
        seconds[name] = time.process_time() - start
        found[f"{name}/spectrum"] = answer["unfolded"]
        found[f"{name}/error"] = answer["stat_err"]
        assert answer["num_iterations"] == int(given[f"{name}/iterations"])
    np.savez(options.found, **found)
    versions = {name: version(name) for name in ("PyUnfold", "numpy")}
    print(json.dumps({"seconds": seconds, "versions": versions}))


if __name__ == "__main__":
    main()
