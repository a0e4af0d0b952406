"""Whose images a set holds, and under which license: what a page that shows them has to say."""

__all__ = ["Rights"]

from pydantic import Field

from spurion.core.config import Config


class Rights(Config):
    """Who made the images of a set, and what they allow.

    `credit`: the makers, with the work. `license`: its name. `changed`: what was done to the images.
    """

    credit: str = Field(min_length=1, description="Who made the images, and of which work they are.")
    license: str = Field("", description="Name of the license; empty if its makers state none.")
    link: str = Field("", description="Address of the license, or of the work if there is none.")
    changed: str = Field("", description="What was done to the images, beyond scaling their levels.")

    def sentence(self, name: str) -> str:
        """What has to be said of a set that holds such images.

        Example:
            >>> Rights(credit="a work by A. Maker", license="CC-BY 4.0", link="https://a.org").sentence("dots")
            'The images of dots are from a work by A. Maker, under CC-BY 4.0 (https://a.org).'
        """
        link = f" ({self.link})" if self.link else ""
        under = f"under {self.license}" if self.license else "whose makers state no license"
        changed = f"; changed: {self.changed}" if self.changed else ""
        return f"The images of {name} are from {self.credit}, {under}{link}{changed}."
