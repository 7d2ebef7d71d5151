"""Representations by name."""

import pytest

from colliderkit.errors import InputError
from colliderkit.events.representations import REPRESENTATIONS


@pytest.mark.parametrize("name", sorted(REPRESENTATIONS))
def test_every_name_leads_to_its_class(name):
    module, _, noun = REPRESENTATIONS[name].partition(":")
    found = REPRESENTATIONS.load(name)
    assert (found.__module__, found.__name__) == (module, noun)
    assert callable(found.forward)
    assert callable(found.fit)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(InputError, match="'graph'; choose one of efp, image, sequence, set, table"):
        REPRESENTATIONS.load("graph")
