"""What a study says of its ruler: capacities at several shares of false calls, and the end of the leak."""

import pytest

from spurion.phases.passage import Capacity
from spurion.phases.transitions import Capacities
from spurion.studies.checks.rule import by_alpha, leak
from spurion.studies.results import CapacitiesAt, LeakCapacities, StudyResult


def at(value, bracket=(10, 1000)):
    return Capacity(value=value, low=None, high=None, bracket=bracket)


def capacities(memorization, spurious, generalization):
    return Capacities(
        epsilon=0.1, memorization=memorization, spurious=spurious, generalization=generalization
    )


def test_capacities_are_told_at_every_alpha_open_ends_too():
    study = StudyResult.model_construct(
        capacities_by_alpha=(
            CapacitiesAt(alpha=0.05, capacities=capacities(at(115.2), at(380.0), at(None, (1438, None)))),
            CapacitiesAt(alpha=0.001, capacities=capacities(at(None, (None, 2)), at(227.0), at(459.7))),
        )
    )
    (claim,) = by_alpha(study)
    assert claim.sentence == (
        "If 5% and 0.1% of honest samples may be called copies, the memorization capacity is K = 115 and "
        "below "
        "2, the spurious capacity is K = 380 and 227, and the generalization capacity is K = above 1,438 and "
        "460, in this order."
    )
    assert claim.numbers == {
        "memorization at 0.05": pytest.approx(115.2),
        "spurious at 0.05": 380.0,
        "spurious at 0.001": 227.0,
        "generalization at 0.001": 459.7,
    }


def test_a_capacity_that_is_nowhere_is_not_found():
    none = at(None, (None, None))
    study = StudyResult.model_construct(
        capacities_by_alpha=(
            CapacitiesAt(alpha=0.05, capacities=capacities(at(81.0), none, at(184.0))),
            CapacitiesAt(alpha=0.01, capacities=capacities(none, none, at(115.0))),
        )
    )
    (claim,) = by_alpha(study)
    assert claim.sentence == (
        "If 5% and 1% of honest samples may be called copies, the memorization capacity is K = 81 and not "
        "found, the spurious capacity is not found, and the generalization capacity is K = 184 and 115, in "
        "this order."
    )


def test_one_alpha_is_no_comparison():
    one = (CapacitiesAt(alpha=0.01, capacities=capacities(at(1.0), at(2.0), at(3.0))),)
    assert not list(by_alpha(StudyResult.model_construct(capacities_by_alpha=one)))


def test_the_end_of_the_leak():
    found = LeakCapacities(most=at(269.3), half=at(None, (None, 8)), none=at(None, (1438, None)))
    (claim,) = leak(StudyResult.model_construct(leak_capacities=found))
    assert claim.sentence.endswith(
        "falls to 90% at K = 269, to half before K = 8, and to nothing only beyond K = 1,438."
    )
    assert claim.numbers == {"most": 269.3}
    assert not list(leak(StudyResult.model_construct(leak_capacities=None)))
