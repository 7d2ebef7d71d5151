"""Tasks by name: what the verbs need of a method (read, fit, apply, evaluate, page, export)."""

from colliderkit.names import Registry

__all__ = ["TASKS", "task_of"]

TASKS = Registry(
    "task",
    {
        "tagging": "colliderkit.tasks.tagging:TaggingTask",
        "decorrelation": "colliderkit.tasks.decorrelation:DecorrelationTask",
        "estimate-calibration": "colliderkit.tasks.estimate_calibration:EstimateCalibrationTask",
        "inference": "colliderkit.tasks.inference:InferenceTask",
        "neyman-construction": "colliderkit.tasks.neyman:NeymanTask",
        "observable": "colliderkit.tasks.observable:ObservableTask",
        "parameters": "colliderkit.tasks.parameters:ParametersTask",
        "calibration": "colliderkit.tasks.calibration:CalibrationTask",
        "regression": "colliderkit.tasks.regression:RegressionTask",
        "ratio": "colliderkit.tasks.ratio:RatioTask",
        "refinement": "colliderkit.tasks.refinement:RefinementTask",
        "search": "colliderkit.tasks.search:SearchTask",
        "anomaly": "colliderkit.tasks.anomaly:AnomalyTask",
        "abcd": "colliderkit.tasks.abcd:AbcdTask",
        "autoencoder": "colliderkit.tasks.autoencoder:AutoencoderTask",
        "semi-supervised": "colliderkit.tasks.semi_supervised:SemiSupervisedTask",
        "trigger": "colliderkit.tasks.trigger:TriggerTask",
        "popularity": "colliderkit.tasks.popularity:PopularityTask",
        "latent": "colliderkit.tasks.latent:LatentTask",
        "symmetry": "colliderkit.tasks.symmetry:SymmetryTask",
        "weak-supervision": "colliderkit.tasks.weak_supervision:WeakSupervisionTask",
        "working-points": "colliderkit.tasks.mixtures:WorkingPointsTask",
        "topics": "colliderkit.tasks.mixtures:TopicsTask",
        "shower-comparison": "colliderkit.tasks.showers:ShowerComparisonTask",
        "showers": "colliderkit.tasks.showers:ShowersTask",
        "unfolding": "colliderkit.tasks.unfolding:UnfoldingTask",
        "control": "colliderkit.tasks.control:ControlTask",
        "generator": "colliderkit.tasks.generator:GeneratorTask",
        "data-quality": "colliderkit.tasks.data_quality:DataQualityTask",
        "run-scores": "colliderkit.tasks.run_scores:RunScoresTask",
        "congestion": "colliderkit.tasks.network:CongestionTask",
        "network-anomaly": "colliderkit.tasks.network:NetworkAnomalyTask",
        "pileup": "colliderkit.tasks.pileup:PileupTask",
        "vertexing": "colliderkit.tasks.vertexing:VertexingTask",
        "secondary-vertices": "colliderkit.tasks.secondary_vertices:SecondaryVerticesTask",
        "tracking": "colliderkit.tasks.tracking:TrackingTask",
        "neutral-energy": "colliderkit.tasks.neutral_energy:NeutralEnergyTask",
        "superresolution": "colliderkit.tasks.superresolution:SuperresolutionTask",
        "raw-data": "colliderkit.tasks.raw_data:RawDataTask",
        "object-detection": "colliderkit.tasks.object_detection:ObjectDetectionTask",
        "trigger-tagging": "colliderkit.tasks.trigger_tagging:TriggerTaggingTask",
        "particle-flow": "colliderkit.tasks.particle_flow:ParticleFlowTask",
        "clustering": "colliderkit.tasks.clustering:ClusteringTask",
    },
)


def task_of(method: str) -> str:
    """Return the name of the task that a method of `methods.METHODS` belongs to."""
    return next(name for name in TASKS if method in TASKS.load(name).methods)
