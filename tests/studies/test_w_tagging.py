"""The names of the W-tagging study."""

from colliderkit.studies.w_tagging import FAMILIES, MAPS, PLAIN, SCALES, members


def test_every_strength_of_a_scale_belongs_to_a_family():
    for scale in SCALES.values():
        assert set(scale.strengths) <= set(FAMILIES) | set(MAPS)
        assert PLAIN in scale.strengths


def test_members_have_names_of_their_own_and_objectives_that_go_together():
    for scale in SCALES.values():
        names = [name for each in members(scale).values() for name in each]
        assert len(set(names)) == len(names)
        for family in set(FAMILIES) & set(scale.strengths):
            for value in scale.strengths[family]:
                objective = FAMILIES[family](value)
                assert (objective is None) == (family == PLAIN)
                if objective is not None:
                    objective.check()
