"""Find the attractors of a diffusion model: what it memorized, what is spurious, what it can generate."""

__version__ = "0.1.0"
