"""Text-to-image models: what a prompt makes of them, and which prompts they know by heart."""

__all__: list[str] = []
