"""The studies of prompts as kinds of study, and what the terminal shows of them."""

__all__ = ["page", "plan", "study", "tell_plan", "tell_result"]

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spurion.prompts.page.page import prompts_page as page

if TYPE_CHECKING:
    from spurion.prompts.results import PromptsResult
