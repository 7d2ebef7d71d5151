"""Derived random seeds: one rule for members, folds, epochs and shards, without collisions."""

import zlib

import numpy as np

from colliderkit.errors import InputError

__all__ = ["derive"]

LARGEST = 2**64 - 1


def derive(seed: int, *path: int | str) -> int:
    """Derive the seed of a part of a computation from the `seed` of the whole.

    `path` names the part: ``derive(seed, "member", 3)``. Words and numbers enter a
    `numpy.random.SeedSequence` one by one, so that different paths give independent 63-bit
    seeds, whereas sums such as ``1000 * seed + member`` meet those of other seeds. What torch
    and numpy draw from it depends on the path alone.

    Raises `InputError` for a seed below 0 or above 2^64 - 1.
    """
    if not 0 <= seed <= LARGEST:
        raise InputError(f"seed is {seed}; give a whole number from 0 to 2^64 - 1.")
    key: list[int] = []
    for part in path:
        # A tag and two numbers each: no two paths read alike.
        key += (
            [0, *divmod(part, 2**32)]
            if isinstance(part, int)
            else [1, zlib.crc32(part.encode()), 0]
        )
    words = np.random.SeedSequence(seed, spawn_key=tuple(key)).generate_state(2, np.uint32)
    return int(words[0]) << 31 | int(words[1]) >> 1
