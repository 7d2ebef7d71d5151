"""What figures say of where their events are from."""

import pytest

from colliderkit.studies import STUDIES
from colliderkit.studies.provenance import of_process, source_of


def test_processes_say_their_jets_and_cuts():
    assert of_process("top") == (
        r"Pythia 8, particle level, pp √s = 14 TeV, anti-$k_T$ R = 0.8,"
        r" 550 < $p_T$ < 650 GeV"
    )
    assert of_process("ee-dijets", "fast detector") == (
        r"Pythia 8, fast detector, $e^+e^-$ √s = 91.2 GeV, anti-$k_T$ R = 0.8,"
        r" $p_T$ > 10 GeV"
    )


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_says_where_its_events_are_from(study):
    assert source_of(study)


def test_what_is_not_known_is_not_said():
    assert source_of("mine") == ""
