"""The public names, frozen: a change here is a change for users."""

import importlib
import subprocess
import sys

import pytest

import colliderkit

PUBLIC = {
    # And the class of each method, which METHODS lists.
    "colliderkit": [
        "Adversary",
        "DisCo",
        "InputError",
        "MACHINES",
        "METHODS",
        "MoDe",
        "Planing",
        "Table",
        "Training",
        "auc",
        "generate",
        "iterate",
        "load",
        "read",
        "read_table",
        "rejection",
        "roc",
        "split",
        "write",
    ],
    "colliderkit.sources": ["iterate", "read", "read_table", "write"],
    "colliderkit.sources.files.expressions": [
        "FUNCTIONS",
        "REDUCTIONS",
        "Expression",
        "quoted",
        "split_expressions",
    ],
    "colliderkit.sources.files.rows": ["Rows", "read_rows", "read_table"],
    "colliderkit.sources.pythia.shards": ["generate"],
    "colliderkit.methods.tagging.tagger": ["Tagger"],
    "colliderkit.methods.decorrelation.objectives": [
        "BACKGROUND",
        "Adversary",
        "DisCo",
        "MoDe",
        "Penalised",
        "Planing",
    ],
    "colliderkit.methods.ratio": [
        "Diagnostics",
        "NetworkRatio",
        "Ratio",
        "TableRatio",
        "classifier_test",
        "same_events",
        "two_samples",
    ],
    "colliderkit.methods.regression": [
        "REGRESSIONS",
        "Conformal",
        "Prediction",
        "Regression",
    ],
    "colliderkit.methods.simulation.comparison": [
        "Classification",
        "ShowerComparison",
        "check_band",
    ],
    "colliderkit.methods.unfolding.omnifold": ["OmniFold"],
    "colliderkit.methods.unfolding.sample": ["UnfoldingSample"],
    "colliderkit.methods.search.abcd": ["ABCD"],
    "colliderkit.methods.search.double_disco": ["ABCDisCoTEC"],
    "colliderkit.methods.search.plane": [
        "Check",
        "Counts",
        "Estimate",
        "checks",
        "cut_counts",
        "likelihood_ratio",
        "strength_of",
    ],
    "colliderkit.methods.search.bump_hunt": ["FAMILIES", "Bump", "BumpHunt", "false_positives"],
    "colliderkit.methods.search.spectrum": [
        "FAMILIES",
        "Excess",
        "Fitted",
        "columns_of",
        "deviance",
        "edges_with",
        "excess",
        "fitted",
        "significance",
        "smooth",
        "window_edges",
    ],
    "colliderkit.methods.search.resonant.anode": ["Anode"],
    "colliderkit.methods.search.resonant.bounds": ["Idealised", "Supervised"],
    "colliderkit.methods.search.resonant.cathode": ["Cathode"],
    "colliderkit.methods.search.resonant.cwola": ["CwolaHunting"],
    "colliderkit.methods.search.resonant.lacathode": ["LaCathode"],
    "colliderkit.methods.search.resonant.r_anode": ["RAnode"],
    "colliderkit.methods.search.resonant.salad": ["Salad"],
    "colliderkit.methods.search.resonant.transport": ["Transport"],
    "colliderkit.metrics.significance": [
        "FLOOR",
        "Band",
        "Improvement",
        "improvement",
        "max_improvement",
        "over_trainings",
    ],
    "colliderkit.methods.search.resonant.global_p": [
        "GlobalP",
        "global_p",
        "pseudo_experiments",
        "without_bump",
    ],
    "colliderkit.methods.search.resonant.limits": [
        "Injection",
        "Limits",
        "injected",
        "upper_limit",
    ],
    "colliderkit.methods.search.resonant.mass_dependence": [
        "MassDependence",
        "mass_dependence",
        "refuse_mass",
    ],
    "colliderkit.methods.search.resonant.scan": ["WindowScan"],
    "colliderkit.methods.search.resonant.selection": ["Selection", "select_search"],
    "colliderkit.methods.search.resonant.search": ["Candidates", "ResonantSearch"],
    "colliderkit.methods.search.mixtures.proportions": ["LabelProportions"],
    "colliderkit.methods.search.mixtures.without_labels": [
        "WithoutLabels",
        "principal_weights",
        "retained",
    ],
    "colliderkit.methods.search.mixtures.templates": ["Demixed", "MixtureEfficiencies", "demixed"],
    "colliderkit.methods.search.mixtures.topics": ["Topics"],
    "colliderkit.methods.search.trigger": ["Trigger", "Update"],
    "colliderkit.methods.search.topologies": ["Groups", "Prior", "RARE", "Tails", "Topologies"],
    "colliderkit.methods.search.menu": ["Menu", "Rates", "menu_rates", "rate_of"],
    "colliderkit.methods.search.scouting": ["dijet_mass", "expected_limit"],
    "colliderkit.methods.reconstruction.mitigation": [
        "AT_ONCE",
        "Classical",
        "Mitigation",
        "cell_error",
    ],
    "colliderkit.methods.reconstruction.area": ["density", "subtracted"],
    "colliderkit.methods.reconstruction.charged_subtraction": ["ChargedHadronSubtraction"],
    "colliderkit.methods.reconstruction.constituent_subtraction": ["ConstituentSubtraction"],
    "colliderkit.methods.reconstruction.interactions": ["InteractionCounter"],
    "colliderkit.methods.reconstruction.learned": ["Learned"],
    "colliderkit.methods.reconstruction.pileup_graph": ["PileupGraph"],
    "colliderkit.methods.reconstruction.pumml": ["Pumml"],
    "colliderkit.methods.reconstruction.puppi": ["Puppi"],
    "colliderkit.methods.reconstruction.soft_killer": ["SoftKiller"],
    "colliderkit.methods.reconstruction.vertexing": ["VertexFinding"],
    "colliderkit.methods.reconstruction.vertex_annealing": ["AnnealedVertices"],
    "colliderkit.methods.reconstruction.vertex_density": ["DensityVertices", "kernel_density"],
    "colliderkit.methods.reconstruction.adaptive_vertices": ["AdaptiveVertices"],
    "colliderkit.methods.reconstruction.secondary_vertexing": ["TrackPartition", "with_truth"],
    "colliderkit.methods.reconstruction.secondary_vertices": ["SecondaryVertices"],
    "colliderkit.events.secondary_vertices": [
        "COLUMNS",
        "JetTracks",
        "average_links",
        "constraints",
        "is_track",
        "numbered_origins",
    ],
    "colliderkit.sources.pythia.tau_decays": ["MODES", "Taus", "hadronic_taus", "of_jets"],
    "colliderkit.sources.datasets.taus": [
        "CLASSES",
        "FEATURES",
        "VARIABLES",
        "generate_taus",
        "seen",
        "tau_variables",
    ],
    "colliderkit.events.vertices": ["Tracks", "Vertices", "true_vertices"],
    "colliderkit.metrics.vertices": [
        "MatchedVertices",
        "adjusted_rand",
        "efficiency",
        "false_rate",
        "match_vertices",
        "mean_over_jets",
        "perfect",
        "resolution",
        "strength_at",
    ],
    "colliderkit.events.pileup": [
        "ACTIVITY",
        "UNKNOWN",
        "Grid",
        "Particles",
        "activity",
        "medians",
        "pairs",
        "pileup_density",
    ],
    "colliderkit.events.jets": ["Jets"],
    "colliderkit.metrics.pileup": [
        "Matched",
        "bias_and_width",
        "compared",
        "fake_jets",
        "match",
        "missing_momentum",
        "momentum_shift",
        "neutral_auc",
        "resampled",
        "spread",
    ],
    "colliderkit.sources.files.collisions": ["ROLES", "read_collisions"],
    "colliderkit.methods.operations.certification": ["Certificates", "Certification", "Test"],
    "colliderkit.methods.operations.run_scores": ["RunScores"],
    "colliderkit.methods.operations.caches": [
        "OWN",
        "Misses",
        "Scores",
        "replay",
        "share_closed",
    ],
    "colliderkit.methods.operations.eviction": ["Eviction"],
    "colliderkit.methods.operations.placement": [
        "Recalls",
        "Waits",
        "keep_on_disk",
        "recalls",
        "replicas",
        "waits",
    ],
    "colliderkit.methods.operations.popularity": [
        "KINDS",
        "Kind",
        "Popularity",
        "deviance",
        "forecasts",
        "log_error",
    ],
    "colliderkit.methods.operations.congestion": [
        "FORECASTS",
        "LEARNED",
        "CongestionForecast",
        "Forecast",
        "features",
    ],
    "colliderkit.methods.operations.network_anomalies": ["DETECTORS", "NetworkAnomaly"],
    "colliderkit.methods.reconstruction.clue": ["CLUE", "clue"],
    "colliderkit.methods.reconstruction.condensation": ["condensed"],
    "colliderkit.methods.reconstruction.neutral_energy": [
        "NEUTRAL",
        "NeutralEnergy",
        "checked_tracks",
        "neutral_energy",
        "neutral_shares",
    ],
    "colliderkit.methods.reconstruction.raw_data": [
        "Head",
        "RawData",
        "RawMethod",
        "Reconstructed",
        "Truth",
        "cells",
    ],
    "colliderkit.methods.reconstruction.shape_trees": ["ShapeTrees", "shape_table"],
    "colliderkit.methods.reconstruction.trigger_tagging": [
        "ITEMS",
        "TriggerTagging",
        "elements",
        "threshold_at",
    ],
    "colliderkit.events.calorimeter.objects": ["CalorimeterObjects", "kinds_of"],
    "colliderkit.events.trigger_seeds": ["CLASSES", "LAYERS", "TriggerSeeds", "triplets"],
    "colliderkit.events.calorimeter.density": ["clue"],
    "colliderkit.events.particle_flow": [
        *("CHARGED", "ELECTRON", "KINDS", "MUON", "NEUTRAL", "PHOTON"),
        *("Clusters", "FlowEvents", "FlowParticles", "Incidence", "Towers", "Tracks"),
        *("event_of", "offsets_of", "turned"),
    ],
    "colliderkit.losses.particle_flow": ["OUTPUTS", "TRUTH", "element_loss"],
    "colliderkit.methods.reconstruction.energy_flow": ["EnergyFlow"],
    "colliderkit.methods.reconstruction.link_and_subtract": ["LinkAndSubtract"],
    "colliderkit.methods.reconstruction.incidence_flow": ["IncidenceFlow", "incidence_targets"],
    "colliderkit.methods.reconstruction.learned_flow": ["LearnedFlow", "elements", "kinds_said"],
    "colliderkit.methods.reconstruction.mlpf": ["MLPF", "element_targets"],
    "colliderkit.methods.reconstruction.shower_clustering": [
        "FEATURES",
        "ShowerClustering",
        "features",
    ],
    "colliderkit.methods.reconstruction.superresolution": ["Superresolution"],
    "colliderkit.methods.reconstruction.subtraction": ["ParametrisedSubtraction"],
    "colliderkit.events.calorimeter.hits": ["CalorimeterHits", "Clusters", "ranges"],
    "colliderkit.losses.condensation": ["LARGEST", "Condensation", "condensation_loss"],
    "colliderkit.methods.simulation.detector_optimisation": [
        "Descent",
        "DetectorOptimisation",
        "finite_difference",
        "relative_resolution",
        "resolution_of",
    ],
    "colliderkit.methods.search.autoencoder": ["Autoencoder"],
    "colliderkit.methods.search.latent": ["LatentDirichlet"],
    "colliderkit.methods.search.semi_supervised": ["SemiSupervised"],
    "colliderkit.methods.search.symmetry": ["Angles", "Symmetry", "angle_between"],
    "colliderkit.methods.reconstruction.edge_tracks": ["EdgeTracks"],
    "colliderkit.methods.reconstruction.embedded_tracks": ["EmbeddedTracks"],
    "colliderkit.methods.reconstruction.helix_tracks": ["HelixTracks"],
    "colliderkit.metrics.tracking": [
        "MATCHINGS",
        "Interest",
        "Matches",
        "by_bins",
        "figures",
        "hit_weights",
        "match",
        "of_interest",
        "particle_rows",
        "pull_counts",
        "pull_figures",
        "trackml_score",
    ],
    "colliderkit.sources.files.hits": [
        "TRACKS",
        "HitFiles",
        "read_hits",
        "write_csv",
        "write_hits",
        "write_trackml",
    ],
    "colliderkit.metrics.anomaly": [
        "BACKGROUND_EFFICIENCIES",
        "dark_machines",
        "signal_efficiency",
    ],
    "colliderkit.methods.unfolding.learned": ["LearnedObservable"],
    "colliderkit.methods.unfolding.iterations": ["Choice", "Histograms", "choose_iteration"],
    "colliderkit.methods.unfolding.uncertainty": ["Replicas", "replicate"],
    "colliderkit.methods.calibration": [
        "Calibrated",
        "Calibration",
        "FlowCalibration",
        "GaussianAnsatz",
        "GeneralisedInversion",
        "NumericalInversion",
        "Posterior",
        "SequentialCalibration",
        "TruthRegression",
    ],
    "colliderkit.methods.tagging.ensembles": ["CrossFit", "Ensemble"],
    "colliderkit.methods.inference.estimates": ["Estimate", "EstimateCalibration"],
    "colliderkit.methods.inference.neyman": ["NeymanConstruction"],
    "colliderkit.methods.inference.parameter_fit": [
        "Fitted",
        "LikelihoodProfile",
        "ParameterFit",
        "Parametrised",
    ],
    "colliderkit.methods.method": [
        "FORMAT",
        "Method",
        "NotFitted",
        "load",
        "saved_name",
        "versions",
    ],
    "colliderkit.networks": ["NETWORKS"],
    "colliderkit.networks.model": ["Model"],
    "colliderkit.networks.fixed_point": [
        "FixedPointDense",
        "Quantiser",
        "WIDE",
        "bit_operations",
        "fake_quantise",
        "quantised",
    ],
    "colliderkit.events.schema": [
        "CONSTITUENTS",
        "FOURVECTOR",
        "JET_COLUMNS",
        "check_jets",
        "labels_of",
        "split",
        "weights_of",
    ],
    "colliderkit.events.ragged": ["Ragged", "Spool"],
    "colliderkit.training.batches": ["Batch", "Batches", "Dataset"],
    "colliderkit.training.fit": ["fit", "predict"],
    "colliderkit.training.settings": [
        "Epoch",
        "Objective",
        "Training",
        "no_better_than_guessing",
    ],
    "colliderkit.report.html": ["PAGE", "Drawing", "Heading", "Report", "Table", "Text"],
    "colliderkit.serve.inference": ["Limits", "Server"],
    "colliderkit.serve.onnx": ["TOLERANCE", "export", "export_method", "single", "write_checked"],
    "colliderkit.serve.fpga": ["Firmware", "write_firmware"],
    "colliderkit.serve.trigger": [
        "Bits",
        "ExportedTrigger",
        "decisions",
        "export_trigger",
        "scores",
        "speed",
    ],
    "colliderkit.serve.remote": ["RemoteModel", "Unavailable"],
    "colliderkit.serve.answers": ["on_server"],
    "colliderkit.serve.triton": ["Backend", "write_repository"],
    "colliderkit.studies": ["STUDIES", "reproduce"],
    "colliderkit.cli": ["VERBS", "main"],
    "colliderkit.errors": ["InputError", "Interrupted"],
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_frozen(module: str) -> None:
    public = importlib.import_module(module).__all__
    expected = list(PUBLIC[module])
    if module == "colliderkit":
        expected += [path.partition(":")[2] for path in colliderkit.METHODS.values()]
    assert sorted(public) == sorted(expected)


@pytest.mark.parametrize("package", ["methods.METHODS", "networks.NETWORKS", "studies.STUDIES"])
def test_every_name_leads_to_something(package: str) -> None:
    module, attribute = package.split(".")
    names = getattr(importlib.import_module(f"colliderkit.{module}"), attribute)
    for path in names.values():
        where, _, noun = path.partition(":")
        found = importlib.import_module(where)
        assert not noun or hasattr(found, noun)


def test_the_top_of_the_package_is_lazy() -> None:
    code = (
        "import sys, colliderkit as ck; assert set(ck.__all__) < set(dir(ck));"
        "print({'torch', 'numpy', 'awkward', 'sklearn'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_the_top_of_the_package_is_what_stands_below() -> None:
    names = [path.partition(":")[2] for path in colliderkit.METHODS.values()]
    assert len(set(names)) == len(names)  # one class a name
    for path in colliderkit.METHODS.values():
        module, _, name = path.partition(":")
        assert getattr(colliderkit, name) is getattr(importlib.import_module(module), name)
    with pytest.raises(AttributeError, match="module 'colliderkit' has no attribute 'Nonsense'"):
        _ = colliderkit.Nonsense
    with pytest.raises(ImportError):
        exec("from colliderkit import Nonsense")
