"""What a study answers, what it says against itself, and the top of its page."""

import pytest

from report.synthetic import CAPACITIES, change, interval
from spurion.phases.rule_words import rule_in_words
from spurion.report.figures.fractions import draw_rules, draw_transition
from spurion.report.html import render
from spurion.report.overview import overview
from spurion.report.sections.sizes import points
from spurion.report.words import sample_sizes, thresholds_in_words
from spurion.statistics.numbers import at_most, percent, size, value

MISSING = {"value": None, "low": None, "high": None, "bracket": [None, 2], "note": "Below the grid."}
NO_CAPACITIES = {"capacities": {name: MISSING for name in CAPACITIES if name != "epsilon"} | {"epsilon": 0.1}}


def spurious(run, shares):
    """Plant spurious shares by training size."""
    for train_size, share in shares.items():
        point = run.study.audits[train_size]
        planted = type(point.fractions.spurious).model_validate(interval(share, 300))
        change(run, train_size, fractions=point.fractions.model_copy(update={"spurious": planted}))


def answer(run):
    return run.study.said("answer")


def claims(run):
    found = [claim for claim in run.claims if claim.severity not in ("answer", "doubt")]
    return {claim.title: claim.sentence for claim in found}


def test_answer_names_both_ends_the_peak_and_the_first_caution(run):
    memorization, peak, generalization, excess, *more, caution = answer(run)
    (widths,) = [sentence for sentence in more if sentence.startswith("Noised")]
    assert memorization == (
        "Up to about K = 33 training images, the model copies: at least 90% of its samples are memorized."
    )
    assert peak == (
        "In between, spurious samples peak at K = 128, where 30% (95% interval 26% to 34%) of the samples "
        "are nobody’s training image and yet come again."
    )
    assert generalization.startswith("From about K = 241 on, at least 90% are, one by one, no closer to")
    assert generalization.endswith("but up to K = 1,437 they are still leaking.")
    assert excess.endswith(
        "falls to 90% at K = 300, to half at K = 600, and to nothing only beyond K = 1,437."
    )
    assert widths.startswith("Noised and denoised again, memorized samples survive more than spurious ones ")
    assert caution.startswith(
        "Generalized does not mean free of traces: at K = 256, where 98% of the samples are called "
        "generalized, 95% (95% interval 94% to 96%) of all samples lie closer to the training set"
    )


def test_answer_without_capacities_gives_the_ends(make_run):
    memorization, _, generalization, _ = answer(
        make_run(sizes=(2, 128, 1437), samples=300, changes=NO_CAPACITIES)
    )
    assert memorization == (
        "The study does not find where memorization ends (below the grid): the memorized share is 100% (95% "
        "interval 99.0% to 100%) at K = 2 and 0% (95% interval 0% to 1.0%) at K = 1,437."
    )
    assert generalization.startswith(
        "The study does not find where generalization starts (below the grid): at the largest K, 1,437, the "
        "generalized share is 100% "
    )


def test_answer_at_a_single_size(make_run):
    sentences = answer(make_run(sizes=(128,), samples=300, changes={"capacities": None}))
    assert sentences[0].startswith("The memorized share is 47% (95% interval 41% to 53%) at K = 128.")
    assert sentences[1].startswith("At K = 128, 30% (95% interval")
    assert sentences[1].endswith("come again: they are spurious.")
    assert sentences[2].startswith("At K = 128, the generalized share is 23% ")


@pytest.mark.parametrize(("shares", "edge"), [((0.3, 0.1, 0.0), "smallest"), ((0.0, 0.1, 0.3), "largest")])
def test_peak_at_the_edge_is_said(make_run, shares, edge):
    run = make_run(sizes=(8, 64, 512), samples=300)
    spurious(run, dict(zip((8, 64, 512), shares, strict=True)))
    where = 8 if edge == "smallest" else 512
    assert (
        f"at K = {where}, the {edge} size studied, so the true peak may lie beyond it: 30%" in answer(run)[1]
    )


def test_peak_that_is_not_clear_of_the_ends_is_said(make_run):
    run = make_run(sizes=(8, 64, 512), samples=300)
    spurious(run, {8: 0.28, 64: 0.30, 512: 0.0})
    assert answer(run)[1].endswith("; this does not stand clear of both ends of the grid.")
    spurious(run, {8: 0.0, 512: 0.28})
    assert answer(run)[1].endswith("; this does not stand clear of both ends of the grid.")
    spurious(run, {512: 0.0})
    assert answer(run)[1].endswith("come again.")


def test_no_spurious_sample_is_a_bound_not_a_zero(make_run):
    run = make_run(sizes=(8, 64), samples=300)
    spurious(run, {8: 0.0, 64: 0.0})
    assert answer(run)[1] == "No sample is spurious at any K; a share of up to 1.0% may still go unseen."


def test_answer_without_results_or_thresholds(make_run):
    failed = make_run(sizes=(2, 16), samples=40, failed=(2, 16))
    assert answer(failed) == ["No training size of this study has a result, so the question stays open."]
    blind = make_run(sizes=(2, 16), samples=40, blind=(2, 16))
    assert answer(blind) == [
        "The rule found no threshold, so no sample is classified and the question stays open."
    ]
    assert thresholds_in_words([point.audit for point in blind.done]) == "δm not found, δs not found"


def failed_control(run, **shares):
    checks = run.audits[0].controls
    planted = {name: type(checks.noisy_copies).model_validate(interval(v, 200)) for name, v in shares.items()}
    change(run, run.audits[0].train_size, controls=checks.model_copy(update=planted))


def test_failed_controls_come_last_in_the_answer_and_are_said(make_run):
    run = make_run(sizes=(16, 256), samples=300)
    failed_control(run, noisy_copies=0.9)
    assert answer(run)[-1].startswith("Do not trust all classes: a control failed")
    (doubt,) = [doubt for doubt in run.study.said("doubt") if "leaking" not in doubt]
    assert doubt.startswith("At K = 16: The threshold misses copies: of training images with a whisper")
    run = make_run(sizes=(16, 256), samples=300)
    assert "That memorized means copied" not in claims(run)
    failed_control(run, held_out=0.2)
    assert answer(run)[-1].startswith("Do not trust all classes: a control failed")
    assert claims(run)["That memorized means copied"].startswith("At K = 16: Of held-out images, which")


def test_few_accused_held_out_images_are_no_failure(make_run):
    run = make_run(sizes=(16, 256), samples=300)
    failed_control(run, held_out=0.06)
    assert "Do not trust" not in answer(run)[-1]


def test_caution_without_a_leak_is_the_threshold_then_the_setting(make_run):
    run = make_run(sizes=(16, 256), samples=300, held_out=False, rule="valley")
    assert answer(run)[-1].startswith("The boundary between spurious and generalized is a convention here")
    for point in list(run.done):
        sure = point.audit.thresholds.identifiable.model_copy(update={"spurious": True})
        thresholds = point.audit.thresholds.model_copy(update={"identifiable": sure})
        change(run, point.train_size, thresholds=thresholds)
    assert answer(run)[-1].startswith("These shares hold for this sampler, this distance")
    assert "Where spurious ends, as a fact of the data" not in claims(run)


def test_a_share_at_chance_is_no_leak(make_run):
    run = make_run(sizes=(16, 256), samples=300)
    chance = run.done[1].audit.null.share_closer_to_train.model_copy(update={"value": 0.52, "low": 0.5})
    null = run.done[1].audit.null.model_copy(update={"share_closer_to_train": chance, "share_p_value": 0.3})
    change(run, 256, null=null)
    assert "free of traces" not in answer(run)[-1]


def test_cautions_say_what_happened(run):
    said = claims(run)
    assert said["Anything about a training size that failed"] == (
        'K = 90 failed: boom <script>alert("1")</script>.'
    )
    assert "Where spurious ends, as a fact of the data" not in said
    assert "At K = 256 and 1,437 no memorized sample was seen" in said["That nothing is ever copied"]
    assert "it is at most 0.30% (95% confidence)" in said["That nothing is ever copied"]
    notes = run.study.said("note")
    assert "At K = 2, 128, 256, and 1,437: Few held-out images." in notes
    assert "(0.00035 to 0.25 here)" in said["That the spurious share is a property of the model"]
    assert "Anything from the ratio rule about repeated images" not in said


def said_of_gap(run):
    return claims(run)["Where spurious ends, as a fact of the data"]


def test_cautions_about_thresholds_duplicates_capacities_and_missing_held_out_images(make_run):
    run = make_run(sizes=(16, 256), samples=300, held_out=False, rule="valley", changes=NO_CAPACITIES)
    assert any(note.startswith("The gray histogram has one mode") for note in run.study.said("note"))
    assert said_of_gap(run).startswith("The distances between samples that are not memorized show no gap")
    info = run.done[0].audit.thresholds
    sure = info.identifiable.model_copy(update={"spurious": True})
    change(run, 256, thresholds=info.model_copy(update={"identifiable": sure}))
    change(run, 16, train_duplicates=((0, 1, 2),), thresholds=info.model_copy(update={"spurious": 0.5}))
    said = claims(run)
    assert said["Where spurious ends, as a fact of the data"].startswith(
        "At K = 16: The distances between samples"
    )
    assert "3 at K = 16" in said["Anything from the ratio rule about repeated images"]
    assert said["The memorization capacity beyond what the grid shows"] == "Below the grid."
    assert "Without held-out images" in said["That generalized samples carry no trace of the training set"]
    assert "Anything about the classes" not in said


def test_caution_where_no_threshold_was_found(make_run):
    said = claims(make_run(sizes=(16, 256), samples=300, blind=(16,), rule="valley"))
    assert said["Anything about the classes"].startswith(
        "At K = 16: The threshold of memorization is not identifiable"
    )
    assert said["Where spurious ends, as a fact of the data"].startswith("At K = 256: ")


def test_failed_study_still_has_its_failures_to_say(make_run):
    run = make_run(sizes=(2,), samples=40, failed=(2,), changes={"capacities": None})
    assert list(claims(run)) == ["Anything about a training size that failed"]


def test_overview_of_tiles_and_facts(run):
    top = overview(run)
    assert [(tile.text, tile.value) for tile in top.tiles] == [
        ("K ≈ 33", 33.2),
        ("K ≈ 128", 128.0),
        ("K ≈ 241", 241.0),
    ]
    assert top.tiles[0].notes == ("95% interval 31 to 36", "between the studied sizes 32 and 64")
    share = run.study.audits[128].fractions.spurious
    assert top.tiles[1].meaning == (
        f"{percent(share.value)} of samples ({percent(share.low)} to {percent(share.high)}) at K = 128, "
        "among m0 = 200 samples"
    )
    facts = {fact.name: fact for fact in top.facts}
    assert facts["Training-set sizes K"].text == "2, 16, 90, 128, 256, and 1,437"
    assert facts["Samples for each K"].text == "200 to 5,748, by K"
    assert facts["Sampler"].text == "DDPM, 250 steps, clipped"
    assert facts["Thresholds"].text == "δm = 0.36, δs = 0.36"
    assert facts["Thresholds"].detail == (
        "Rule: null:0.01. A new real image would be called memorized with a probability of 1%. δs is the "
        "distance within which 1% of m0 = 200 new real images have another one; repetitions are counted "
        "among so many samples. The thresholds hang on 360 held-out images (dimension 6.2). With so few, "
        "both are carried on by the law of distances from the 8.3% quantile."
    )
    assert dict(top.definitions)["spurious"].endswith("Counted among m0 = 200 samples.")
    assert dict(top.definitions)["generalized"].endswith("called “no closer than chance” there.")
    assert facts["Training images"].detail == "8 × 8 pixels, grayscale"


def test_overview_without_capacities(make_run):
    run = make_run(sizes=(2, 16), samples=40, changes=NO_CAPACITIES, held_out=False)
    tiles = overview(run).tiles
    assert [tile.text for tile in tiles] == ["not found"] * 3
    assert tiles[0].notes == ("Below the grid.",)
    assert {fact.name: fact.text for fact in overview(run).facts}["Held-out images"] == "none"


def test_rules_and_sizes_in_words(run):
    assert sample_sizes([run.done[0].audit]) == "200"


def ruled(run, rule, **fit):
    """What is said of a rule; fields of what the null rule saw may be others."""
    info = run.done[0].audit.thresholds
    null = info.null.model_copy(update=fit) if fit else info.null
    return rule_in_words(info.model_copy(update={"rule": rule, "null": null}))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("holdout:0.01", "δm is so small"),
        ("valley", "A valley describes the histograms and decides nothing"),
        ("fixed:0.1,0.1", "The thresholds are numbers fixed in advance."),
        ("<odd>", "The thresholds follow the rule “<odd>”."),
        ("null:0.001", "A new real image would be called memorized with a probability of 0.1%."),
    ],
)
def test_every_rule_has_its_words(run, rule, words):
    assert ruled(run, rule).startswith(words)


def test_what_the_null_rule_hangs_on(run):
    among = ruled(run, "null:0.01", held_out=False, dimension=None)
    assert "hang on 360 training images, each against all others, for want of enough held-out ones." in among
    assert "(dimension" not in among
    one = ruled(run, "null:0.01", carried=(True, False), lawful=(True, False))
    assert "δm is carried on by the law of distances from the 8.3% quantile. δs is an order statistic" in one
    many = ruled(run, "null:0.01", images=5000, carried=(False, False))
    assert many.endswith("The thresholds hang on 5,000 held-out images (dimension 6.2).")
    coarse = ruled(run, "null:0.1", carried=(True, False))
    assert "from the 10% quantile" in coarse  # no smaller than alpha itself


def honest(run, *train_sizes):
    """Let no more samples than chance lie closer to the training set at some training sizes."""
    for shown in [one for one in run.done if one.train_size in train_sizes]:
        null = shown.audit.null
        chance = null.share_closer_to_train.model_copy(update={"value": 0.52, "low": 0.48, "high": 0.56})
        null = null.model_copy(update={"share_closer_to_train": chance, "share_p_value": 0.3})
        change(run, shown.train_size, null=null)
    return run


def test_what_still_leaks_is_not_called_generalized(make_run):
    run = make_run(sizes=(64, 256, 1437), samples=300)
    everywhere = draw_transition(run, "wide").axes[1]
    labels = everywhere.get_legend_handles_labels()[1]
    assert labels == ["memorized", "spurious", "no closer than chance (still leaking)"]
    tile = overview(run).tiles[2]
    assert (tile.name, tile.notes[-1]) == ("No closer than chance", "still leaking at K = 256 and 1,437")
    assert tile.meaning == "smallest K with 90% no closer than chance"

    honest(run, 1437)
    assert overview(run).tiles[2].notes[-1] == "still leaking at K = 256"
    assert "called “no closer than chance” there" in dict(overview(run).definitions)["generalized"]
    section = points(run)
    (table,) = section.tables
    assert [row[5].text.endswith("*") for row in table.rows] == [True, True, False]
    assert table.header[5] == "generalized, or no closer than chance*"
    assert section.paragraphs[0].endswith(
        "* Still leaking: no closer than chance, and not called generalized."
    )
    page = render(run, {})
    assert "Still leaking: K = 64 and 256. What no other class holds there is called no closer" in page
    for ax in (draw_transition(run, "wide").axes[1], *draw_rules(run, "wide").axes):
        lines = {line.get_label(): line for line in ax.lines}
        hollow = lines["no closer than chance (still leaking)"]
        assert hollow.get_xdata().tolist() == [64, 256]
        assert hollow.get_markerfacecolor() == "white"
        assert "generalized" in lines

    honest(run, 256)
    assert overview(run).tiles[2].name == "Generalization starts"
    honest(run, 64)
    assert "leaking" not in dict(overview(run).definitions)["generalized"]
    assert "still leaking" not in render(run, {})
    assert table_titles(run) == ("memorized", "spurious", "generalized")


def table_titles(run):
    return points(run).tables[0].header[3:6]


def test_percent_is_never_whole_by_rounding():
    assert [percent(s) for s in (0, 0.0004, 0.05, 0.1, 0.989, 0.992, 0.9996, 1)] == [
        "0%", "<0.1%", "5.0%", "10%", "99%", "99.2%", ">99.9%", "100%",
    ]  # fmt: skip


@pytest.mark.parametrize("share", [1.0, 0.5, 0.123456, 0.0149, 0.00151, 3e-5])
def test_upper_bounds_are_never_rounded_down(share):
    shown = float(at_most(share).rstrip("%")) / 100
    assert share <= shown * (1 + 1e-9)
    assert shown <= 1.1 * share


def test_numbers_as_written():
    assert size(1437.0) == "1,437"
    assert value(-0.000123456, 2) == "−0.00012"
