"""Noise schedules, denoisers, training and samplers of diffusion models."""

__all__ = [
    "DENOISERS",
    "DDPMSchedule",
    "Denoiser",
    "DenoiserConfig",
    "EulerMaruyamaConfig",
    "ExactConfig",
    "ExactDenoiser",
    "FixedPoints",
    "FourierMLPConfig",
    "FourierResidualConfig",
    "GaussianConfig",
    "GaussianDenoiser",
    "LogDensity",
    "MLPConfig",
    "SamplerConfig",
    "Schedule",
    "TrainingConfig",
    "TrainingDiverged",
    "UNetConfig",
    "VESchedule",
    "choose_device",
    "energy",
    "fixed_points",
    "folder_hash",
    "load_denoiser",
    "log_density",
    "mixture_prior",
    "normal_prior",
    "sample",
    "sample_sde",
    "sample_to_file",
    "sample_to_folder",
    "save_denoiser",
    "train",
]

from spurion.diffusion.denoiser import Denoiser
from spurion.diffusion.denoisers import DENOISERS, DenoiserConfig
from spurion.diffusion.denoisers.exact import ExactConfig, ExactDenoiser
from spurion.diffusion.denoisers.gaussian import GaussianConfig, GaussianDenoiser
from spurion.diffusion.denoisers.network_config import FourierMLPConfig, FourierResidualConfig, MLPConfig
from spurion.diffusion.denoisers.unet import UNetConfig
from spurion.diffusion.device import choose_device
from spurion.diffusion.euler_maruyama import EulerMaruyamaConfig, sample_sde
from spurion.diffusion.folder import folder_hash, load_denoiser, save_denoiser
from spurion.diffusion.iteration import FixedPoints, fixed_points
from spurion.diffusion.likelihood import (
    LogDensity,
    energy,
    log_density,
    mixture_prior,
    normal_prior,
)
from spurion.diffusion.samplers import SamplerConfig, sample
from spurion.diffusion.sampleset import sample_to_file, sample_to_folder
from spurion.diffusion.schedule import DDPMSchedule, Schedule, VESchedule
from spurion.diffusion.training import TrainingConfig, TrainingDiverged, train
