"""A small grid of computing sites: transfers, faults and probes, by a fluid or by packets (ns-3)."""
