"""Registry of jet representations: raw columns to what a network takes."""

from colliderkit.names import Registry

__all__ = ["REPRESENTATIONS"]

REPRESENTATIONS = Registry(
    "representation",
    {
        "efp": "colliderkit.events.energyflow:EnergyFlow",
        "image": "colliderkit.events.images:JetImage",
        "sequence": "colliderkit.events.sequences:ParticleSequence",
        "set": "colliderkit.events.sets:ParticleSet",
        "table": "colliderkit.events.scaling:Standardise",
    },
)
