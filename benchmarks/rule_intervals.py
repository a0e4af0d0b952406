"""What `rule.py` measures of intervals: coverage of planted shares, and the time of those of a study."""

import time

import numpy as np
from rule_calls import ALPHA, ATOMS, COMMON, TRAIN, Planted
from rule_laws import LAWS

from spurion.audits.ground import all_shares, ground_for
from spurion.audits.measurement import measure
from spurion.neighbors import as_distance, nearest
from spurion.phases.anchor import anchor_of
from spurion.phases.transitions import capacities

RULE = f"null:{ALPHA:g}"

JITTER = 0.2


def interval_holds(law, shares, held_out, samples, random):
    """One audit of planted samples: whether its intervals hold what was planted.

    Returns whether the interval of the memorized share holds that of copies, and that of copies with a share
    alpha of the honest samples, which the rule may call; and whether that of the spurious share holds that of
    samples whose atom is met again, and the same with honest ones.
    """
    parts = (TRAIN, held_out, samples + ATOMS)
    train, real, new = LAWS[law](sum(parts), random).split(parts)
    planted = Planted(train, new, JITTER, "Zipf", samples, random, shares)
    l2 = as_distance("l2")
    anchor = anchor_of(nearest(real, train).distances[:, 0], real, l2, seed=0)
    found = measure(train, planted.samples)
    ground = ground_for(RULE, found, anchor=anchor, distance=l2)
    fractions = all_shares(found, ground, seed=0).main.fractions
    copied, repeated = shares[0], planted.expected_repeated(min(COMMON, samples))
    false = ALPHA * (1 - sum(shares))
    return (
        _holds(fractions.memorized, copied),
        _holds(fractions.memorized, copied + false),
        _holds(fractions.spurious, repeated),
        _holds(fractions.spurious, repeated + false),
    )


def _holds(interval, value):
    return interval.low <= value <= interval.high


def study_seconds(points, samples, random):
    """Processor time of all intervals of a study, of shares and capacities, once its distances are known."""
    sizes = [2 ** (k + 1) for k in range(points)]
    parts = (1438, 359, samples + ATOMS)
    train, real, new = LAWS["Gauss, 16-d"](sum(parts), random).split(parts)
    l2 = as_distance("l2")
    planted = Planted(train, new, JITTER, "Zipf", samples, random)
    found = measure(train, planted.samples)
    begun = time.process_time()
    anchor = anchor_of(nearest(real, train).distances[:, 0], real, l2, seed=0)
    ground = ground_for(RULE, *[found] * points, anchor=anchor, distance=l2, images=len(train))
    every = [all_shares(found, ground, seed=k) for k in sizes]
    for name in every[0].arrays():
        drawn = np.stack([shares.arrays()[name] for shares in every], axis=1)
        counts = [[1 - k / points, k / points * 0.4, k / points * 0.6] for k in range(points)]
        capacities(sizes, counts, seed=0, drawn=drawn)
    return time.process_time() - begun
