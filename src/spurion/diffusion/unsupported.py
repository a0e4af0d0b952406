"""The sentence for models of a kind that is known and cannot be sampled here."""

__all__ = ["unsupported"]

from collections.abc import Iterable
from pathlib import Path

_REASONS = {
    "text to images": ("StableDiffusion", "UNet2DCondition", "TextToImage", "PixArt", "Kandinsky", "unCLIP"),
    "images in the latents of another network": ("LDM", "Latent", "VQ", "Autoencoder"),
    "classes to images": ("DiT", "Transformer2D"),
    "a process in continuous time": ("ScoreSde",),
    "a process in noise levels instead of steps": ("EDM", "Karras", "DPMSolverSDE"),
    "flow matching": ("Flow", "RFScheduler"),
    "a network distilled into few steps": ("Consistency", "CMStochastic", "LCM", "TCD", "SCM"),
}
"""What a class stands for, by parts of its name."""


def unsupported(path: Path, name: object, known: Iterable[str]) -> ValueError:
    """The error for a class that is not supported.

    Arguments:
        path: Where it was found.
        name: The class, as it stands there; None if it is not said.
        known: The names of the classes that are supported.
    """
    if name is None:
        return ValueError(f"{path} is damaged: it does not say of which class it is (`_class_name`).")
    reasons = (reason for reason, parts in _REASONS.items() if any(part in str(name) for part in parts))
    reason = next(reasons, None)
    return ValueError(
        f"{path}: {name!r:.80}{f' ({reason})' if reason else ''} is not supported; known are "
        f"{', '.join(known)}. Draw its samples with its own code and give them to `spurion audit --samples`."
    )
