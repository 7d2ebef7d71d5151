"""Methods by name: one physics question a file, built from the bricks below."""

from colliderkit.names import Registry

__all__ = ["METHODS"]

METHODS = Registry(
    "method",
    {
        "tagging": "colliderkit.methods.tagging.tagger:Tagger",
        "ensemble": "colliderkit.methods.tagging.ensembles:Ensemble",
        "ratio": "colliderkit.methods.ratio:Ratio",
        "omnifold": "colliderkit.methods.unfolding.omnifold:OmniFold",
        "iterative-bayes": "colliderkit.methods.unfolding.binned:IterativeBayes",
        "matrix-inversion": "colliderkit.methods.unfolding.binned:MatrixInversion",
        "learned-observable": "colliderkit.methods.unfolding.learned:LearnedObservable",
        "generative-unfolding": "colliderkit.methods.unfolding.generative:GenerativeUnfolding",
        "bump-hunt": "colliderkit.methods.search.bump_hunt:BumpHunt",
        "autoencoder": "colliderkit.methods.search.autoencoder:Autoencoder",
        "trigger": "colliderkit.methods.search.trigger:Trigger",
        "latent-dirichlet": "colliderkit.methods.search.latent:LatentDirichlet",
        "semi-supervised": "colliderkit.methods.search.semi_supervised:SemiSupervised",
        "symmetry": "colliderkit.methods.search.symmetry:Symmetry",
        "inference-aware": "colliderkit.methods.inference.inferno:InferenceAware",
        "uncertainty-aware": "colliderkit.methods.inference.nuisance_ratio:UncertaintyAware",
        "parameter-fit": "colliderkit.methods.inference.parameter_fit:ParameterFit",
        "estimate-calibration": "colliderkit.methods.inference.estimates:EstimateCalibration",
        "neyman-construction": "colliderkit.methods.inference.neyman:NeymanConstruction",
        "shower-surrogate": "colliderkit.methods.simulation.surrogate:ShowerSurrogate",
        "shower-comparison": "colliderkit.methods.simulation.comparison:ShowerComparison",
        "refinement": "colliderkit.methods.simulation.refinement:Refinement",
        "conditional-generator": "colliderkit.methods.simulation.generator:ConditionalGenerator",
        "deep-ensemble": "colliderkit.methods.regression.ensemble:DeepEnsemble",
        "quantile-regression": "colliderkit.methods.regression.quantile:QuantileRegression",
        "bayesian-last-layer": "colliderkit.methods.regression.last_layer:BayesianLastLayer",
        "variational-regression": "colliderkit.methods.regression.variational:VariationalRegression",  # noqa: E501
        "evidential-regression": "colliderkit.methods.regression.evidential:EvidentialRegression",
        "boosted-regression": "colliderkit.methods.regression.trees:BoostedRegression",
        "conformal": "colliderkit.methods.regression.conformal:Conformal",
        "flow-decorrelation": "colliderkit.methods.decorrelation.maps:FlowDecorrelation",
        "transport-decorrelation": "colliderkit.methods.decorrelation.maps:TransportDecorrelation",
        "regression-calibration": "colliderkit.methods.calibration:TruthRegression",
        "numerical-inversion": "colliderkit.methods.calibration:NumericalInversion",
        "sequential-calibration": "colliderkit.methods.calibration:SequentialCalibration",
        "generalised-inversion": "colliderkit.methods.calibration:GeneralisedInversion",
        "gaussian-ansatz": "colliderkit.methods.calibration:GaussianAnsatz",
        "flow-calibration": "colliderkit.methods.calibration:FlowCalibration",
        "posterior-calibration": "colliderkit.methods.calibration:Posterior",
        "cross-fit": "colliderkit.methods.tagging.ensembles:CrossFit",
    },
)
