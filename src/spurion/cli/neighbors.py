"""The verb `neighbors`: exact nearest neighbors of images among other images."""

__all__ = ["neighbors"]

import csv
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spurion.cli.options import (
    AllowDownload,
    AsJson,
    Cache,
    Clip,
    Distance,
    Resize,
    ValueRange,
    Weights,
    value_range_of,
)
from spurion.cli.paths import check_sources
from spurion.cli.show import (
    progress_shown,
    say,
    show_clipped,
    show_json,
    show_source,
    show_table,
    show_warnings,
    source_values,
)

if TYPE_CHECKING:
    from spurion.data import ImageSet
    from spurion.neighbors import Distance as LoadedDistance
    from spurion.neighbors import Neighbors


class Engine(StrEnum):
    """What proposes neighbors; see `spurion.neighbors.nearest`."""

    auto = "auto"
    float64 = "float64"
    float32 = "float32"
    bfloat16 = "bfloat16"
    int8 = "int8"


SHOWN = 10
"""Pairs that the terminal shows."""

COLUMNS = ("query", "rank", "neighbor", "distance", "query_name", "neighbor_name", "distance_name")
"""Of the file of pairs."""


Queries = Annotated[str, typer.Option("--queries", metavar="SRC", help="The images to ask for.")]
Reference = Annotated[str, typer.Option("--reference", metavar="SRC", help="The images to search in.")]
Count = Annotated[int, typer.Option("-k", min=1, help="Neighbors of each query.")]
ExcludeSelf = Annotated[
    bool,
    typer.Option("--exclude-self", help="Image i is no neighbor of itself; both sources must be the same."),
]
Proposer = Annotated[
    Engine, typer.Option("--engine", help="What proposes neighbors; the answer is the same.")
]
MemoryLimit = Annotated[
    float,
    typer.Option(
        "--memory-limit", metavar="GIB", help="Working memory in GiB, beside the images and the pairs."
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint", metavar="FILE", help="Keep what is found here, and go on from it if stopped."
    ),
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE.csv", help="Write all pairs.")]


def neighbors(
    queries: Queries,
    reference: Reference,
    k: Count = 1,
    distance: Distance = "l2",
    weights: Weights = None,
    exclude_self: ExcludeSelf = False,
    resize: Resize = None,
    value_range: ValueRange = None,
    clip: Clip = False,
    allow_download: AllowDownload = False,
    engine: Proposer = Engine.auto,
    memory_limit: MemoryLimit = 2.0,
    checkpoint: Checkpoint = None,
    cache: Cache = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Find the exact nearest neighbors of images among other images.

    Example: spurion neighbors --queries samples.npz --reference digits -k 2 --out pairs.csv
    """
    check_sources(queries, reference)
    from spurion.data import opener
    from spurion.neighbors import load_distance, nearest

    chosen = load_distance(distance, weights, allow_download)
    opened = opener(
        {"queries": queries, "reference": reference}, resize=resize, clip=clip,
        value_range=value_range_of(value_range), allow_download=allow_download,
    )  # fmt: skip
    asked, searched = opened("queries"), opened("reference")
    show_clipped(asked, searched)
    if exclude_self and asked.sha256 != searched.sha256:
        raise ValueError("`--exclude-self` needs the same images, in the same order, on both sides.")
    with progress_shown() as shown:
        found = nearest(
            asked.images, searched.images, k, distance=chosen, exclude_self=exclude_self, engine=engine.value,
            memory_limit=_bytes(memory_limit), checkpoint=checkpoint, cache=cache,
            progress=partial(shown, "", "search"),
        )  # fmt: skip
    warnings = _warnings(asked, searched, found)
    show_warnings(warnings)
    if out is not None:
        _write_pairs(out, found, asked, searched)
    if as_json:
        show_json({**_pairs_as_json(found, asked, searched, chosen), "warnings": warnings})
    else:
        _show_pairs(found, asked, searched, chosen, out)


def _bytes(gibibytes: float) -> int:
    if not 0 < gibibytes < float("inf"):
        raise ValueError(f"`--memory-limit` must be a number of GiB above 0, got {gibibytes:g}.")
    return max(1, round(gibibytes * 2**30))


def _warnings(queries: "ImageSet", reference: "ImageSet", found: "Neighbors") -> list[str]:
    from spurion.audits.scales import other_ranges

    sets = {"queries": queries.images, "reference images": reference.images}
    return list(other_ranges(sets, copying="queries", copied="reference images", nearest=found.indices[:, 0]))


def _write_pairs(path: Path, found: "Neighbors", queries: "ImageSet", reference: "ImageSet") -> None:
    from spurion.core.files import atomic_write

    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        measured = "" if found.distance is None else found.distance.name
        for query, (indices, distances) in enumerate(_rows(found)):
            for rank, (index, value) in enumerate(zip(indices, distances, strict=True), start=1):
                names = _name(queries, query), _name(reference, index)
                writer.writerow((query, rank, index, repr(value), *names, measured))


def _rows(found: "Neighbors") -> list[tuple[list[int], list[float]]]:
    return list(zip(found.indices.tolist(), found.distances.tolist(), strict=True))


def _name(images: "ImageSet", index: int) -> str:
    return images.item_names[index] if images.item_names else ""


def _pairs_as_json(
    found: "Neighbors", queries: "ImageSet", reference: "ImageSet", distance: "LoadedDistance"
) -> dict[str, Any]:
    return {
        "queries": source_values(queries),
        "reference": source_values(reference),
        "distance": distance.info.model_dump(),
        "notes": list(distance.notes(reference.shape)),
        "work": {
            "engine": found.work.engine,
            "pairs": found.work.pairs,
            "recomputed": found.work.recomputed,
        },
        "neighbors": [
            {"query": query, "indices": indices, "distances": distances}
            for query, (indices, distances) in enumerate(_rows(found))
        ],
    }


def _show_pairs(
    found: "Neighbors",
    queries: "ImageSet",
    reference: "ImageSet",
    distance: "LoadedDistance",
    out: Path | None,
) -> None:
    nearest = found.distances[:, 0]
    low, middle, high = (float(value) for value in nearest.quantile(nearest.new_tensor([0, 0.5, 1])))
    show_source("Queries", queries)
    show_source("Reference", reference)
    if (info := distance.info).weights is not None:
        say(f"Distance: {info.name}; {info.weights}.")
    for note in distance.notes(reference.shape):
        say(f"Note: {note}")
    work = found.work
    say(f"Compared: {work.pairs} pairs by {work.engine}, of which {work.recomputed:.2%} were recomputed.")
    say(f"Distance to the nearest: from {low:.4g} to {high:.4g}, median {middle:.4g}.")
    say(f"Exact copies (distance 0): {int((nearest == 0).sum())}.")
    rows = []
    for query in nearest.argsort(stable=True)[:SHOWN].tolist():
        index = int(found.indices[query, 0])
        labels = [_label(queries, query), _label(reference, index)]
        rows.append([*labels, f"{float(nearest[query]):.4g}"])
    show_table(("query", "nearest", "distance"), rows, numbers=("distance",))
    if out is not None:
        say(f"All pairs: {out}")


def _label(images: "ImageSet", index: int) -> str:
    return f"{index} {_name(images, index)}".strip()
