"""Where samples flow, how that differs from having duplicates, and what does not follow from it."""

__all__ = ["flow_limits", "recall", "where_samples_flow"]

from collections.abc import Iterator, Mapping

from spurion.audits.checks.flows import setting
from spurion.audits.claims import Claim
from spurion.geometry.groups.flow import FlowRow, SampleFlow
from spurion.statistics.numbers import percent, percent_interval, size
from spurion.studies.checks.points import in_sizes
from spurion.studies.results import StudyResult

Flows = Mapping[int, SampleFlow]

FEW = 12
"""A class with fewer samples is not spoken of."""


def where_samples_flow(study: StudyResult) -> Iterator[Claim]:
    """Whether samples flow into training images, or into basins that are no memory."""
    flows = {k: flow for k, flow in study.flows.items() if flow.into_training is not None}
    if not flows:
        return
    how = setting(next(iter(flows.values())))
    sentence = f"Denoised again and again ({how}), {_into(flows)}; {_basins(flows)}.{_classes(flows)}"
    shares = {
        f"into_training_{k}": flow.into_training.value for k, flow in flows.items() if flow.into_training
    }
    yield Claim(kind="flow", severity="answer", sentence=sentence, numbers=shares)


def _into(flows: Flows) -> str:
    """The share of samples that flow into a training image, over K."""
    shares = {k: flow.into_training for k, flow in flows.items() if flow.into_training}
    every = [k for k, share in shares.items() if share.value == 1]
    none = [k for k, share in shares.items() if share.value == 0]
    parts = [f"every sample flows into a training image at {in_sizes(every)}"] if every else []
    parts += [
        f"{percent_interval(share)} of the samples do at K = {size(k)}"
        if every
        else f"{percent_interval(share)} of the samples flow into a training image at K = {size(k)}"
        for k, share in shares.items()
        if 0 < share.value < 1
    ][:3]
    if none:
        begin = "none does" if parts else "no sample flows into a training image"
        parts.append(f"{begin} at {in_sizes(none)}")
    return ", ".join(parts)


def _basins(flows: Flows) -> str:
    """Where states appear that are no training image and that samples share, and where they hold most."""
    there = [k for k, flow in flows.items() if flow.basins]
    if not there:
        return "no basin was found that is not a training image’s"
    most = [k for k, flow in flows.items() if 2 * flow.total.shared_state > flow.total.followed]
    begin = f"basins that are no training image’s appear at K = {size(there[0])}"
    return f"{begin} and hold most samples from K = {size(most[0])} on" if most else begin


def _classes(flows: Flows) -> str:
    """Where samples that are no copies flow into training images all the same."""
    for k, flow in flows.items():
        told = [
            f"{percent(row.training_image / row.followed)} of the {name} samples"
            for name, row in flow.classes.items()
            if name in ("spurious", "generalized") and row.followed >= FEW and _mostly(row)
        ]
        if told:
            return (
                " To have duplicates and to have a basin of one’s own are not the same: at "
                f"K = {size(k)}, {' and '.join(told)} flow into a training image."
            )
    return ""


def _mostly(row: FlowRow) -> bool:
    return 2 * row.training_image >= row.followed


def recall(study: StudyResult) -> Iterator[Claim]:
    """Up to which training size a model leaves its training images where they are."""
    capacity = study.recall_capacity
    shares = {k: flow.recall for k, flow in study.flows.items() if flow.recall is not None}
    if capacity is None or not shares:
        return
    how = setting(next(iter(study.flows.values())))
    ends = dict.fromkeys((min(shares), max(shares)))
    told = " and ".join(f"{percent_interval(shares[k])} at K = {size(k)}" for k in ends)
    if capacity.value is None:
        sentence = (
            f"The share of training images that are left where they are ({how}; within half of δm) is "
            f"{told}; the recall capacity lies outside of the sizes studied."
        )
        yield Claim(kind="recall", severity="answer", sentence=sentence)
        return
    low, high = capacity.bracket
    between = (
        f", between the sizes {size(low)} and {size(high)}" if low is not None and high is not None else ""
    )
    sentence = (
        f"Up to about K = {size(capacity.value)}{between}, at least {percent(_level(study))} of the training "
        f"images are left where they are (recall: {how}; within half of δm)."
    )
    yield Claim(kind="recall", severity="answer", sentence=sentence, numbers={"capacity": capacity.value})


def _level(study: StudyResult) -> float:
    epsilon = study.capacities.epsilon if study.capacities else study.config.get("epsilon", 0.1)
    return 1 - float(epsilon)


def flow_limits(study: StudyResult) -> Iterator[Claim]:
    """That where a sample flows depends on time, and makes it no generalized sample."""
    if not study.flows:
        return
    flow = next(iter(study.flows.values()))
    yield Claim(
        kind="flow_time",
        severity="limit",
        title="That a sample is generalized because it flows into no training image",
        sentence=f"Where a sample flows is known for {setting(flow)}. At another noise there are other "
        "states, and states that are apart after so many steps may meet after more; so no class is made of "
        "it.",
    )
    failed = [k for k, one in study.flows.items() if one.total.failed or one.images_failed]
    if failed:
        yield Claim(
            kind="flow_failed",
            severity="note",
            title="Noted",
            sentence=f"At {in_sizes(failed)} some answers of the iterated model are not finite; those "
            "samples and images are left out of the shares.",
        )
