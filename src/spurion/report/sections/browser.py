"""Galleries to browse by training size and by class."""

__all__ = ["gallery"]

from spurion.report.blocks import Section
from spurion.report.gallery import gallery_data
from spurion.report.run import Run


def gallery(run: Run) -> Section | None:
    """Stored samples with their nearest training image and nearest other sample."""
    data = gallery_data(run)
    if run.study is None or not data["sizes"]:
        return None
    paragraphs = [
        "Judge with your own eyes. Each group of three is a sample, its nearest training image, and its "
        "nearest other sample, with their distances; a distance within its threshold is set in bold."
    ]
    if data["shown"] < data["stored"]:
        paragraphs.append(
            f"To keep this page light it holds {data['shown']:,} of the {data['stored']:,} stored samples; "
            "all are in the gallery.npz files of the run folder."
        )
    return Section("gallery", "Gallery", tuple(paragraphs), part="gallery.html.j2", values={"data": data})
