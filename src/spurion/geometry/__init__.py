"""The geometry of a model's states: how wide, how sharp, how deep; of any denoiser."""

__all__ = [
    "MEASURES",
    "PATHS",
    "STATUSES",
    "BasinConfig",
    "BasinResult",
    "Choice",
    "Curvature",
    "Density",
    "EnergyResult",
    "FlowResult",
    "Measure",
    "Measured",
    "RecoveryCurve",
    "Scan",
    "ScoreJacobian",
    "basins",
    "choose_time",
    "curvature",
    "flipd",
    "flow_log_density",
    "log_basin_volume",
    "normal_bundle_dimension",
    "recovery_area",
    "recovery_curve",
    "relative_energy",
    "scan_curvature",
    "spectral_density",
]

from spurion.geometry.basin import BasinConfig, BasinResult
from spurion.geometry.critical import basins
from spurion.geometry.density import Density, spectral_density
from spurion.geometry.dimension import flipd, normal_bundle_dimension
from spurion.geometry.energy import PATHS, EnergyResult, relative_energy
from spurion.geometry.hessian import Curvature, curvature
from spurion.geometry.jacobian import ScoreJacobian
from spurion.geometry.log_density import FlowResult, flow_log_density
from spurion.geometry.measure import STATUSES, Measure, Measured
from spurion.geometry.measures import MEASURES
from spurion.geometry.noise_scan import Choice, Scan, choose_time, scan_curvature
from spurion.geometry.recovery import RecoveryCurve, recovery_area, recovery_curve
from spurion.geometry.volume import log_basin_volume
