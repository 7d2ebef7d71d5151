"""Decorrelation: taggers, and maps of scores, that do not sculpt what the search looks at."""
