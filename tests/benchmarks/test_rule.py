"""What is measured of the `null` rule: the laws, what is planted, a quick run, and the table of seeds."""

import importlib
import json
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_a_law_draws_different_images_that_hang_on_the_seed_alone(script):
    for name, draw in script("rule_laws").LAWS.items():
        one, again, other = (draw(7, seeded(seed)) for seed in (1, 1, 2))
        assert len(one) == 7, name
        assert torch.equal(one, again), name
        assert not torch.equal(one, other), name
        assert len(one.flatten(1).unique(dim=0)) == 7, name


def test_clusters_have_the_sizes_and_scales_they_are_named_for(script):
    points = script("rule_laws").LAWS["clusters, both 1:7"](20_000, seeded(0))
    small = points.mean(dim=1) < 10
    assert float(small.double().mean()) == pytest.approx(1 / 8, abs=0.01)  # four standard errors
    assert float(points[small].std() / points[~small].std()) == pytest.approx(1 / 7, rel=0.05)


@pytest.fixture
def planted(script):
    calls = script("rule_calls")
    train, new = torch.randn(2, 300, 50, generator=seeded(0))
    return calls.Planted(train, new, 0.4, "Zipf", 200, seeded(1)), train, calls


def test_planted_samples_lie_where_they_are_said_to(planted):
    found, train, _ = planted
    to_train = torch.cdist(found.samples.double(), train.double()).amin(dim=1)
    assert to_train[found.copied].numpy() == pytest.approx(0.4 * found.spacing, rel=1e-5)
    assert float(to_train[~found.copied].min()) > 0.7 * found.spacing
    apart = torch.cdist(found.samples.double(), found.samples.double())
    same = (found.kind[:, None] == found.kind[None]) & ~found.copied[:, None] & ~torch.eye(200).bool()
    # two moves in random directions of 50 dimensions: a right angle but for 1 / sqrt(50)
    assert float(apart[same].mean()) == pytest.approx(0.4 * found.spacing, rel=0.05)


def test_true_shares_are_counted(planted):
    found, _, calls = planted
    copied, again = found.true_shares(200, 200)
    assert copied == float(found.copied.double().mean())
    kinds = found.kind[~found.copied].tolist()
    assert again == pytest.approx(sum(kinds.count(kind) > 1 for kind in kinds) / 200)
    # among 50 samples: the mean over random subsets, to four standard errors
    share = found.true_shares(200, 50)[1]
    seen = []
    for seed in range(400):
        subset = torch.randperm(200, generator=seeded(seed))[:50]
        left = found.kind[subset][~found.copied[subset]].tolist()
        seen.append(sum(left.count(kind) > 1 for kind in left) / 50)
    seen = torch.tensor(seen)
    assert abs(share - float(seen.mean())) < 4 * float(seen.std()) / 20
    assert found.expected_repeated(10**6) == pytest.approx(calls.REPEATED, rel=1e-6)


@pytest.mark.slow
def test_a_quick_run_meets_every_bar(script, tmp_path, capsys):
    rule = script("rule")
    rule.main(["--quick", "--out", str(tmp_path / "rule.json")])
    assert "MISSED" not in capsys.readouterr().out
    sections = json.loads((tmp_path / "rule.json").read_text())["sections"]
    assert tuple(sections) == tuple(rule.SECTIONS)
    assert all(section["rows"] and not section["missed"] for section in sections.values())
    assert {row["samples"] for row in sections["planted"]["rows"]} == {500, 1000, 2000}
    rule.main(["--quick", "--only", "seconds", "--out", str(tmp_path / "rule.json")])
    again = json.loads((tmp_path / "rule.json").read_text())["sections"]
    assert again["calls"] == sections["calls"]
    assert again["seconds"] != sections["seconds"]


def test_a_bar_is_open_within_two_standard_errors(script):
    def bar(memorized, error):
        row = {"memorized": memorized, "memorized_error_of_mean": error}
        return script("rule").within_bar(row | {"spurious": 0.01, "spurious_error_of_mean": None}, 0.015)

    assert [bar(0.015, 0.1), bar(0.0169, 0.001), bar(0.0171, 0.001)] == [True, None, False]
    assert bar(0.016, None) is False


def capacity(value, low, high, bracket=(64, 128)):
    return {"value": value, "low": low, "high": high, "bracket": bracket}


def test_an_interval_holds_values_between_its_ends_and_beyond_open_ones(script):
    holds, closed = script("seeds").holds, capacity(90, 80, 100)
    assert holds(closed, capacity(100, 95, 105))
    assert not holds(closed, capacity(101, 95, 105))
    assert not holds(closed, capacity(79.9, None, None))
    above, below = capacity(None, 1000, None, (1000, None)), capacity(None, None, 2, (None, 2))
    assert holds(capacity(900, 800, None), above)
    assert not holds(capacity(900, 800, None), below)
    assert holds(capacity(3, None, 5), below)
    assert not holds(closed, above)
    assert holds(above, capacity(1200, 1, 2))


def test_the_summary_of_seeds(script):
    seeds = script("seeds")
    studies = [
        {
            "capacities": {
                "MC": capacity(90, 80, 100),
                "SC": capacity(200, 190, 210),
                "GC": capacity(500, 1, 999),
            }
        },
        {
            "capacities": {
                "MC": capacity(99, 95, 105),
                "SC": capacity(300, 290, 310),
                "GC": capacity(500, 1, 999),
            }
        },
    ]
    found = seeds.summary(studies)
    assert (found["MC"]["pairs"], found["MC"]["pairs_held"]) == (2, 1)  # 90 lies below 95
    assert found["MC"]["mean"] == 94.5
    assert found["MC"]["variation"] == pytest.approx(9 / 2**0.5 / 94.5)
    assert found["GC"]["variation"] == 0
    assert seeds.verdicts(found) == {"MC": "missed: pairs", "SC": "missed: variation and pairs", "GC": "met"}
    assert seeds.summary([])["MC"]["mean"] is None
    assert seeds.verdicts(seeds.summary(studies[:1])) == dict.fromkeys(seeds.ASKED, "not decided")


def test_how_much_wider_shares_spread_than_their_intervals(script):
    def study(value):
        share = {"value": value, "low": value - 0.0196, "high": value + 0.0196}
        rare = {"value": 0.01, "low": 0.0, "high": 0.02}
        return {"shares": {64: {"memorized": share, "spurious": rare, "generalized": rare}}}

    found = script("seeds").narrow([study(0.5), study(0.52), study(0.54)])
    assert found == {"memorized, K = 64": pytest.approx(2.0)}  # .02 over seeds, .01 by the interval
    assert script("seeds").narrow([study(0.5)]) == {}
