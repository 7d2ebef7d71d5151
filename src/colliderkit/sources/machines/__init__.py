"""Machines that are operated: a beam line, a trigger's prescales, a high voltage; many at once."""

from colliderkit.names import Registry

__all__ = ["MACHINES"]

MACHINES = Registry(
    "machine",
    {
        "beam-tuning": "colliderkit.sources.machines.beam_tuning:BeamTuning",
        "prescales": "colliderkit.sources.machines.prescales:Prescales",
        "high-voltage": "colliderkit.sources.machines.high_voltage:HighVoltage",
    },
)
