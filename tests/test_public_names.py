"""The public names, frozen: a change here is a change for users."""

import importlib

import pytest

PUBLIC = {
    "colliderkit.sources": ["iterate", "read", "write"],
    "colliderkit.sources.files.rows": ["Rows", "read_rows", "separated"],
    "colliderkit.sources.pythia.shards": ["generate"],
    "colliderkit.methods.tagging.tagger": ["Tagger"],
    "colliderkit.methods.ratio": [
        "Diagnostics",
        "NetworkRatio",
        "Ratio",
        "TableRatio",
        "classifier_test",
        "one_sample",
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
        "Comparison",
        "ShowerTest",
        "check_band",
    ],
    "colliderkit.methods.unfolding.omnifold": ["OmniFold", "Sample"],
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
    "colliderkit.methods.inference.estimates": ["Calibration", "Estimate"],
    "colliderkit.methods.inference.parameter_fit": [
        "Fitted",
        "ParameterFit",
        "Parametrised",
        "Profile",
    ],
    "colliderkit.methods.method": ["FORMAT", "Method", "load", "saved_name", "versions"],
    "colliderkit.networks": ["NETWORKS", "build", "network"],
    "colliderkit.networks.model": ["Model"],
    "colliderkit.events.schema": [
        "CONSTITUENTS",
        "FOURVECTOR",
        "JET_COLUMNS",
        "check_jets",
        "labels_of",
        "split",
        "weights_of",
    ],
    "colliderkit.events.ragged": ["Ragged"],
    "colliderkit.training.batches": ["Batch", "Batches", "Dataset"],
    "colliderkit.training.fit": ["fit", "predict"],
    "colliderkit.training.settings": ["Epoch", "Objective", "Training"],
    "colliderkit.report.html": ["Drawing", "Heading", "Report", "Table", "Text"],
    "colliderkit.serve.onnx": ["TOLERANCE", "export", "export_method"],
    "colliderkit.studies": ["STUDIES", "reproduce"],
    "colliderkit.cli": ["VERBS", "given", "main", "of_model", "run"],
    "colliderkit.errors": ["InputError", "Interrupted"],
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_frozen(module: str) -> None:
    found = importlib.import_module(module).__all__
    assert sorted(found) == sorted(PUBLIC[module])


@pytest.mark.parametrize("package", ["methods.METHODS", "networks.NETWORKS", "studies.STUDIES"])
def test_every_name_leads_to_something(package: str) -> None:
    module, attribute = package.split(".")
    names = getattr(importlib.import_module(f"colliderkit.{module}"), attribute)
    for path in names.values():
        where, _, noun = path.partition(":")
        found = importlib.import_module(where)
        assert not noun or hasattr(found, noun)
