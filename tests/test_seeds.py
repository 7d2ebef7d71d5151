"""Derived seeds: repeatable, in range, and never those of another path."""

import pytest

from colliderkit.errors import InputError
from colliderkit.seeds import derive


def test_paths_do_not_meet():
    seeds = {derive(a) for a in range(50)}
    seeds |= {derive(a, b) for a in range(50) for b in range(50)}
    seeds |= {derive(a, "member", b) for a in range(50) for b in range(50)}
    seeds |= {derive(a, "fold", b) for a in range(50) for b in range(50)}
    assert len(seeds) == 50 + 3 * 2500
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_numbers_are_not_words():
    assert derive(0, 2**32 + 5, 1) != derive(0, 5, 1) != derive(0, 1, 5)
    assert derive(3, "a") == derive(3, "a") != derive(3, "b")


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_the_range_of_a_seed(seed):
    with pytest.raises(InputError, match="from 0 to"):
        derive(seed, "x")
