"""A registry loads and builds by name, and says what there is."""

import pytest

from colliderkit.errors import InputError
from colliderkit.names import Registry

SHAPES = Registry("fraction", {"fraction": "fractions:Fraction"}, supplied=("numerator",))


def test_a_name_stands_for_what_it_says():
    from fractions import Fraction

    assert SHAPES.load("fraction") is Fraction
    assert SHAPES.build("fraction", numerator=1, denominator=2) == Fraction(1, 2)
    assert list(SHAPES) == ["fraction"]
    assert "fraction" in SHAPES
    assert len(SHAPES) == 1


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(
        InputError, match=r"^no fraction is called 'half'; choose one of fraction\.$"
    ):
        SHAPES.load("half")


def test_an_unknown_option_is_answered_with_those_a_user_may_give():
    seeds = Registry("rule", {"derived": "colliderkit.seeds:derive"}, supplied=("seed",))
    with pytest.raises(InputError, match=r"^rule 'derived' has no option 'x'; it has path\.$"):
        seeds.build("derived", seed=1, x=3)
