"""What cannot be concluded from a study, and why; the particular before the general."""

__all__ = ["capacity_notes", "failures", "limits", "of_points", "sample_sizes"]

from collections import Counter
from collections.abc import Iterator

from spurion.audits.claims import Claim
from spurion.audits.results import AuditResult
from spurion.statistics.numbers import at_most, listed, size, value
from spurion.studies.checks.points import classified, in_sizes, share
from spurion.studies.results import StudyResult

GENERAL = (
    "promise",
    "power",
    "detectable_excess",
    "sample_size",
    "sampler",
    "one_model",
    "unseen_transforms",
)
"""What every audit says and a study says in words of its own, or does not need: it asks for no gate."""


def _limit(kind: str, title: str, sentence: str) -> Claim:
    return Claim(kind=kind, severity="limit", title=title, sentence=sentence)


def failures(study: StudyResult) -> Iterator[Claim]:
    """The training sizes that failed, each with its reason."""
    for point in sorted(study.points, key=lambda point: point.train_size):
        if point.audit is None:
            reason = point.message.rstrip(".") or "no reason given"
            yield Claim(
                kind="failed",
                severity="warning",
                title="Anything about a training size that failed",
                sentence=f"K = {size(point.train_size)} failed: {reason}.",
                numbers={"train_size": point.train_size},
            )


def of_points(study: StudyResult) -> Iterator[Claim]:
    """What the audits of the points say against themselves, once for all points that say the same.

    Signs of copying stay with each audit: that many samples are copies is what a study sets out to see.
    """
    found: dict[str, dict[int, Claim]] = {}
    for k, audit in study.audits.items():
        times: Counter[str] = Counter()
        for claim in _against(audit):
            times[claim.kind] += 1
            same = claim.sentence if claim.kind == "note" else f"{claim.kind} {times[claim.kind]}"
            found.setdefault(same, {})[k] = claim
    for claims in found.values():
        sizes, last = tuple(claims), claims[max(claims)]
        alike = len({claim.sentence for claim in claims.values()}) == 1
        where = "" if len(sizes) == len(study.audits) else f"At {in_sizes(sizes)}: "
        if not alike:
            where = f"At {in_sizes(sizes)}; here K = {size(max(sizes))}: "
        yield last.model_copy(
            update={
                "sentence": f"{where}{last.sentence}",
                "title": last.title or f"The shares at {in_sizes(sizes)}, as they are",
                "numbers": {"train_sizes": sizes},
            }
        )


def _against(audit: AuditResult) -> Iterator[Claim]:
    for claim in audit.claims:
        general = claim.kind in GENERAL or claim.kind.startswith("sign_")
        if claim.severity in ("doubt", "warning", "limit") and not general:
            yield claim
    parts = (audit.thresholds, audit.holdout_thresholds, audit.null, audit.geometry)
    for note in dict.fromkeys((*audit.notes, *(note for part in parts if part for note in part.notes))):
        yield Claim(kind="note", severity="note", title="Noted", sentence=_sentence(note))


def capacity_notes(study: StudyResult) -> Iterator[Claim]:
    """What the grid does not show of the capacities."""
    for name in ("memorization", "spurious", "generalization") if study.capacities else ():
        capacity = getattr(study.capacities, name)
        if capacity.note:
            title = f"The {name} capacity beyond what the grid shows"
            yield _limit("capacity", title, _sentence(capacity.note))


def sample_sizes(study: StudyResult) -> Iterator[Claim]:
    """Sample sizes that differ over the training sizes."""
    sizes = sorted({point.sample_size for point in study.points})
    if len(sizes) > 1:
        yield _limit(
            "sample_sizes",
            "The spurious shares, compared as they are",
            f"Sample sizes differ over K, from {sizes[0]} to {sizes[-1]}. The spurious share grows with the "
            "number of samples, so compare it at the common size.",
        )


def limits(study: StudyResult) -> Iterator[Claim]:
    """What no study of this kind can show."""
    audits = study.audits
    if not audits:
        return
    clean = {k: audit for k, audit in classified(study).items() if not audit.memorized}
    if clean:
        bound = at_most(max(share(audit, "memorized").high for audit in clean.values()))
        yield _limit(
            "none_memorized",
            "That nothing is ever copied",
            f"At {in_sizes(clean)} no memorized sample was seen, but a finite number of samples only bounds "
            f"the share: it is at most {bound} (95% confidence).",
        )
    repeated = {k: sum(map(len, audit.train_duplicates)) for k, audit in audits.items()}
    if any(repeated.values()):
        counts = [f"{size(count)} at K = {size(k)}" for k, count in repeated.items() if count]
        yield _limit(
            "duplicates",
            "Anything from the ratio rule about repeated images",
            f"The training set holds exact duplicates ({listed(counts)}): they make the nearest and the "
            "second nearest training image equal, and repeated images are copied more often.",
        )
    yield _limit(
        "one_model",
        "How much the shares vary from one training run to the next",
        "There is one model for each K. The intervals cover the chance of sampling from that model, not "
        "the chance of training it.",
    )
    rates = [audit.collision_rate for audit in audits.values() if audit.collision_rate is not None]
    ends = dict.fromkeys(value(end, 2) for end in (min(rates), max(rates))) if rates else ()
    tail = f" ({' to '.join(ends)} here)" if rates else ""
    yield _limit(
        "sample_size",
        "That the spurious share is a property of the model",
        "It grows with the number of samples, because every further sample is another chance to meet "
        f"again. The rarefaction curves show by how much; the pair collision rate{tail} does not depend on "
        "it.",
    )
    yield _limit(
        "sampler",
        "That another sampler would give the same shares",
        "Fewer or other sampling steps from the same model change the memorized share considerably.",
    )
    yield _limit(
        "quality",
        "That generalized samples are good images",
        "The three classes ask whether a sample is a repetition, not whether it looks like the data.",
    )


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
