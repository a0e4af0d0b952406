"""Claims read off planted studies: true, false, and undecided; and a study made ready to be committed."""

import importlib
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from report.synthetic import Recipe, write_run
from spurion.geometry.groups.results import GroupReading, OrderResult
from spurion.phases.passage import Capacity
from spurion.statistics.intervals import Interval

ROOT = Path(__file__).parents[2]
WIDTH = 0.01


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


def near(value, width=WIDTH):
    return Interval(value=value, low=value - width, high=value + width)


def capacity(value, width=0.1):
    return Capacity(value=value, low=value * (1 - width), high=value * (1 + width), bracket=(None, None))


def orders(auc, higher="memorized", width=0.05, sizes=(8, 64)):
    """Comparisons of all pairs at two training sizes; as many points in each class."""
    pairs = [("memorized", "spurious"), ("spurious", "generalized"), ("memorized", "generalized")]
    pairs = pairs if higher == "memorized" else [pair[::-1] for pair in pairs]
    found = tuple(
        OrderResult(auc=near(auc, width), p_value=0.5, higher=a, lower=b, n=(40, 40)) for a, b in pairs
    )
    return dict.fromkeys(sizes, found)


def readings(first, last, width=0.1):
    ends = {2: first, 512: last}
    return {
        size: GroupReading(value=value, low=value - width, high=value + width, n=40, statuses={})
        for size, value in ends.items()
    }


def planted(script, holds, width=WIDTH):
    """A study in which every claim is true, or none is."""
    shares = {2: (0.98, 0.01, 0.01), 64: (0.5, 0.3, 0.2), 512: (0.01, 0.01, 0.98)}
    if not holds:
        shares = {2: (0.3, 0.4, 0.3), 64: (0.5, 0.1, 0.4), 512: (0.7, 0.3, 0.0)}
    names = ("memorized", "spurious", "generalized")
    wide = 0.05 if holds else 0.02
    up = 0.8 if holds else 0.2
    return script("claims_read").Found(
        name="planted",
        seed=0,
        setting={"denoiser.width": 64, "training.iterations": 100, "sample_size": "4x", "distance": "l2"},
        shares={
            size: {name: near(value, width) for name, value in zip(names, values, strict=True)}
            for size, values in shares.items()
        },
        capacities={
            kind: capacity(value)
            for kind, value in zip(("MC", "SC", "GC"), (50, 100, 200)[:: 1 if holds else -1], strict=True)
        },
        orders={
            "critical-noise": orders(up, width=wide),
            "log-volume": orders(up, width=wide),
            "soft-directions": orders(up, "generalized", wide),
            "intrinsic-dimension": orders(up, "generalized", wide),
            "relative-energy": {
                size: (
                    OrderResult(auc=near(1 - up, wide), p_value=0.5, higher="spurious", lower="memorized",
                                n=(40, 40)),
                    OrderResult(auc=near(up, wide), p_value=0.5, higher="generalized", lower="spurious",
                                n=(40, 40)),
                )
                for size in (8, 64)
            },
        },
        training={
            "critical-noise": readings(*((0.8, 0.2) if holds else (0.2, 0.8))),
            "mean-curvature": readings(*((0.8, 0.2) if holds else (0.2, 0.8))),
            "soft-directions": readings(*((2, 40) if holds else (40, 2))),
        },
        duplicated={2: (99, 100) if holds else (50, 100)},
    )  # fmt: skip


def verdicts(script, studies):
    """The verdicts of all claims, those of varied fields last."""
    return [row["verdict"] for row in script("claims").judged(studies)]


@pytest.mark.parametrize(("holds", "expected"), [(True, "shown"), (False, "not shown")])
def test_what_is_planted_is_found(script, holds, expected):
    rules = script("claims_rules")
    found = verdicts(script, [planted(script, holds)])
    assert found[: len(rules.CLAIMS)] == [expected] * len(rules.CLAIMS)
    assert found[len(rules.CLAIMS) :] == ["not measured"] * len(rules.VARIED)


def test_what_is_not_known_cannot_be_told(script):
    one = planted(script, True)
    wide = replace(
        one,
        shares={
            size: {k: near(v.value, 0.5) for k, v in kinds.items()} for size, kinds in one.shares.items()
        },
        capacities={kind: capacity(found.value, 0.6) for kind, found in one.capacities.items()},
        orders={name: orders(0.55, width=0.3) for name in one.orders},
        training={name: readings(0.5, 0.5) for name in one.training},
        duplicated={2: (9, 10)},
    )
    assert {*verdicts(script, [wide])} == {"cannot tell", "not measured"}
    beyond = replace(
        one,
        capacities={**one.capacities, "GC": Capacity(value=None, low=400, high=None, bracket=(512, None))},
    )
    assert verdicts(script, [beyond])[5] == "cannot tell"
    bare = replace(one, shares={}, capacities={}, orders={}, training={}, duplicated={})
    assert {*verdicts(script, [bare])} == {"not measured"}


def test_seeds_give_the_interval_of_student(script):
    # Of 1, 2 and 3: mean 2, standard error 1 / sqrt(3), times t = 4.3027 with two degrees of freedom.
    rules = script("claims_rules")
    found = rules.over_seeds([rules.Effect(value, value - 9, value + 9) for value in (1.0, 2.0, 3.0)])
    half = 4.30265273 / math.sqrt(3)
    assert found.value == pytest.approx(2)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), rel=1e-6)
    assert rules.over_seeds([rules.Effect(1.0), rules.Effect(None)]).value is None
    seeds = [replace(planted(script, True), seed=seed) for seed in range(3)]
    rows = script("claims").judged(seeds)
    assert rows[5]["seeds"] == 3
    assert rows[5]["value"] == pytest.approx(2)  # SC / MC = GC / SC = 2 in each
    assert script("claims").judged([*seeds, seeds[0]])[5]["seeds"] == 3


def test_the_rule_at_its_edges(script):
    rules = script("claims_rules")
    told = [rules.verdict(rules.Effect(0.5, *ends), 0.5) for ends in ((0.51, 0.6), (0.4, 0.49), (0.5, 0.6))]
    assert told == ["shown", "not shown", "cannot tell"]
    assert rules.verdict(None, 0.5) == "not measured"
    assert rules.verdict(rules.Effect(None), 0.5) == "cannot tell"


def test_auc_is_pooled_over_training_sizes(script):
    # Equal weights of 0.9 and 0.7: mean 0.8; Student's over two sizes, t = 12.706, standard error 0.1.
    rules = script("claims_rules")
    one = planted(script, True)
    both = {8: orders(0.9)[8], 64: orders(0.7)[64]}
    found = rules.above("critical-noise", "memorized", "spurious")(
        replace(one, orders={"critical-noise": both})
    )
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.0, 1.0))
    even = {size: orders(0.8)[size] for size in (8, 64)}
    found = rules.above("critical-noise", "spurious", "memorized")(
        replace(one, orders={"critical-noise": even})
    )
    assert found.value == pytest.approx(0.2)
    assert found.high - found.value == pytest.approx(0.05 / math.sqrt(2))  # of points drawn anew


@pytest.mark.parametrize(("factor", "expected"), [(2, "shown"), (0.5, "not shown"), (1.1, "cannot tell")])
def test_one_field_varied(script, factor, expected):
    one = planted(script, True)
    more = {"denoiser.width": 128, "training.iterations": 200, "sample_size": "8x"}
    studies = [one]
    for field, value in more.items():
        found = {kind: capacity(factor * was.value) for kind, was in one.capacities.items()}
        step = {2: 0.1, 0.5: -0.1, 1.1: 0.01}[factor]
        shares = {
            size: {**kinds, "spurious": near(kinds["spurious"].value + step if size == 64 else 0.01)}
            for size, kinds in one.shares.items()
        }
        studies.append(
            replace(one, setting={**one.setting, field: value}, capacities=found, shares=shares)
        )  # fmt: skip
    assert verdicts(script, studies)[-4:] == [expected] * 4
    other = replace(studies[1], setting={**studies[1].setting, "distance": "cosine"})
    assert verdicts(script, [one, other])[-4:] == ["not measured"] * 4  # two fields differ
    elsewhere = [replace(found, seed=1) for found in studies[1:]]
    assert verdicts(script, [one, *elsewhere])[-4:] == ["not measured"] * 4  # no seed has both


def test_a_capacity_below_the_grid_is_at_most_the_smallest_size(script):
    one = planted(script, True)
    below = Capacity(value=None, low=None, high=2.0, bracket=(None, 2))
    small = replace(one, capacities={**one.capacities, "MC": below})
    found = script("claims_rules").moved("MC")(one, small)
    large = one.capacities["MC"]
    assert (found.value, found.low) == pytest.approx((math.log(large.value / 2), math.log(large.low / 2)))
    assert found.high == math.inf
    beyond = Capacity(value=None, low=50.0, high=None, bracket=(64, None))
    found = script("claims_rules").moved("MC")(one, replace(one, capacities={**one.capacities, "MC": beyond}))
    assert found.value is None


def test_the_steps_of_a_cell_are_those_at_which_it_stopped(script):
    reading = script("claims_read")
    assert reading.steps_of({"iterations": 400, "stop_after": 100}) == 100
    assert reading.steps_of({"iterations": 400, "stop_after": None}) == 400
    assert reading.steps_of({"iterations": 400}) == 400


def test_a_run_folder_and_a_summary_of_seeds_are_read(script, tmp_path):
    write_run(tmp_path / "run", Recipe(geometry=True, gallery=4))
    (found,) = script("claims_read").read(tmp_path / "run")
    assert found.name == "digits"
    assert found.shares[64]["memorized"].value == pytest.approx(0.79, abs=0.03)
    assert {"critical-noise", "soft-directions"} <= {*found.orders}
    assert found.training["critical-noise"]
    seeds = script("claims_read").read(ROOT / "results" / "digits-seeds.json")
    assert [one.seed for one in seeds] == [0, 1, 2, 3, 4, 8, 9, 10]
    assert seeds[0].name == "digits"
    assert seeds[0].capacities["GC"].value == pytest.approx(508, abs=1)
    rows = script("claims").judged([replace(found, seed=0), *seeds])
    assert rows[5]["seeds"] == 8  # seed 0 counts once
    with pytest.raises(ValueError, match=r"There is no file .*study\.json; give folders of finished"):
        script("claims_read").read(tmp_path)


def test_the_page_is_that_of_the_committed_results(script, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(ROOT)
    committed = Path("docs/claims.md").read_text(encoding="utf-8")
    runs = next(line for line in committed.splitlines() if line.startswith("python benchmarks/claims.py"))
    runs = runs.split()[2:-2]
    monkeypatch.setattr("sys.argv", ["claims.py", *runs, "--page", str(tmp_path / "page.md")])
    script("claims").main()
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == committed
    assert script("claims_rules").RULE in committed


def test_a_study_is_published_without_images_where_no_license_is_known(script, tmp_path, words_only):
    publish = script("publish")
    folder = tmp_path / "run"
    run = write_run(folder, Recipe(gallery=4))
    with pytest.raises(ValueError, match="has no figures; make them with `spurion report"):
        publish.publish(folder, tmp_path / "out")
    (folder / "figures").mkdir()
    for name in ("transition", "basins", "examples", "census"):
        (folder / "figures" / f"{name}.png").write_bytes(name.encode())
    publish.publish(folder, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md", "study.json", "transition.png", "basins.png", "examples.png"
    }  # fmt: skip
    page = (tmp_path / "out" / "README.md").read_text()
    assert "spurion study digits" in page
    assert page.count("| 64 | 2,000 |") == 1
    stored = json.loads((tmp_path / "out" / "study.json").read_text())
    assert stored["points"] == json.loads((folder / "study.json").read_text())["points"]
    assert "/" not in stored["environment"]["platform"]
    run["train"]["rights"] = {"credit": "somebody"}
    (folder / "study.json").write_text(json.dumps(run))
    publish.publish(folder, tmp_path / "other")
    assert "examples.png" not in os.listdir(tmp_path / "other")
    assert "examples.png" not in (tmp_path / "other" / "README.md").read_text()
    run["train"]["rights"]["license"] = "CC BY 4.0"
    (folder / "study.json").write_text(json.dumps(run))
    publish.publish(folder, tmp_path / "other")
    assert "examples.png" in os.listdir(tmp_path / "other")


def test_the_command_of_a_configuration(script):
    publish = script("publish")
    from spurion.studies.recipes import named_config

    def command(*overrides):
        return publish.command(named_config("digits", overrides).model_dump(mode="json"))

    assert command() == "spurion study digits"
    assert command("seed=3", "train_sizes=[2, all]") == (
        "spurion study digits --set seed=3 --set 'train_sizes=[2, \"all\"]'"
    )
    assert command("geometry=null") == "spurion study digits --set geometry=null"
    assert publish.command({"name": "mine"}) == "spurion study mine.yaml"
