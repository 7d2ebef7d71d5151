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
    "regression-calibration": "colliderkit.methods.calibration:Regression",
    "numerical-inversion": "colliderkit.methods.calibration:NumericalInversion",
    "sequential-calibration": "colliderkit.methods.calibration:SequentialCalibration",
    "generalised-inversion": "colliderkit.methods.calibration:GeneralisedInversion",
    "gaussian-ansatz": "colliderkit.methods.calibration:GaussianAnsatz",
    "flow-calibration": "colliderkit.methods.calibration:FlowCalibration",
    "posterior-calibration": "colliderkit.methods.calibration:Posterior",
    "cross-fit": "colliderkit.methods.ensembles:CrossFit",
}
