"""Find the parameters of data by a ratio p(x | theta) / p0(x) that was learned once.

With ln r(x; theta) from `methods.ratio`, no training is left: theta is found by gradient or by a
scan, at the price of a small network a step (DCTR, arXiv:1907.08209). Its uncertainty comes from
the likelihood, from a bootstrap, and from pseudo-experiments at known theta, which alone also see
what the learned ratio is wrong by.
"""

from colliderkit.methods.parameter_fit.calibration import Calibration, Estimate
from colliderkit.methods.parameter_fit.fit import Fitted, ParameterFit, Parametrised, Profile

__all__ = ["Calibration", "Estimate", "Fitted", "ParameterFit", "Parametrised", "Profile"]
