"""Methods by name: one physics question a file, built from the bricks below."""

METHODS = {
    "tagging": "colliderkit.methods.tagging:Tagger",
    "ensemble": "colliderkit.methods.ensembles:Ensemble",
    "cross-fit": "colliderkit.methods.ensembles:CrossFit",
}
