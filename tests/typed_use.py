"""What a type checker sees of the package; `make check` runs mypy on it, and nothing runs it."""

from typing import TYPE_CHECKING, assert_type

import spurion

if TYPE_CHECKING:
    from spurion.audits import AuditResult
    from spurion.core.config import StoredResult
    from spurion.data import ImageSet
    from spurion.memory import DenseAM
    from spurion.neighbors import Neighbors
    from spurion.studies import StudyResult

    def use(images: ImageSet, memory: DenseAM) -> None:
        assert_type(spurion.audit(images, "samples.npz"), AuditResult)
        assert_type(spurion.study("digits", out="run"), StudyResult | StoredResult)
        assert_type(spurion.PhaseMetric(seed=1).compute(), dict[str, float])
        assert_type(spurion.data.open_images("digits"), ImageSet)
        assert_type(spurion.neighbors.nearest("a.npy", "b.npy", k=2), Neighbors)
        assert_type(spurion.memory.DenseAM(memory.patterns, 1.0), DenseAM)
        _ = spurion.studdy  # type: ignore[attr-defined]
        spurion.audit(images, "samples.npz", hold_out="x")  # type: ignore[call-arg]
        spurion.study("digits", out=3)  # type: ignore[arg-type]
