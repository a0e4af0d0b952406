"""The geometry of a model's states: how wide, how sharp, how deep; of any denoiser."""

__all__ = [
    "MEASURES",
    "PATHS",
    "STATUSES",
    "BasinConfig",
    "BasinMeasure",
    "BasinResult",
    "Curvature",
    "CurvatureMeasure",
    "Density",
    "EnergyResult",
    "FlowResult",
    "Flows",
    "Group",
    "Iterated",
    "Measure",
    "Measured",
    "Recall",
    "ScoreJacobian",
    "Setting",
    "basins",
    "curvature",
    "extremal",
    "flipd",
    "flow_log_density",
    "flows",
    "iterate",
    "log_basin_volume",
    "measure",
    "normal_bundle_dimension",
    "one_sided_singular_values",
    "recall",
    "recovery_area",
    "relative_energy",
    "spectral_density",
    "symmetrized_singular_values",
]

from spurion.geometry.basin import BasinConfig, BasinResult
from spurion.geometry.critical import BasinMeasure, basins
from spurion.geometry.curvature_measures import CurvatureMeasure
from spurion.geometry.density import Density, spectral_density
from spurion.geometry.destinations import Flows, Recall, flows, recall
from spurion.geometry.dimension import flipd, normal_bundle_dimension
from spurion.geometry.energy import PATHS, EnergyResult, relative_energy
from spurion.geometry.groups.choice import Group
from spurion.geometry.groups.measuring import measure
from spurion.geometry.hessian import Curvature, curvature
from spurion.geometry.iterated import Iterated, iterate
from spurion.geometry.jacobian import ScoreJacobian
from spurion.geometry.kinds import Measure
from spurion.geometry.lanczos import extremal
from spurion.geometry.log_density import FlowResult, flow_log_density
from spurion.geometry.measured import STATUSES, Measured
from spurion.geometry.measures import MEASURES
from spurion.geometry.perturbations import one_sided_singular_values, symmetrized_singular_values
from spurion.geometry.recovery import recovery_area
from spurion.geometry.setting import Setting
from spurion.geometry.volume import log_basin_volume
