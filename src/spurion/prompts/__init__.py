"""Text-to-image models: what a prompt makes of them, and which prompts they know by heart."""

__all__ = ["Conditioning", "PromptDenoiser", "TextPipeline", "Walk", "load_pipeline", "walk_down"]

from spurion.prompts.conditioned import PromptDenoiser
from spurion.prompts.pipeline import TextPipeline, load_pipeline
from spurion.prompts.text import Conditioning
from spurion.prompts.walk import Walk, walk_down
