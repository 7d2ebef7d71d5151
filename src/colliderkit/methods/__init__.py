"""Methods by name: one physics question a file, built from the bricks below."""

METHODS = {
    "tagging": "colliderkit.methods.tagging:Tagger",
    "ensemble": "colliderkit.methods.ensembles:Ensemble",
    "ratio": "colliderkit.methods.ratio:Ratio",
    "omnifold": "colliderkit.methods.unfolding.omnifold:OmniFold",
    "iterative-bayes": "colliderkit.methods.unfolding.binned:IterativeBayes",
    "matrix-inversion": "colliderkit.methods.unfolding.binned:MatrixInversion",
    "learned-observable": "colliderkit.methods.unfolding.learned:LearnedObservable",
    "generative-unfolding": "colliderkit.methods.unfolding.generative:GenerativeUnfolding",
    "inference-aware": "colliderkit.methods.inference_aware:InferenceAware",
    "uncertainty-aware": "colliderkit.methods.uncertainty_aware:UncertaintyAware",
    "shower-surrogate": "colliderkit.methods.surrogate:ShowerSurrogate",
    "refinement": "colliderkit.methods.refinement:Refinement",
    "decorrelated-tagging": "colliderkit.methods.decorrelation:DecorrelatedTagger",
    "flow-decorrelation": "colliderkit.methods.decorrelation.maps:FlowDecorrelation",
    "transport-decorrelation": "colliderkit.methods.decorrelation.maps:TransportDecorrelation",
    "cross-fit": "colliderkit.methods.ensembles:CrossFit",
}
