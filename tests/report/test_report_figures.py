"""What is drawn is what was found: the artists of every figure against the stored results."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from report.synthetic import CAPACITIES, change
from spurion.phases.classification import CLASSES
from spurion.report.figures import FIGURES
from spurion.report.figures.canvas import (
    CLASS_COLORS,
    figure_style,
    label_k_axis,
    new_figure,
    panels,
    plain_log_axis,
    size_colors,
)
from spurion.report.figures.capacities import draw_capacities
from spurion.report.figures.census import draw_census, thin_ranks
from spurion.report.figures.examples import draw_examples, typical_of_class
from spurion.report.figures.fractions import draw_rules, draw_transition
from spurion.report.figures.histograms import draw_histograms, histogram_edges
from spurion.report.figures.leak import draw_leak
from spurion.report.figures.null import draw_controls, draw_null
from spurion.report.figures.rarefaction import draw_rarefaction
from spurion.report.figures.sensitivity import draw_sensitivity
from spurion.report.figures.training import draw_training

WIDTHS = ("wide", "narrow")


@pytest.fixture(autouse=True)
def _styled():
    with figure_style():
        yield


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


def bands(ax):
    return {band.get_label(): band for band in ax.collections if isinstance(band, PolyCollection)}


def vertices(area):
    return {(round(x, 9), round(y, 9)) for x, y in area.get_paths()[0].vertices.tolist()}


def results(run, field="fractions"):
    return [point.audit for point in run.done if getattr(point.audit, field)]


def check_fractions(ax, points, field):
    sizes = [point.train_size for point in points]
    for name in CLASSES:
        intervals = [getattr(getattr(point, field), name) for point in points]
        line = lines(ax)[name]
        assert line.get_color() == CLASS_COLORS[name]
        assert line.get_xdata().tolist() == sizes
        assert line.get_ydata().tolist() == [interval.value for interval in intervals]
        corners = vertices(bands(ax)[f"_{name} interval"])
        for size, interval in zip(sizes, intervals, strict=True):
            assert {(size, round(interval.low, 9)), (size, round(interval.high, 9))} <= corners


@pytest.mark.parametrize("width", WIDTHS)
def test_transition_shows_fractions_intervals_and_capacities(run, width):
    top, main = draw_transition(run, width).axes
    check_fractions(main, results(run), "fractions")
    assert main.get_xscale() == "log"
    for name in ("memorization", "spurious", "generalization"):
        capacity = getattr(run.study.capacities, name)
        assert set(lines(main)[f"_{name} capacity"].get_xdata()) == {capacity.value}
        drawn = [line.get_xdata() for line in top.lines]
        assert list(capacity.bracket) in [list(x) for x in drawn]
        assert [capacity.low, capacity.high] in [list(x) for x in drawn]
        assert lines(top)[name].get_xdata() == [capacity.value]
    texts = [text.get_text() for text in top.texts]
    assert texts == ["memorization capacity: 33", "spurious capacity: 128", "generalization capacity: 241"]


def test_transition_marks_failed_points(run):
    main = draw_transition(run, "wide").axes[1]
    crosses = [line for line in main.lines if line.get_marker() == "x"]
    assert [list(cross.get_xdata()) for cross in crosses] == [[90]]


def test_transition_without_capacities(make_run):
    figure = draw_transition(make_run(sizes=(2, 16), samples=40, changes={"capacities": None}), "wide")
    assert len(figure.axes) == 1


def test_capacity_that_was_not_found_is_said(make_run):
    missing = {"value": None, "low": None, "high": None, "bracket": [16, None], "note": "beyond"}
    capacities = {"epsilon": 0.1, "memorization": missing, "spurious": missing, "generalization": missing}
    run = make_run(sizes=(2, 16), samples=40, changes={"capacities": capacities})
    top = draw_transition(run, "wide").axes[0]
    assert top.texts[0].get_text() == "memorization capacity: not found"
    assert len(top.lines) == 0


def check_reach(ax, capacity, height, label, edges):
    """The bar of an interval from end to end; an end that is open is an arrow at the edge of the axis."""
    drawn = lines(ax)
    bar = drawn[f"_{label} interval"]
    ends = [
        edge if end is None else end for end, edge in zip((capacity.low, capacity.high), edges, strict=True)
    ]
    assert_allclose(bar.get_xdata(), ends)
    assert list(bar.get_ydata()) == [height] * 2
    arrows = {
        line.get_marker(): line.get_xdata()[0] for line in ax.lines if line.get_label() == f"_{label} open"
    }
    assert arrows == {
        arrow: edge
        for end, edge, arrow in zip((capacity.low, capacity.high), edges, "<>", strict=True)
        if end is None
    }
    if capacity.value is None:
        assert label not in drawn
    else:
        assert drawn[label].get_xydata().tolist() == [[capacity.value, height]]


@pytest.mark.parametrize("width", WIDTHS)
def test_capacities_stand_in_a_row_for_each_alpha(run, width):
    (ax,) = draw_capacities(run, width).axes
    found = run.study.capacities_by_alpha
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0.1%", "1%", "5%"]
    for height, at in zip((2, 1, 0), found, strict=True):
        for name, apart in (("memorization", 0.2), ("spurious", 0), ("generalization", -0.2)):
            capacity = getattr(at.capacities, name)
            check_reach(ax, capacity, height + apart, f"{name} at {at.alpha:g}", (2 / 1.3, 1437 * 1.3))
    (shaded,) = [patch for patch in ax.patches if patch.get_label() == "_main rule"]
    assert shaded.get_y() + shaded.get_height() / 2 == 1


def test_nothing_is_drawn_of_a_capacity_of_which_nothing_is_known(make_run):
    missing = {"value": None, "low": None, "high": None, "bracket": [None, None], "note": "No sample."}
    three = {"epsilon": 0.1, "memorization": missing, "spurious": missing, "generalization": missing}
    by_alpha = {"capacities_by_alpha": [{"alpha": 0.01, "capacities": three}]}
    run = make_run(sizes=(2, 16), samples=40, changes={"capacities": None, **by_alpha})
    assert not draw_capacities(run, "wide").axes[0].lines
    assert draw_capacities(make_run(sizes=(2, 16), samples=40, rule="fixed:0.36,0.36"), "wide") is None


@pytest.mark.parametrize("width", WIDTHS)
def test_leak_excess_with_its_capacities(run, width):
    (ax,) = draw_leak(run, width).axes
    shares = [point.null.share_closer_to_train for point in results(run, "null")]
    (bars,) = ax.containers
    assert bars.lines[0].get_xdata().tolist() == [point.train_size for point in results(run, "null")]
    assert_allclose(bars.lines[0].get_ydata(), [2 * share.value - 1 for share in shares])
    ends = [segment[:, 1] for segment in bars.lines[2][0].get_segments()]
    assert_allclose(ends, [[2 * share.low - 1, 2 * share.high - 1] for share in shares])
    for name, level in (("most", 0.9), ("half", 0.5), ("none", 0.0)):
        capacity = getattr(run.study.leak_capacities, name)
        check_reach(ax, capacity, level, f"capacity at {level:g}", (2 / 1.3, 1437 * 1.3))
        assert list(lines(ax)[f"_level {level:g}"].get_ydata()) == [level, level]
    assert [text.get_text() for text in ax.texts] == [
        "falls to 90%: K = 300", "falls to 50%: K = 600", "falls to 0%: not reached",
    ]  # fmt: skip


def test_leak_excess_without_capacities_is_a_curve(make_run):
    (ax,) = draw_leak(make_run(sizes=(2, 16), samples=40, changes={"capacities": None}), "wide").axes
    assert not ax.texts
    assert draw_leak(make_run(sizes=(2, 16), samples=40, held_out=False), "wide") is None


def test_open_ends_of_the_transition_are_arrows(make_run):
    half = {"value": 30.0, "low": None, "high": 40.0, "bracket": [16, 64], "note": ""}
    run = make_run(sizes=(16, 64), samples=40, changes={"capacities": CAPACITIES | {"memorization": half}})
    top, main = draw_transition(run, "wide").axes
    check_reach(top, run.study.capacities.memorization, 2, "memorization", (16 / 1.3, 64 * 1.3))
    assert main.get_ylabel() == "share of samples\n(met again among $m_0$ = 200 samples)"


def test_rules_side_by_side(run):
    axes = draw_rules(run, "wide").axes
    assert [ax.get_title(loc="left") for ax in axes] == ["main rule", "ratio rule", "held-out rule"]
    for ax, field in zip(axes, ("fractions", "ratio_fractions", "holdout_fractions"), strict=True):
        check_fractions(ax, results(run, field), field)


def test_rules_need_something_to_compare(make_run):
    assert draw_rules(make_run(sizes=(2, 16), samples=40, sparse=(2, 16)), "wide") is None


def test_histograms_show_distances_and_thresholds(run):
    figure = draw_histograms(run, "wide")
    samples = [point.samples for point in run.done]
    edges = histogram_edges(samples)
    assert len(figure.axes) == len(samples) + 1
    pooled_olive = np.concatenate([s.distance_train for s in samples])
    groups = [pooled_olive, *(s.distance_train for s in samples)]
    for ax, olive in zip(figure.axes, groups, strict=True):
        values, drawn_edges, _ = ax.patches[0].get_data()
        assert_allclose(drawn_edges, edges)
        inside = np.histogram(np.maximum(olive, edges[0]), edges)[0]
        assert inside.sum() == len(olive)
        assert_allclose(values, inside / len(olive))
    for ax, point in zip(figure.axes[1:], run.done, strict=True):
        thresholds = point.audit.thresholds
        assert list(lines(ax)[r"$\delta_m$"].get_xdata()) == [thresholds.memorized] * 2
        assert list(lines(ax)[r"$\delta_s$"].get_xdata()) == [thresholds.spurious] * 2
        gray, _, _ = ax.patches[1].get_data()
        assert_allclose(gray * len(point.samples), np.histogram(point.samples.distance_sample, edges)[0])


def test_histogram_edges_cover_everything_equally_in_log(run):
    groups = [point.samples for point in run.done]
    pooled = np.concatenate([np.concatenate([g.distance_train, g.distance_sample]) for g in groups])
    edges = histogram_edges(groups)
    assert edges[0] < pooled[pooled > 0].min()
    assert edges[-1] > pooled.max()
    assert_allclose(np.diff(np.log(edges)), np.diff(np.log(edges))[0])


def test_exact_copies_stand_in_the_leftmost_bin(run):
    assert run.done[0].samples.distance_train[0] == 0
    values, _, _ = draw_histograms(run, "wide").axes[1].patches[0].get_data()
    assert values[0] >= 1 / len(run.done[0].samples)


def test_only_copies_still_have_edges(make_run):
    run = make_run(sizes=(2,), samples=40)
    samples = run.done[0].samples
    samples.distance_train[:] = 0
    samples.distance_sample[:] = np.nan
    edges = histogram_edges([samples])
    assert (np.diff(edges) > 0).all()
    figure = draw_histograms(run, "wide")
    assert len(figure.axes) == 1
    assert figure.axes[0].patches[0].get_data()[0].tolist() == [1.0] + [0.0] * (len(edges) - 2)
    assert not figure.axes[0].patches[1].get_data()[0].any()


def test_pooled_panel_has_no_threshold_where_they_differ(make_run):
    run = make_run(sizes=(2, 16), samples=40)
    assert len(draw_histograms(run, "wide").axes[0].lines) == 2
    moved = run.done[1].audit.thresholds.model_copy(update={"memorized": 0.5})
    change(run, 16, thresholds=moved)
    assert len(draw_histograms(run, "wide").axes[0].lines) == 0


def test_thresholds_that_were_not_found_are_not_drawn(make_run):
    figure = draw_histograms(make_run(sizes=(2, 16), samples=40, blind=(2, 16)), "wide")
    assert [len(ax.lines) for ax in figure.axes] == [0, 0, 0]


def test_sensitivity_stacks_the_fractions(run):
    points = results(run, "sensitivity")
    figure = draw_sensitivity(run, "narrow")
    assert len(figure.axes) == len(points)
    for ax, point in zip(figure.axes, points, strict=True):
        curve = point.sensitivity
        below = np.zeros(len(curve.factors))
        for name, area in zip(CLASSES, ax.collections, strict=True):
            above = below + getattr(curve, name)
            for bound in (below, above):
                drawn = zip(curve.factors, bound.tolist(), strict=True)
                assert {(round(x, 9), round(y, 9)) for x, y in drawn} <= vertices(area)
            below = above
        assert list(ax.lines[0].get_xdata()) == [1, 1]


def test_rarefaction_curves_and_common_size(run):
    points = results(run, "rarefaction")
    curves, common = draw_rarefaction(run, "wide").axes
    for point in points:
        line = lines(curves)[f"{point.train_size:,}"]
        assert line.get_xdata().tolist() == list(point.rarefaction.sample_sizes)
        assert line.get_ydata().tolist() == list(point.rarefaction.spurious)
    assert list(lines(curves)["_common size"].get_xdata()) == [run.study.common_size] * 2
    own = lines(common)["at each K’s own sample size"]
    assert own.get_ydata().tolist() == [point.fractions.spurious.value for point in points]
    shared = lines(common)["among $m_0$ = 200"]
    at_common = [shown.point.spurious_at_common_size for shown in run.done if shown.audit.rarefaction]
    assert shared.get_ydata().tolist() == at_common
    assert shared.get_xdata().tolist() == [point.train_size for point in points]


def test_rarefaction_at_equal_sizes_needs_one_panel(make_run):
    assert len(draw_rarefaction(make_run(sizes=(2, 16), samples=40), "wide").axes) == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_census_counts_masses_and_unseen_mass(run, width):
    points = results(run, "census")
    counts, masses, unseen = draw_census(run, width).axes
    for name in ("memorized", "spurious"):
        expected = [float(getattr(point.census, name)) or np.nan for point in points]
        assert_allclose(lines(counts)[name].get_ydata(), expected)
    estimates = [(p.train_size, p.census.chao1) for p in points if p.census.chao1]
    assert list(zip(*lines(counts)["all, Chao1"].get_data(), strict=True)) == estimates
    for point in points:
        if point.census.shares:
            rank, mass = thin_ranks(point.census.shares)
            line = lines(masses)[f"{point.train_size:,}"]
            assert_allclose(line.get_xdata(), rank)
            assert_allclose(line.get_ydata(), mass)
    assert lines(unseen)["unseen mass"].get_ydata().tolist() == [p.census.unseen_mass for p in points]


def test_census_without_a_single_attractor(make_run):
    counts, masses, _ = draw_census(make_run(sizes=(512, 1024), samples=40), "wide").axes
    assert "all, Chao1" not in lines(counts)
    assert not masses.lines


def test_thin_ranks_keeps_the_line():
    shares = [0.3, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.01]
    rank, mass = thin_ranks(shares)
    assert rank.tolist() == [1, 2, 5, 6, 7, 8]
    assert_allclose(np.interp(np.arange(1, 9), rank, mass), shares)


def test_null_shows_share_ct_and_authpct(run):
    points = results(run, "null")
    share, ct, authpct = draw_null(run, "wide").axes
    intervals = [point.null.share_closer_to_train for point in points]
    ends = np.array([segment[:, 1] for segment in share.containers[0].lines[2][0].get_segments()])
    assert_allclose(share.containers[0].lines[0].get_ydata(), [i.value for i in intervals])
    assert_allclose(ends, [[i.low, i.high] for i in intervals])
    assert list(lines(share)["nothing leaks"].get_ydata()) == [0.5, 0.5]
    assert lines(ct)["ct"].get_ydata().tolist() == [point.null.ct for point in points]
    assert lines(authpct)["authpct"].get_ydata().tolist() == [point.null.authpct for point in points]
    assert lines(authpct)["held-out"].get_ydata().tolist() == [45.0] * len(points)


def test_controls_show_both_shares(run):
    checks = [point.controls for point in results(run, "controls")]
    copies, held_out = draw_controls(run, "wide").axes
    assert list(copies.lines[0].get_ydata()) == [1, 1]
    assert list(held_out.lines[0].get_ydata()) == [0, 0]
    assert_allclose(copies.containers[0].lines[0].get_ydata(), [c.noisy_copies.value for c in checks])
    ends = np.array([segment[:, 1] for segment in held_out.containers[0].lines[2][0].get_segments()])
    assert_allclose(ends, [[c.held_out.low, c.held_out.high] for c in checks])


def test_training_curves_show_the_log(run):
    ax = draw_training(run, "wide").axes[0]
    curves = {f"{shown.train_size:,}": shown.loss for shown in run.done}
    curves |= {f"{point.train_size:,} (failed)": loss for point, loss in run.failed}
    for name, loss in curves.items():
        line = lines(ax)[name]
        assert line.get_xdata().tolist() == loss.step.tolist()
        assert line.get_ydata().tolist() == loss.loss.tolist()
        assert line.is_dashed() == name.endswith("(failed)")


@pytest.mark.parametrize(("width", "columns"), [("wide", 5), ("narrow", 5)])
def test_examples_show_the_typical_sample_over_its_neighbors(run, width, columns):
    ax = draw_examples(run, width).axes[0]
    assert ax.texts[0].get_text() == "K = 2"
    cells = [(p, typical_of_class(p.gallery, p.samples, label)) for p in run.done for label in range(3)]
    shown = [(point, place) for point, place in cells if place is not None]
    assert len(run.done) == columns
    assert len(ax.images) == 3 * len(shown)
    for i, (point, place) in enumerate(shown):
        for image, stored in zip(
            ax.images[3 * i : 3 * i + 3],
            (point.gallery.sample, point.gallery.train, point.gallery.other),
            strict=True,
        ):
            pixels = np.asarray(image.get_array())
            assert pixels.shape == (96, 96, 3)
            assert (pixels[::12, ::12, 1] == stored[place, 0]).all()
            assert (pixels[11::12, 11::12, 1] == stored[place, 0]).all()


def test_the_typical_sample_has_the_median_distance(run):
    point = next(point for point in run.done if point.train_size == 128)
    spurious = np.flatnonzero(point.gallery.label == 1)
    place = typical_of_class(point.gallery, point.samples, 1)
    distances = point.samples.distance_train[point.gallery.index[spurious]]
    assert place in spurious
    below = (distances < point.samples.distance_train[point.gallery.index[place]]).sum()
    assert below == (len(spurious) - 1) // 2


def test_examples_of_many_sizes_are_thinned(make_run):
    sizes = tuple(range(2, 16))
    run = make_run(sizes=sizes, samples=40, gallery=1)
    assert sum(text.get_text().isdigit() for text in draw_examples(run, "wide").axes[0].texts) == 11
    assert sum(text.get_text().isdigit() for text in draw_examples(run, "narrow").axes[0].texts) == 5


def test_figures_without_data_are_none(make_run):
    nothing = make_run(sizes=(2, 16), samples=40, failed=(2, 16), changes={"capacities": None})
    assert {name for name, draw in FIGURES.items() if draw(nothing, "wide") is not None} == {"training"}
    blind = make_run(sizes=(2,), samples=40, blind=(2,), held_out=False, changes={"capacities": None})
    assert {name for name, draw in FIGURES.items() if draw(blind, "wide")} == {"histograms", "training"}


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "distances"])
@pytest.mark.parametrize(("width", "inches"), [("wide", 7.2), ("narrow", 3.7)])
def test_figures_have_the_promised_width(run, name, width, inches):
    assert FIGURES[name](run, width).get_size_inches()[0] == inches


@pytest.mark.parametrize("inches", [6.6, 1.8])
@pytest.mark.parametrize(
    "sizes", [[64], [2, 8, 16, 32, 64, 90, 128, 181, 256, 512, 1024, 1437], list(range(100, 2000, 50))]
)
def test_tick_labels_of_the_k_axis_do_not_touch(sizes, inches):
    figure = Figure(figsize=(inches, 1))
    ax = figure.add_axes((0, 0.3, 1, 0.7))
    label_k_axis(ax, sizes, inches)
    figure.draw_without_rendering()
    boxes = [tick.get_window_extent() for tick in ax.get_xticklabels()]
    texts = [tick.get_text() for tick in ax.get_xticklabels()]
    gaps = [right.x0 - left.x1 for left, right in pairwise(boxes)]
    assert all(gap > 0.03 * figure.dpi for gap in gaps)
    assert texts[-1] == f"{sizes[-1]:,}"
    assert len(texts) >= min(len(sizes), 3)
    assert ax.get_xlim()[0] < sizes[0]
    assert ax.get_xlim()[1] > sizes[-1]
    assert sorted({*ax.get_xticks(), *ax.get_xticks(minor=True)}) == sizes


@pytest.mark.parametrize(("width", "columns"), [("wide", 4), ("narrow", 2)])
def test_panels_fill_rows(width, columns):
    figure, axes = panels(6, width, across=4, height=1.2)
    assert len(axes) == len(figure.axes) == 6
    assert {ax.get_subplotspec().colspan.start for ax in axes} == set(range(columns))
    assert axes[1].get_subplotspec().colspan.start == 1
    labeled = [ax for ax in axes if ax.xaxis.get_tick_params()["labelbottom"]]
    assert labeled == axes[-columns:]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.03, 6, ["0.05", "0.1", "0.2", "0.5", "1", "2", "5"]),
        (0.7, 3e6, ["1", "10", "100", "1,000", "10,000", "100,000", "1M"]),
    ],
)
def test_log_axes_have_plain_numbers(low, high, expected):
    figure = new_figure("wide", 2)
    ax = figure.subplots()
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    plain_log_axis(ax.xaxis)
    figure.draw_without_rendering()
    shown = [
        t.get_text() for x, t in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True) if low <= x <= high
    ]
    assert shown == expected
    assert not any(tick.get_text() for tick in ax.get_xticklabels(minor=True))


def test_size_colors_go_from_dark_to_light():
    brightness = [sum(color[:3]) for color in size_colors(6)]
    assert brightness == sorted(brightness)
    assert len(set(brightness)) == 6


def test_figure_style_is_put_back():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with figure_style():
        assert matplotlib.rcParams["svg.hashsalt"] == "spurion"
    assert dict(matplotlib.rcParams) == before
