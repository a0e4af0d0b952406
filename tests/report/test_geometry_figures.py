"""The figures of geometry: what is drawn is what is stored, and what is no number is not drawn as one."""

import math

import numpy as np
import pytest

from report.synthetic import change, geometry
from spurion.geometry.groups.results import GeometryResult, GroupReading
from spurion.report.figures.basins import draw_basins
from spurion.report.figures.canvas import CLASS_COLORS, figure_style
from spurion.report.figures.curvature import draw_directions, draw_scan, draw_spectra
from spurion.report.figures.energies import draw_energies
from spurion.report.figures.others import draw_others
from spurion.report.figures.readings import DODGE, Strips
from spurion.studies.geometry.curves import curve, difference, trivial_noise

FIGURES = (draw_basins, draw_scan, draw_spectra, draw_directions, draw_energies, draw_others)
SIZES = (16, 64, 256)


@pytest.fixture(autouse=True)
def _styled():
    with figure_style():
        yield


@pytest.fixture
def measured_run(make_run):
    return make_run(sizes=SIZES, samples=300, geometry=True)


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


def plant(run, size, measure, group, **changes):
    """Change a stored reading of one group."""
    point = next(point for point in run.done if point.train_size == size)
    values = point.audit.geometry.model_dump(mode="json")
    for one in values["measures"]:
        if one["name"] == measure:
            one["groups"][group] |= changes
    stored = GeometryResult.model_validate(values)
    change(run, size, geometry=stored)


def read(value, low, high):
    return GroupReading(value=value, low=low, high=high, n=40, statuses={"measured": 40})


def markers(ax, name):
    """Places of the markers of a class."""
    (container,) = [one for one in ax.containers if one.get_label() == name]
    return container


def test_basins_show_medians_with_intervals(measured_run):
    noise, volume = draw_basins(measured_run, "wide").axes
    assert noise.get_yscale() == "log"
    assert volume.get_yscale() == "linear"
    for ax, name in ((noise, "critical-noise"), (volume, "log-volume")):
        for place, (group, color) in enumerate(CLASS_COLORS.items()):
            pairs = curve(measured_run.geometries, name).group(group)
            data, _, (bars,) = markers(ax, group)
            assert data.get_color() == color
            assert np.allclose(data.get_xdata(), [k * DODGE ** (place - 1) for k, _ in pairs])
            assert data.get_ydata().tolist() == [reading.value for _, reading in pairs]
            drawn = [segment[:, 1].tolist() for segment in bars.get_segments()]
            assert np.allclose(drawn, [[reading.low, reading.high] for _, reading in pairs])
        training = [reading.value for _, reading in curve(measured_run.geometries, name).group("training")]
        assert lines(ax)["training images"].get_ydata().tolist() == training


def test_a_class_too_small_is_not_drawn(measured_run):
    # The synthetic set has no generalized samples at K = 16 and no memorized or spurious ones at 256.
    noise, _ = draw_basins(measured_run, "wide").axes
    present = {name: len(markers(noise, name)[0].get_xdata()) for name in CLASS_COLORS}
    stored = {
        name: len(curve(measured_run.geometries, "critical-noise").group(name)) for name in CLASS_COLORS
    }
    assert present == stored
    assert min(stored.values()) < len(SIZES)


def test_never_stands_in_a_strip_below_every_number(measured_run):
    noise, _ = draw_basins(measured_run, "wide").axes
    ticks = dict(zip([t.get_text() for t in noise.get_yticklabels()], noise.get_yticks(), strict=True))
    strip = lines(noise)["_held-out strip"]
    assert set(strip.get_ydata()) == {ticks["never"]}
    assert np.isnan(lines(noise)["held-out images"].get_ydata()).all()
    numbers = [y for text, y in ticks.items() if text not in ("never", "always")]
    assert ticks["never"] < min(numbers)
    assert "always" not in ticks
    assert [patch.get_label() for patch in noise.patches] == ["_never"]


def test_always_stands_in_a_strip_above(measured_run):
    plant(measured_run, 16, "critical-noise", "memorized", value="always", high="always")
    noise, _ = draw_basins(measured_run, "wide").axes
    ticks = dict(zip([t.get_text() for t in noise.get_yticklabels()], noise.get_yticks(), strict=True))
    data, _, (bars,) = markers(noise, "memorized")
    assert data.get_ydata()[0] == ticks["always"]
    assert ticks["always"] > max(data.get_ydata()[1:])
    assert bars.get_segments()[0][0, 1] == pytest.approx(0.45)  # the lower end is still a number
    assert math.isnan(lines(noise)["_memorized line"].get_ydata()[0])
    assert {patch.get_label() for patch in noise.patches} == {"_never", "_always"}


def test_what_has_no_value_is_not_drawn(measured_run):
    for size in SIZES:
        plant(measured_run, size, "critical-noise", "training", value=None, low=None, high=None)
    noise, _ = draw_basins(measured_run, "wide").axes
    assert "training images" not in lines(noise)


def test_the_line_below_which_nothing_is_denoised(measured_run):
    s = 0.36 / 8
    expected = s / math.sqrt(1 + s**2)
    assert trivial_noise(measured_run.done[0].audit.geometry) == pytest.approx(expected)
    noise, volume = draw_basins(measured_run, "wide").axes
    assert lines(noise)["tolerance"].get_ydata()[0] == pytest.approx(expected)
    assert "tolerance" not in lines(volume)


@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_nothing_is_written_among_the_data(measured_run, width):
    figure = draw_basins(measured_run, width)
    assert [len(ax.texts) for ax in figure.axes] == [0, 0]
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {*CLASS_COLORS, "training images", "tolerance"} <= set(words)


def test_another_distance_has_no_such_line(measured_run):
    for point in measured_run.done:
        other = point.audit.distance.model_copy(update={"name": "cosine"})
        change(measured_run, point.train_size, distance=other)
    noise, _ = draw_basins(measured_run, "wide").axes
    assert "tolerance" not in lines(noise)


def test_the_scan_marks_the_level(measured_run):
    first, second = draw_scan(measured_run, "narrow").axes
    scan = measured_run.study.curvature
    assert list(lines(first)["_chosen"].get_xdata()) == [scan.chosen_noise] * 2
    drawn = lines(first)["separation"].get_ydata()
    assert drawn[:2].tolist() == list(scan.separation[:2])
    assert math.isnan(drawn[2])
    assert lines(second)["soft directions"].get_ydata()[1] == 44
    assert first.texts[0].get_text() == "read at 0.06"


def test_means_of_the_scan_have_bands(measured_run):
    first, second = draw_scan(measured_run, "wide").axes
    drawn = {}
    for ax in (first, second):
        for band in ax.collections:
            heights = band.get_paths()[0].vertices[:, 1]
            drawn[band.get_label()] = (heights.min(), heights.max())
    assert drawn == {
        "_separation interval": pytest.approx((0.008, 0.12)),
        "_soft directions interval": pytest.approx((42.0, 61.0)),
        "_intrinsic dimension interval": pytest.approx((45.0, 61.0)),
    }


def test_a_scan_stored_without_intervals_has_no_bands(measured_run):
    scan = measured_run.study.curvature
    bare = {name: () for name in type(scan).model_fields if name.endswith(("_low", "_high"))}
    study = measured_run.study.model_copy(update={"curvature": scan.model_copy(update=bare)})
    object.__setattr__(measured_run, "study", study)
    axes = draw_scan(measured_run, "wide").axes
    assert [len(ax.collections) for ax in axes] == [0, 0]
    assert lines(axes[1])["intrinsic dimension"].get_ydata()[0] == 59


def test_spectra_are_those_stored_in_the_colors_of_k(measured_run):
    axes = draw_spectra(measured_run, "wide").axes
    titles = [ax.get_title(loc="left") for ax in axes]
    assert titles == ["memorized", "spurious", "generalized", "training images"]
    training = lines(axes[3])
    colors = [training[str(size)].get_color() for size in SIZES]
    assert len(set(colors)) == 3
    assert training["16"].get_ydata().tolist() == pytest.approx(np.linspace(-0.1, 1.1, 64).tolist())
    assert list(training["16"].get_xdata()[[0, -1]]) == [1, 64]
    assert lines(axes[0])["16"].get_color() == training["16"].get_color()
    bands = axes[3].collections
    assert len(bands) == 3
    heights = bands[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (pytest.approx(-0.2), pytest.approx(1.2))


def test_directions_leave_held_out_images_off_the_scale(measured_run):
    _, dimension = draw_directions(measured_run, "wide").axes
    assert dimension.get_ylim()[1] < 30
    assert lines(dimension)["held-out images"].get_ydata().tolist() == [7000] * 3


def test_energies_are_gaps_to_training_images(measured_run):
    energy, density = draw_energies(measured_run, "wide").axes
    for ax, gap in ((energy, 0.1), (density, -1.0)):
        data = markers(ax, "memorized")[0].get_ydata()
        assert data.tolist() == pytest.approx([gap] * len(data))
        assert lines(ax)["training images"].get_ydata() == [0, 0]


def test_the_interval_of_a_difference():
    # Zou and Donner: 3 - sqrt(1 + 4), 3 + sqrt(4 + 9).
    gap = difference(read(5.0, 4.0, 7.0), read(2.0, -1.0, 4.0))
    assert (gap.value, gap.low, gap.high) == pytest.approx((3, 3 - math.sqrt(5), 3 + math.sqrt(13)))
    assert difference(read(5.0, "never", 7.0), read(2.0, 1.0, 3.0)) is None
    assert difference(read(5.0, 4.0, 7.0), read(None, None, None)) is None


def test_strips_of_nothing_and_of_one_number():
    nothing = Strips.around([None, "never"], log=True)
    assert nothing.never
    assert nothing.place("never") < nothing.low < nothing.high
    assert math.isnan(nothing.place(None))
    one = Strips.around([3.0])
    assert (one.low, one.high, one.never, one.always) == (2.0, 4.0, False, False)
    assert one.place("always") > one.high
    assert one.place("never") < one.low


def test_all_never(measured_run):
    for size in SIZES:
        for group in measured_run.done[SIZES.index(size)].audit.geometry.measures[0].groups:
            plant(measured_run, size, "critical-noise", group, value="never", low="never", high="never")
    noise, _ = draw_basins(measured_run, "wide").axes
    assert {patch.get_label() for patch in noise.patches} == {"_never"}


def test_a_measure_of_no_section_has_a_panel(measured_run):
    (panel,) = draw_others(measured_run, "wide").axes
    assert panel.get_title(loc="left") == "my measure"
    assert panel.get_ylabel() == "units"
    assert {patch.get_label() for patch in panel.patches} == {"_always"}
    stored = [reading.value for _, reading in curve(measured_run.geometries, "my-measure").group("training")]
    assert list(lines(panel)["training images"].get_ydata()) == stored


@pytest.mark.parametrize("draw", FIGURES)
def test_without_geometry_there_is_no_figure(make_run, draw):
    assert draw(make_run(sizes=(16,), samples=40), "wide") is None


def test_a_single_size_and_no_scan(make_run):
    run = make_run(sizes=(2,), samples=40, geometry=True, changes={"curvature": None})
    assert draw_scan(run, "wide") is None
    assert draw_energies(run, "wide") is None  # two training images have no median
    assert draw_basins(run, "narrow") is not None
    assert geometry(2, [40, 0, 0])["groups"]["training"]["measured"] == 2
