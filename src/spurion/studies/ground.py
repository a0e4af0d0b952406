"""What the classes of a study stand on: one pair of thresholds for all training sizes.

The `null` rule hangs on real images alone: on their distance to *all* training images that a study may draw
from, so that the training sizes that happen to be in a study change no threshold, and two studies of one data
set are measured alike. At smaller training sizes honest samples lie farther away, and fewer of them than
promised are called memorized.
"""

__all__ = ["grounds"]

from torch import Tensor

from spurion.audits.ground import Ground, ground_for, real_images
from spurion.audits.measurement import Measurement, load_measurement
from spurion.core.random import derive_seed
from spurion.core.store import AGAIN, KeyedFile
from spurion.core.tensors import Damaged, tell
from spurion.neighbors import Distance
from spurion.phases.anchor import Anchor
from spurion.phases.rules import HoldoutRule, NullRule, ValleyRule, parse_rule
from spurion.studies.config import StudyConfig, common_size
from spurion.studies.folder import vectors_of
from spurion.studies.point import PointTask, point_data


def grounds(config: StudyConfig, tasks: list[PointTask]) -> dict[int, Ground]:
    """What the classes at every training size stand on, by training size.

    Pooled over the study, but for the `holdout` rule, which looks at one training set.
    """
    found = {task.train_size: load_measurement(task.measurement_file) for task in tasks}
    if not found:
        return {}
    first, rule = tasks[0], parse_rule(config.thresholds)
    distance = config.load_distance(first.allow_download).kept(vectors_of(first.folder))
    if isinstance(rule, HoldoutRule):
        return {size: _ground(config, distance, None, first, one) for size, one in found.items()}
    anchor = _anchor(first, distance) if isinstance(rule, NullRule | ValleyRule) else None
    return dict.fromkeys(found, _ground(config, distance, anchor, first, *found.values()))


def _ground(
    config: StudyConfig, distance: Distance, anchor: Anchor | None, task: PointTask, *found: Measurement
) -> Ground:
    pool, _ = point_data(config, task.allow_download)
    return ground_for(
        config.thresholds,
        *found,
        anchor=anchor,
        distance=distance,
        images=len(pool),
        sample_size=common_size(config),
        seed=derive_seed(config.seed, "ground"),
    )


def _anchor(task: PointTask, distance: Distance) -> Anchor | None:
    """The anchor of a study, kept beside its points; None where there are too few images."""
    config = task.config
    pool, holdout = point_data(config, task.allow_download)
    if isinstance(parse_rule(config.thresholds), ValleyRule):
        holdout = None
    key = {
        "train": pool.sha256,
        "holdout": holdout and holdout.sha256,
        "distance": distance.info.model_dump(mode="json"),
    }
    path = task.folder.parents[1] / "anchor.safetensors"
    file = KeyedFile(path, "anchor", "belongs to other images or another distance", "take it away")
    try:
        known = file.load(key, lambda tensors, facts: Anchor(**{**tensors, **facts}))
    except Damaged as error:
        tell(error, AGAIN)
        known = None
    if known is not None:
        return known
    anchor = real_images(
        pool.images,
        None if holdout is None else holdout.images,
        None,
        distance,
        seed=derive_seed(config.seed, "anchor"),
    )
    if anchor is not None:
        parts = {name: value for name, value in vars(anchor).items() if isinstance(value, Tensor)}
        file.save(parts, key, held_out=anchor.held_out)
    return anchor
