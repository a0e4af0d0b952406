"""A small text-to-image model whose memorized prompts are known."""
