"""The page of an examination of prompts."""

__all__ = ["prompts_page"]

from spurion.prompts.page.page import prompts_page
