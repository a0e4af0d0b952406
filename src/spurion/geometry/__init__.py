"""The geometry of a model's states: how wide, how sharp, how deep; of any denoiser."""
