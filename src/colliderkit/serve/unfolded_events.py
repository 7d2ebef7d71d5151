"""HDF5 file of unfolded events: weights, replicas and observables, to be binned by anyone later.

After 2109.13243. One HDF5 file holds, for each of N particle-level events,

- `weights` (N,): the nominal weights;
- `replicas` (N, R): as many other weights, each with its kind in the attribute `kinds`;
- `observables` (N, K), with their names in the attribute `names`;

and in the attributes of the file what made it. It is read without ColliderKit:

    with h5py.File("unfolded.h5") as file:
        weights, column = file["weights"][:], list(file["observables"].attrs["names"]).index("mass")
        counts, edges = np.histogram(file["observables"][:, column], 20, weights=weights)
"""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from colliderkit.errors import InputError
from colliderkit.files import atomic_hdf5, existing_file
from colliderkit.methods.unfolding.result import UnfoldedEvents

__all__ = ["read_unfolded", "write_unfolded"]

FORMAT = "colliderkit unfolded events, 1"
ROWS = 1 << 16  # events in a chunk of the file

DESCRIPTIONS = {
    "weights": "nominal weight of each particle-level event; a histogram of the events with these"
    " weights is the unfolded spectrum",
    "replicas": "the same, had the unfolding been repeated: column i as kinds[i] says. bootstrap:"
    " data and simulation resampled; member: one network of an ensemble whose mean is nominal;"
    " systematic:NAME: under that variation",
    "observables": "particle-level observables, column i is names[i] in units[i]",
}


def write_unfolded(events: UnfoldedEvents, path: str | Path, *, force: bool = False) -> Path:
    """Write unfolded events to one HDF5 file, whole or not at all.

    Values keep their type; columns are compressed in chunks of 65,536 events, so that one
    replica or observable is read alone.
    """
    replicas = np.empty((len(events.weights), 0), np.float32)
    tables = {
        "weights": events.weights,
        "replicas": replicas if events.replicas is None else events.replicas,
        "observables": events.observables,
    }
    with atomic_hdf5(path, force) as file:
        for name, values in tables.items():
            rows = max(1, min(ROWS, len(values)))
            stored: dict[str, Any] = {"data": values}
            if values.size:
                chunks = (rows,) if values.ndim == 1 else (rows, 1)
                stored |= {"chunks": chunks, "compression": "gzip", "shuffle": True}
            dataset = file.create_dataset(name, **stored)
            dataset.attrs["description"] = DESCRIPTIONS[name]
        text = h5py.string_dtype()
        units = events.units or [""] * len(events.names)
        file["replicas"].attrs["kinds"] = np.array(list(events.kinds), dtype=text)
        file["observables"].attrs["names"] = np.array(list(events.names), dtype=text)
        file["observables"].attrs["units"] = np.array(list(units), dtype=text)
        file.attrs["format"] = FORMAT
        file.attrs["description"] = events.description
        file.attrs["command"] = events.command or shlex.join(sys.argv)
        file.attrs["versions"] = json.dumps(dict(events.versions))
        file.attrs["metadata"] = json.dumps(dict(events.metadata))
        if events.seed is not None:
            file.attrs["seed"] = events.seed
    return Path(path)


def read_unfolded(path: str | Path) -> UnfoldedEvents:
    """Read a file of `write_unfolded`; raise `InputError` where it is none."""
    path = existing_file(path)
    try:
        with h5py.File(path) as file:
            if file.attrs.get("format") != FORMAT:
                raise InputError(
                    f"{path}: is not a file of unfolded events of this version (format"
                    f" {file.attrs.get('format')!r}); give one written by an unfolding."
                )
            columns, replicas = file["observables"], file["replicas"]
            return UnfoldedEvents(
                observables=columns[()],
                names=tuple(columns.attrs["names"]),
                weights=file["weights"][()],
                replicas=replicas[()] if replicas.shape[1] else None,
                kinds=tuple(replicas.attrs["kinds"]),
                units=tuple(columns.attrs["units"]),
                seed=int(file.attrs["seed"]) if "seed" in file.attrs else None,
                description=file.attrs["description"],
                command=file.attrs["command"],
                metadata=json.loads(file.attrs["metadata"]),
                versions=json.loads(file.attrs["versions"]),
            )
    except InputError:
        raise
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: not a readable HDF5 file of unfolded events.") from error
