"""What an audit cannot conclude, in sentences made from its numbers."""

__all__ = ["PROMISE", "limits"]

from collections.abc import Iterator

from spurion.audits.claims import Claim
from spurion.audits.results import AuditResult

PROMISE = "This is evidence about the copies these samples show, not proof of their absence."
"""The sentence that every audit carries."""


def limits(audit: AuditResult) -> Iterator[Claim]:
    """What cannot be concluded, the sentence that every audit carries first."""
    for kind, title, sentence in _limits(audit):
        yield Claim(kind=kind, severity="limit", title=title, sentence=sentence)


def _limits(audit: AuditResult) -> Iterator[tuple[str, str, str]]:
    power = audit.power
    yield "promise", "That a model does not copy", PROMISE
    yield (
        "power",
        "That nothing is ever copied",
        f"A model that copies in less than {_percent(power.seen_rate)} of its samples may well show no copy "
        f"among {power.samples:,}.",
    )
    if power.detectable_excess is not None:
        yield (
            "detectable_excess",
            "That few copies would have been noticed",
            "The threshold calls some honest samples memorized, so a copy rate below "
            f"{_percent(power.detectable_excess)} may not stand out from chance.",
        )
    if audit.inputs.holdout is None:
        yield (
            "no_holdout",
            "That generalized samples carry no trace of the training set",
            "Without held-out images nothing but the training images themselves says how near a new image of "
            "this kind comes to the training set by chance.",
        )
    yield (
        "distance",
        f"That no copy is missed in a sense other than the {audit.distance.name} distance",
        _distance(audit),
    )
    yield _drawing(audit)
    yield (
        "sample_size",
        "That the spurious share is a property of the model",
        "The spurious share grows with the number of samples; compare it at equal numbers only.",
    )
    yield (
        "one_model",
        "How much the shares vary from one training run to the next",
        "Intervals cover the chance of drawing these samples, not that of training the model again.",
    )


def _drawing(audit: AuditResult) -> tuple[str, str, str]:
    if audit.sampler:
        return (
            "sampler",
            "That another sampler would give the same shares",
            "Fewer or other sampling steps from the same model change the memorized share considerably.",
        )
    return (
        "unknown_sampler",
        "How the samples were chosen",
        "How the samples were drawn is not known here: prompts, samplers and numbers of steps change the "
        "share of copies, and so does choosing among samples.",
    )


def _distance(audit: AuditResult) -> str:
    if audit.transforms:
        return "A training image changed in two ways, recolored or turned by an angle may count as new."
    if audit.distance.weights is None:
        return "A shifted, cropped or recolored training image is far away by pixels and counts as new."
    return "A copy that the vectors behind the distance do not see as alike counts as new."


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%"
