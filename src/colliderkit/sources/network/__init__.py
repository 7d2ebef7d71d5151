"""A small grid of computing sites: transfers, faults, probes; as a fluid or as packets (ns-3)."""
