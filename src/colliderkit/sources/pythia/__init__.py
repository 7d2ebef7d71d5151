"""Generate events with Pythia 8: jets, processes, tunes, matched levels, shards."""
