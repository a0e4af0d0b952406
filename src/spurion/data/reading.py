"""What became of the files of a source, beside the images that were read without a doubt."""

__all__ = ["STORED", "Files", "Reading"]

from collections.abc import Iterator, Sequence

from pydantic import Field

from spurion.core.config import Config

NAMED = 10
"""Files that a sentence names."""

STORED = 100
"""Files that a result names."""


class Files(Config):
    """Some files of a source."""

    count: int = Field(0, ge=0, description="How many there are.")
    names: tuple[str, ...] = Field(
        (), max_length=STORED, description="The first of them, in order; none where names are redacted."
    )

    @classmethod
    def of(cls, names: Sequence[str]) -> "Files":
        """Those of these names, of which the first `STORED` are kept."""
        return cls(count=len(names), names=tuple(names[:STORED]))

    def told(self, one: str, many: str) -> Iterator[str]:
        """A sentence that counts and names them, such as "2 files are no images: a.txt, b.txt", if any."""
        if not self.count:
            return
        more = f" and {self.count - NAMED:,} more" if self.count > NAMED else ""
        names = f": {', '.join(self.names[:NAMED])}{more}" if self.names else ""
        yield (f"1 {one}" if self.count == 1 else f"{self.count:,} {many}") + names


class Reading(Config):
    """What became of the files of a folder, an archive or a data set."""

    unread: Files = Field(
        Files(), description="Not read, though they may hold images: other formats, videos, archives, arrays."
    )
    other: Files = Field(Files(), description="Files that are no images, such as texts.")
    left_out: Files = Field(Files(), description="Hidden or system files and folders, which are not opened.")
    rotated: Files = Field(
        Files(), description="Images whose orientation tag asks for a rotation, read as they are stored."
    )
    upright: Files = Field(Files(), description="Images that were rotated as their orientation tag asks.")

    def nameless(self) -> "Reading":
        """The counts alone."""
        return Reading.model_validate({kind: {"count": files.count} for kind, files in self})

    def notes(self) -> tuple[str, ...]:
        """What does no harm, in sentences."""
        return (
            *(f"{text}." for text in self.other.told("file is no image", "files are no images")),
            *(
                f"{text}."
                for text in self.left_out.told(
                    "hidden or system entry is left out", "hidden or system entries are left out"
                )
            ),
        )

    def missing(self) -> tuple[str, ...]:
        """Which files may hold images that were not read, in sentences."""
        told = self.unread.told(
            "file that may hold images was not read", "files that may hold images were not read"
        )
        return tuple(
            f"{text}; convert or unpack what belongs to the set, and move the rest away." for text in told
        )

    def turned(self) -> tuple[str, ...]:
        """Which images have an orientation tag, and what was done about it, in sentences."""
        ignored = self.rotated.told(
            "image has an orientation tag (EXIF) and is read as it is stored",
            "images have an orientation tag (EXIF) and are read as they are stored",
        )
        applied = self.upright.told(
            "image was rotated as its orientation tag (EXIF) asks",
            "images were rotated as their orientation tags (EXIF) ask",
        )
        return (
            *(
                f"{text}; if the training code applied it, rotate the files and remove the tags, else just "
                "remove the tags."
                for text in ignored
            ),
            *(f"{text}." for text in applied),
        )

    def sentences(self) -> tuple[str, ...]:
        """All there is to know of the files."""
        return (*self.missing(), *self.turned(), *self.notes())
