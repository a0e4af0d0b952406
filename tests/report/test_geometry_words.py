"""What the report says of geometry, against what is stored."""

import pytest

from report.synthetic import change, order
from spurion.geometry.groups.results import GeometryResult, GroupReading, GroupSize
from spurion.report.measures import measure_table, order_table, reading_cell
from spurion.report.sections import geometry as sections
from spurion.studies.geometry.curves import curve
from spurion.studies.geometry.order import comparison_count, comparisons, in_words, summary, threshold

SIZES = (16, 64, 128, 256)
SECTIONS = (sections.basins, sections.curvature, sections.energy, sections.order)


@pytest.fixture
def run(make_run):
    """All three classes at K = 64 and 128."""
    return make_run(sizes=SIZES, samples=300, geometry=True)


def plant_orders(run, size, measure, *found):
    point = next(point for point in run.done if point.train_size == size)
    values = point.audit.geometry.model_dump(mode="json")
    next(one for one in values["measures"] if one["name"] == measure)["orders"] = list(found)
    stored = GeometryResult.model_validate(values)
    change(run, size, geometry=stored)


def plant_statuses(run, size, measure, group, **statuses):
    point = next(point for point in run.done if point.train_size == size)
    values = point.audit.geometry.model_dump(mode="json")
    n = sum(count for name, count in statuses.items() if name not in ("undecided", "failed"))
    chosen = next(one for one in values["measures"] if one["name"] == measure)
    chosen["groups"][group] |= {"n": n, "statuses": statuses}
    stored = GeometryResult.model_validate(values)
    change(run, size, geometry=stored)


def test_the_number_of_tests_decides_what_holds(run):
    number = sum(len(m.orders) for _, geometry in run.geometries.items() for m in geometry.measures)
    assert comparison_count(run.geometries) == number > 30
    assert threshold(run.geometries) == pytest.approx(0.05 / number)
    close = 0.04 / number
    plant_orders(
        run, 64, "critical-noise",
        order("memorized", "spurious", 0.7, close),
        order("spurious", "generalized", 0.6, 0.01),
        order("memorized", "generalized", 0.3, 0.99),
    )  # fmt: skip
    verdicts = [
        c.verdict for c in comparisons(run.geometries) if (c.measure, c.train_size) == ("critical-noise", 64)
    ]
    assert verdicts == ["holds", "open", "reversed"]


def test_orders_in_words(run):
    plant_orders(
        run, 64, "critical-noise",
        order("memorized", "spurious", 0.95, 1e-9),
        order("spurious", "generalized", 0.6, 0.01),
        order("memorized", "generalized", 0.3, 0.99),
    )  # fmt: skip
    plant_orders(
        run, 128, "critical-noise",
        order("memorized", "spurious", 0.9, 1e-9),
        order("spurious", "generalized", 0.9, 1e-9),
    )  # fmt: skip
    assert in_words(run.geometries, "critical-noise") == (
        "By critical noise, memorized > spurious holds at all 2 K compared (AUC 0.90 to 0.95); spurious > "
        "generalized holds at K = 128 and is open at K = 64 (AUC 0.60 to 0.90); memorized > generalized is "
        "reversed at K = 64 (AUC 0.30)."
    )
    assert summary(run.geometries) == (
        "Noised and denoised again, memorized samples survive more than spurious ones at all of the 2 K "
        "where both could be measured, and spurious samples survive more than generalized ones at 1 of the "
        "2 K where both could be measured."
    )


def test_a_reversed_order_is_said_on_top(run):
    reverse = order("memorized", "spurious", 0.2, 1.0)
    for size in SIZES:
        plant_orders(run, size, "critical-noise", *([reverse] if size == 64 else []))
    assert summary(run.geometries) == (
        "Noised and denoised again, memorized samples survive more than spurious ones at none, as far as "
        "this study can tell, not even the one K where both could be measured (K = 64); somewhere the order "
        "of memorized and spurious is reversed."
    )
    assert summary(run.geometries) in run.study.said("answer")


def test_directions_expected_the_other_way_are_named_so(run):
    assert in_words(run.geometries, "soft-directions").startswith(
        "By soft directions, spurious > memorized holds at "
    )


def test_without_geometry_nothing_is_said(make_run):
    run = make_run(sizes=(16, 64), samples=40)
    assert [make(run) for make in SECTIONS] == [None] * 4
    assert summary(run.geometries) == ""
    assert "geometry" not in {claim.kind for claim in run.claims}
    assert in_words(run.geometries, "critical-noise") == ""
    assert order_table(run, ["critical-noise"]) is None
    assert "landscape" not in {claim.kind for claim in run.claims}


def test_one_class_alone_has_no_order(make_run):
    run = make_run(sizes=(2,), samples=40, geometry=True)
    assert sections.order(run) is None
    assert sections.basins(run) is not None
    assert "one-sided" not in " ".join(sections.basins(run).paragraphs)
    assert summary(run.geometries) == ""


def test_files_of_former_versions_go_by_their_configuration(make_run):
    config = {"geometry": {"basins": {"clip": True, "steps": 30}}}
    old = make_run(sizes=(2, 16), samples=40, geometry=True, changes={"config": config})
    assert "(at most 20 steps, posterior means not clipped)" in sections.basins(old).paragraphs[0]
    for audit in old.audits:
        object.__setattr__(audit, "geometry", audit.geometry.model_copy(update={"clip": None, "steps": None}))
    for k, geometry in old.geometries.items():
        assert geometry.clip is None, k
    clipped = "(at most 30 steps, each posterior mean clipped to [-1, 1])"
    assert clipped in sections.basins(old).paragraphs[0]


def test_basins_say_tolerance_and_small_groups(run):
    text = " ".join(sections.basins(run).paragraphs)
    assert "closer than δs (0.36 in l2)" in text
    assert "probability flow take it back (at most 20 steps, posterior means not clipped)" in text
    assert "D = 64" in text
    assert "are counted, not measured: " in text
    small = [
        (name, k)
        for k, geometry in run.geometries.items()
        for name, group in geometry.groups.items()
        if group.available and not group.measured
    ]
    assert small
    assert all(f"{name} at K = " in text for name, _ in small)


def test_settings_of_the_study_are_said(make_run):
    config = {
        "geometry": {
            "least": 12,
            "cut": 0.5,
            "references": 2,
            "basins": {"draws": 10, "share": 0.9, "levels": 200},
        }
    }
    run = make_run(sizes=SIZES, samples=300, geometry=True, changes={"config": config})
    text = " ".join(sections.basins(run).paragraphs)
    assert "Add noise to a state 10 times" in text
    assert "at least 90% of the times" in text
    assert "200 levels" in text
    assert "Classes of fewer than 12 states" in text
    assert "below 0.5 are soft" in " ".join(sections.curvature(run).paragraphs)
    assert "less that of 2 training images" in " ".join(sections.energy(run).paragraphs)


def test_why_this_noise(run, make_run):
    text = " ".join(sections.curvature(run).paragraphs)
    assert "at 64 training images of the model with K = 1,437" in text
    assert "and 0.06 taken" in text
    noted = run.study.curvature.model_copy(update={"note": "Nothing to choose by."})
    object.__setattr__(run, "study", run.study.model_copy(update={"curvature": noted}))
    assert "Nothing to choose by." in " ".join(sections.curvature(run).paragraphs)
    object.__setattr__(run, "study", run.study.model_copy(update={"curvature": None}))
    assert "no scan is stored" in " ".join(sections.curvature(run).paragraphs)


def test_signs_are_said(run):
    text = " ".join(sections.energy(run).paragraphs)
    assert "negative where the state lies deeper" in text
    assert "depends on no path" in text


def test_limits_name_what_was_seen(run):
    said = {claim.title: claim.sentence for claim in run.claims}
    assert "ball" in said["The shape or the true volume of a basin"]
    assert (
        "At K = 16, 64, 128, and 256 the median held-out image is never"
        in said["How wide the basin of an unseen image is"]
    )
    assert "about 0.045" in said["That a state attracts because its critical noise is small but not zero"]
    assert (
        "above the number of their coordinates" in said["A dimension from images off what the model learned"]
    )


def test_notes_of_a_point_are_claims(run):
    noted = run.audits[0].geometry.model_copy(update={"notes": ("a note of the geometry",)})
    change(run, 16, geometry=noted)
    assert "At K = 16: A note of the geometry." in run.study.said("note")


def test_cells():
    group = GroupSize(available=50, measured=40)
    statuses = {"measured": 38, "never": 1, "undecided": 1}
    half = GroupReading(value=0.0501, low="never", high=0.0663, n=39, statuses=statuses)
    cell = reading_cell(half, group, 12)
    assert (cell.text, cell.value) == ("0.0501", 0.0501)
    assert cell.detail == "never to 0.0663\nn = 40\n1 never, 1 undecided"
    never = reading_cell(half.model_copy(update={"value": "never"}), group, 12)
    assert (never.text, never.value) == ("never", None)
    few = GroupReading(value=None, low=None, high=None, n=2, statuses={"measured": 2, "failed": 9})
    assert (reading_cell(few, group, 12).text, reading_cell(few, group, 12).detail) == (
        "–",
        "2 of 6 needed\n9 failed",
    )
    assert reading_cell(None, GroupSize(available=3, measured=0), 12).detail == "3 of 12 needed"
    assert reading_cell(None, GroupSize(available=0, measured=0), 12).detail == "none"


def test_tables_say_why_there_is_no_number(make_run):
    config = {"geometry": {"least": 14}}
    run = make_run(sizes=(2, *SIZES), samples=300, geometry=True, changes={"config": config})
    found = curve(run.geometries, "critical-noise")
    table = measure_table(found, {k: geometry.groups for k, geometry in run.geometries.items()}, run.least)
    dashes = [cell for row in table.rows for cell in row[1:6] if cell.text == "–"]
    assert {cell.detail.partition(" of ")[2] for cell in dashes if cell.detail != "none"} == {
        "14 needed",
        "6 needed\n21 undecided",  # two training images
    }
    assert make_run(sizes=(16,), samples=40, geometry=True).least == 12  # the default


def test_points_left_out_are_counted(run):
    plant_statuses(run, 128, "critical-noise", "spurious", measured=30, never=2, undecided=5, failed=3)
    found = curve(run.geometries, "critical-noise")
    table = measure_table(found, {k: geometry.groups for k, geometry in run.geometries.items()}, 12)
    full = next(row for row in table.rows if row[0].value == 128)
    assert full[6].detail == "0.85 to 0.95\np < 0.0001\n8 left out"
    assert full[8].detail == "0.85 to 0.95\np < 0.0001"  # memorized and generalized
    assert "left out, being undecided or failed" in table.caption
    orders = order_table(run, ["critical-noise", "log-volume"])
    assert orders.header[-1] == "left out"
    assert [row[-1].text for row in orders.rows] == ["8", "8", "0", "0", "0", "0"]


def test_tables_equal_the_stored_numbers(run):
    found = curve(run.geometries, "critical-noise")
    table = measure_table(found, {k: geometry.groups for k, geometry in run.geometries.items()}, 12)
    assert "unit: noise sigma_t; source: Algorithm 1" in table.caption
    assert table.header[1:6] == ("memorized", "spurious", "generalized", "training", "held-out")
    for row, (k, result) in zip(table.rows, found.points, strict=True):
        assert row[0].value == k
        stored = [result.groups.get(name) for name in table.header[1:6]]
        expected = [r.value if r and isinstance(r.value, float) else None for r in stored]
        assert [cell.value for cell in row[1:6]] == expected
        assert len(row) == len(table.header) == 9
    full = next(row for row in table.rows if row[0].value == 128)
    assert [cell.text for cell in full[6:]] == ["0.90"] * 3
    assert full[6].detail == "0.85 to 0.95\np < 0.0001"


def test_the_table_of_orders(run):
    table = order_table(run, ["critical-noise", "soft-directions", "nothing"])
    assert len(table.rows) == 6
    assert table.rows[3][1].text == "spurious > memorized"
    assert [cell.text for cell in table.rows[0][4:6]] == ["–", "–"]
    assert "64" in table.rows[0][3].text
