"""What a study says of where samples flow, each sentence in every form that it can take."""

import pytest

from spurion.audits.claims import of_kind
from spurion.geometry.groups.flow import FlowRow, SampleFlow
from spurion.phases.passage import Capacity
from spurion.statistics.intervals import proportion
from spurion.studies.checks.flow import flow_limits, recall, where_samples_flow
from spurion.studies.results import StudyResult


def studied(flows, capacity=None):
    """As much of a study as the checks look at."""

    class Studied(StudyResult):
        @property
        def flows(self):
            return flows

    config = {"epsilon": 0.1}
    return Studied.model_construct(recall_capacity=capacity, capacities=None, config=config)


def found(into, shared=0, own=0, *, basins=0, recalled=90, name="generalized", failed=0):
    row = FlowRow(training_image=into, shared_state=shared, own_state=own, failed=failed)
    return SampleFlow(
        noise=0.0987, time=31, steps=300, tolerance=0.5, images=100, recalled=recalled, classes={name: row},
        recall=proportion(recalled, 100), basins=basins, chains=0,
        into_training=proportion(into, row.followed) if row.followed else None,
    )  # fmt: skip


def said(check, *arguments):
    return [claim.sentence for claim in check(studied(*arguments))]


def test_the_passage_from_images_to_basins():
    flows = {
        64: found(40),
        128: found(40),
        256: found(30, 10, basins=2),
        362: found(10, 25, 5, basins=6),
        512: found(0, 35, 5, basins=6),
    }
    (sentence,) = said(where_samples_flow, flows)
    assert sentence.startswith(
        "Denoised again and again (noise 0.099, 300 steps), every sample flows into a training image at "
        "K = 64 and 128, "
    )
    assert "of the samples do at K = 256" in sentence
    assert "none does at K = 512; " in sentence
    assert (
        "basins that are no training image’s appear at K = 256 and hold most samples from K = 362 on."
        in sentence
    )
    assert sentence.endswith("at K = 64, 100% of the generalized samples flow into a training image.")


def test_one_kind_of_end_alone():
    (sentence,) = said(where_samples_flow, {8: found(20, name="memorized")})
    assert sentence.endswith(
        "every sample flows into a training image at K = 8; no basin was found that is not a training "
        "image’s."
    )
    (sentence,) = said(where_samples_flow, {8: found(0, 4, 16, basins=1)})
    assert "no sample flows into a training image at K = 8; basins" in sentence
    assert sentence.endswith("appear at K = 8.")
    (sentence,) = said(where_samples_flow, {8: found(5, 0, 15)})
    assert "of the samples flow into a training image at K = 8; " in sentence


def test_small_classes_are_not_spoken_of():
    (sentence,) = said(where_samples_flow, {8: found(11)})
    assert "duplicates" not in sentence
    (sentence,) = said(where_samples_flow, {8: found(12)})
    assert "100% of the generalized samples" in sentence


def test_recall_capacity_in_words():
    inside = Capacity(value=152.2, low=140.0, high=160.0, bracket=(128, 181))
    flows = {128: found(40, recalled=97), 181: found(40, recalled=70)}
    (sentence,) = said(recall, flows, inside)
    assert sentence == (
        "Up to about K = 152, between the sizes 128 and 181, at least 90% of the training images are left "
        "where they are (recall: noise 0.099, 300 steps; within half of δm)."
    )
    beyond = Capacity(value=None, low=None, high=None, bracket=(181, None))
    (sentence,) = said(recall, flows, beyond)
    assert "at K = 128 and " in sentence
    assert sentence.endswith("the recall capacity lies outside of the sizes studied.")
    (sentence,) = said(recall, {8: found(1)}, beyond)
    assert sentence.count("K = 8") == 1


def test_the_time_is_stated_and_failures_are_counted():
    claims = list(flow_limits(studied({8: found(5), 16: found(5, failed=2)})))
    (time,) = of_kind(claims, "flow_time")
    assert (time.severity, "300 steps" in time.sentence) == ("limit", True)
    (failed,) = of_kind(claims, "flow_failed")
    assert "At K = 16 some answers" in failed.sentence


@pytest.mark.parametrize("check", [where_samples_flow, recall, flow_limits])
def test_nothing_is_said_of_nothing(check):
    assert said(check, {}) == []


def test_failed_everywhere_has_no_answer():
    assert said(where_samples_flow, {8: found(0, failed=3)}) == []
