"""Decorrelation: taggers, and maps of scores, that do not sculpt what the search looks at."""

from colliderkit.methods.decorrelation.tagger import DecorrelatedTagger

__all__ = ["DecorrelatedTagger"]
