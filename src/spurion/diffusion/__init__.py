"""Noise schedules, denoisers, training and samplers of diffusion models."""
