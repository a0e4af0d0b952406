"""Text-to-image models: what a prompt makes of them, and which prompts they know by heart.

A prompt makes a denoiser (`load_pipeline`, then `TextPipeline.at`), which every measure of `spurion.geometry`
takes. Detectors (`DETECTORS`) read how strongly a prompt binds the model, without its training set. `examine`
puts many prompts before all detectors, and judges these where it is known which prompts are memorized.
"""

__all__ = [
    "DETECTORS",
    "Conditioning",
    "Detector",
    "Entry",
    "PromptDenoiser",
    "PromptTable",
    "PromptsConfig",
    "PromptsResult",
    "Reading",
    "Seeds",
    "Subject",
    "Text",
    "TextPipeline",
    "Walk",
    "examine",
    "initial_noises",
    "load_pipeline",
    "read_table",
    "walk_down",
    "write_table",
]

from spurion.prompts.conditioned import PromptDenoiser
from spurion.prompts.config import PromptsConfig
from spurion.prompts.detectors import DETECTORS, Detector, Reading
from spurion.prompts.door import examine
from spurion.prompts.noises import initial_noises
from spurion.prompts.pipeline import TextPipeline, load_pipeline
from spurion.prompts.results import PromptsResult
from spurion.prompts.subject import Seeds, Subject, Text
from spurion.prompts.table import Entry, PromptTable, read_table, write_table
from spurion.prompts.text import Conditioning
from spurion.prompts.walk import Walk, walk_down
