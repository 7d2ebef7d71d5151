"""The task of a parameter fit: theta of data by a learned ratio p(x | theta) / p0(x)."""

from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.methods.inference.estimates import Estimate
from colliderkit.methods.inference.parameter_fit import Fitted, LikelihoodProfile, ParameterFit
from colliderkit.methods.ratio import Ratio
from colliderkit.report.html import Report
from colliderkit.report.parameter_fit import corner, likelihood
from colliderkit.report.results import Result
from colliderkit.sources.files.formats import Paths
from colliderkit.tasks import runs
from colliderkit.tasks.ratio import read_sample
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.task import Evaluation, Inputs, Task
