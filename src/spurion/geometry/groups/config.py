"""How much geometry a study measures."""

__all__ = ["GeometryConfig"]

from pydantic import Field
from torch import Tensor

from spurion.core.config import Config
from spurion.diffusion.denoiser import Denoiser
from spurion.geometry.basin import BasinConfig
from spurion.geometry.groups.results import NEEDED
from spurion.geometry.jacobian import coefficients
from spurion.geometry.setting import Setting
from spurion.neighbors import Distance


class GeometryConfig(Config):
    """The geometry of a study: which points, and how.

    `points`: at most this many points of each group (the three classes, training and held-out images), drawn
    at random. `least`: classes with fewer points are counted, not measured. `basins`: the search for the
    critical noise. `scan`: how many noise levels are scanned, on `scan_points` training images, before the
    curvature is read at one. `cut`: directions softer than this are soft. `energy_points`: at most this many
    points of each group for the two energies, which are costly. `references`: the number of training images
    to which relative energies refer. `probes`: random vectors for each trace of the log-density.
    """

    points: int = Field(512, ge=NEEDED)
    least: int = Field(12, ge=NEEDED)
    basins: BasinConfig = BasinConfig(levels=1000)
    scan: int = Field(12, ge=2)
    scan_points: int = Field(64, ge=1)
    cut: float = Field(0.5, gt=0, lt=1)
    energy_points: int = Field(48, ge=NEEDED)
    references: int = Field(2, ge=1)
    probes: int = Field(8, ge=1)

    def setting(
        self,
        denoiser: Denoiser,
        time: int | float,
        *,
        tolerance: float | None,
        distance: Distance,
        references: Tensor | None,
        seed: int,
    ) -> Setting:
        """How one model is measured with these settings; the arguments are those of `Setting`."""
        alpha, sigma = coefficients(denoiser.schedule, time)
        return Setting(
            time=time,
            noise=sigma / alpha,
            tolerance=tolerance,
            seed=seed,
            distance=distance,
            references=references,
            basins=self.basins,
            cut=self.cut,
            probes=self.probes,
            few=self.energy_points,
        )
