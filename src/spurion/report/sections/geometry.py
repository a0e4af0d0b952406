"""The geometry of the states: how wide, how sharp, how deep, and whether the classes are in order."""

__all__ = ["basins", "curvature", "energy", "order", "others"]

from spurion.geometry.measures import MEASURES
from spurion.phases.classification import CLASSES
from spurion.report.blocks import Drawing, Section, Table
from spurion.report.measures import measure_table, order_table
from spurion.report.run import Run
from spurion.statistics.numbers import decimals, listed, size, value
from spurion.studies.geometry.curves import (
    curve,
    drawn,
    measured_names,
    shown,
    title,
    trivial_noise,
)
from spurion.studies.geometry.order import comparison_count, in_words, threshold


def basins(run: Run) -> Section | None:
    """How much noise a state survives (Pham et al., Fig. 4B)."""
    if not shown(run.geometries, "basins"):
        return None
    paragraphs = [_how_basins(run), _too_few(run), *_told(run, "basins")]
    caption = (
        f"Median {_titles(run, 'basins')} of each class against K, with 95% intervals. Thin lines: training "
        "images (solid) and held-out images (dashed), with their intervals. In the strip at the bottom "
        "stand medians of “never”: not recovered from the least noise; in one at the top those of “always”: "
        "recovered from the most."
    )
    if any(trivial_noise(geometry) for geometry in run.geometries.values()):
        caption += (
            " Below the dotted line, where there is one, noise does not carry a point out of the tolerance, "
            "so that recovery there needs no denoising."
        )
    drawing = Drawing("basins", caption, f"Panels over K: {_titles(run, 'basins')} of each class.")
    return Section(
        "basins", "How much noise a state survives", _some(paragraphs), (drawing,), _tables(run, "basins")
    )


def curvature(run: Run) -> Section | None:
    """How many directions are soft, at which noise that is read, and why there (Pham et al., Fig. 5A)."""
    if not shown(run.geometries, "curvature"):
        return None
    paragraphs = [_how_curvature(run), _why_this_noise(run), *_told(run, "curvature")]
    scan = Drawing(
        "noise_scan",
        "Left: how clearly the spectra at training points fall apart into soft and stiff directions "
        "(Otsu’s criterion, 0.25 at most), against the noise. Right: what would be read at each noise. All "
        "are means over the points, with 95% intervals as bands. Dashed line: the noise that was chosen.",
        "Two panels over the noise, with the chosen level marked.",
    )
    spectra = Drawing(
        "spectra",
        "Median stiffness of each direction, from the softest to the stiffest, with its 95% interval as a "
        "band; one curve for each K (dark: few images). Stiffness 1 is a state that pulls back from this "
        "noise at once; 0 is a direction along which nothing pulls; below 0 the score drives away.",
        "Panels of rising spectra, one for each class and for training images, colored by K.",
    )
    directions = Drawing(
        "directions",
        f"Median {_titles(run, 'curvature')} of each class against K, with 95% intervals; thin lines as "
        "above. Where held-out images lie beyond the scale, they are in the table.",
        f"Panels over K: {_titles(run, 'curvature')} of each class.",
    )
    return Section(
        "curvature",
        "How sharp a state is",
        _some(paragraphs),
        (scan, spectra, directions),
        _tables(run, "curvature"),
    )


def energy(run: Run) -> Section | None:
    """How deep the states lie, relative to training images (Pham et al., Fig. 6)."""
    if not shown(run.geometries, "energy"):
        return None
    settings, noise = run.geometry_config, next(iter(run.geometries.values())).noise
    number = f"{size(settings.references)} training images" if settings else "training images"
    paragraphs = [
        f"Relative energy is the potential u of a state less that of {number}, the same ones at every K, as "
        "an integral of the score along the circular path between the two images, at the least noise. The "
        "sign: negative where the state lies deeper than what it is compared with, so memorized states are "
        f"expected lowest. The log-density of the model, smoothed by a noise of {value(noise)}, is found by "
        "the probability flow and depends on no path; there more is deeper, so memorized states are "
        "expected highest.",
        *_told(run, "energy"),
    ]
    caption = (
        f"Median {_titles(run, 'energy')} of each class less the median of the training images at the same "
        "K, with 95% intervals of the difference (Zou and Donner). The line at 0 is a training image. "
        "Held-out images (dashed) may lie beyond the scale; they are in the table."
    )
    drawing = Drawing("energies", caption, f"Panels over K: gaps of {_titles(run, 'energy')} by class.")
    return Section("energy", "How deep a state lies", _some(paragraphs), (drawing,), _tables(run, "energy"))


def others(run: Run) -> Section | None:
    """Measures that belong to none of the sections above."""
    if not shown(run.geometries, "others"):
        return None
    drawing = Drawing(
        "others",
        f"Median {_titles(run, 'others')} of each class against K, with 95% intervals. Thin lines: training "
        "images (solid) and held-out images (dashed), with their intervals.",
        f"Panels over K: {_titles(run, 'others')} of each class.",
    )
    return Section(
        "others", "What else was measured", _some(_told(run, "others")), (drawing,), _tables(run, "others")
    )


def order(run: Run) -> Section | None:
    """Where memorized > spurious > generalized holds, and where it does not."""
    table = order_table(run, measured_names(run.geometries))
    if table is None:
        return None
    text = (
        "The paper expects memorized states to be wider, sharper, and deeper than spurious ones, and these "
        "than generalized ones. For each measure, each K, and each pair of classes, a one-sided rank test "
        "(Mann–Whitney) asks whether that is so; the AUC is the chance that a state of the one class "
        "exceeds one of the other, 0.5 if they are alike. The study makes "
        f"{size(comparison_count(run.geometries))} such tests, so an order is said to hold only where p is "
        f"at most 5% divided by that number, {decimals(5)(threshold(run.geometries))}. It is reversed where "
        "the whole 95% interval of the AUC lies below 0.5, and open everywhere else."
    )
    return Section("order", "Are the classes in order?", (text,), (), (table,))


def _how_basins(run: Run) -> str:
    settings = run.geometry_config
    points = [geometry for geometry in run.geometries.values()]
    tolerances = [geometry.tolerance for geometry in points if geometry.tolerance is not None]
    ends = dict.fromkeys(value(end) for end in (min(tolerances), max(tolerances))) if tolerances else ()
    distance = run.done[0].audit.distance
    basins = settings.basins if settings else None
    draws = f" {size(basins.draws)} times" if basins else ""
    share = f" at least {basins.share:.0%} of the times" if basins else " nearly every time"
    way = _way_back(run)
    rungs = f" Noise is tried at {size(basins.levels)} levels." if basins else ""
    tolerance = f" ({' to '.join(ends)} in {distance.name})" if ends else ""
    return (
        f"Add noise to a state{draws}, let the model’s probability flow take it back{way}, and see whether "
        f"it returns. The critical noise is the most noise σ from which it does so{share}; returned means "
        f"closer than δs{tolerance}, so that it means the same as duplicate.{rungs} The log-volume is that "
        f"of a ball with the mean radius of the recovered noise, in D = {size(points[0].dim)} coordinates: "
        "the same in other units, and no more. A state that returns from no noise at all is “never” "
        "recovered, one that returns from all is “always” recovered; neither is a number, and both count as "
        "below and above every number."
    )


def _way_back(run: Run) -> str:
    """How the flow is followed back, as far as results or configuration say."""
    settings, found = run.geometry_config, list(run.geometries.values())
    clips = {geometry.clip for geometry in found if geometry.clip is not None}
    steps = {geometry.steps for geometry in found if geometry.steps is not None}
    if settings is not None:
        clips, steps = clips or {settings.basins.clip}, steps or {settings.basins.steps}
    if len(clips) != 1 or len(steps) != 1:
        return ""
    clipped = "each posterior mean clipped to [-1, 1]" if clips.pop() else "posterior means not clipped"
    return f" (at most {size(steps.pop())} steps, {clipped})"


def _how_curvature(run: Run) -> str:
    settings = run.geometry_config
    soft = f"below {value(settings.cut)}" if settings else "small"
    asymmetry = [
        a for geometry in run.geometries.values() for a in geometry.asymmetry.values() if a is not None
    ]
    tail = (
        " The Jacobian of an energy is symmetric; that of these networks departs from it by "
        f"{value(min(asymmetry), 2)} to {value(max(asymmetry), 2)} of its size (medians), and only the "
        "symmetric part is read."
        if asymmetry
        else ""
    )
    return (
        "The Jacobian of the score at a state says how strongly the model pulls back in each direction. Its "
        "stiffness is 1 at an isolated memory and 0 along a manifold that the model has learned; directions "
        f"with stiffness {soft} are soft. The intrinsic dimension (FLIPD) counts them without a cut.{tail}"
    )


def _why_this_noise(run: Run) -> str:
    scan = run.curvature
    if scan is None:
        noise = value(next(iter(run.geometries.values())).noise)
        return f"Curvature is read at a noise of {noise} (σ/α); no scan is stored that says why."
    where = (
        f"at {size(scan.points)} training images of the model with K = {size(scan.train_size)} the curvature "
        f"was scanned over {size(len(scan.noise))} levels of noise"
    )
    if scan.note:
        return f"How many directions are soft depends on the noise: {where}. {scan.note}"
    return (
        f"How many directions are soft depends on the noise, so that is chosen by rule: {where}, and "
        f"{value(scan.chosen_noise)} taken, where soft and stiff directions separate most clearly. The "
        "classes had no part in it, and every K is read there."
    )


def _too_few(run: Run) -> str:
    """Classes that were counted and not measured."""
    few = []
    for name in CLASSES:
        sizes = [
            f"{size(k)} ({size(geometry.groups[name].available)})"
            for k, geometry in run.geometries.items()
            if name in geometry.groups
            and geometry.groups[name].available
            and not geometry.groups[name].measured
        ]
        if sizes:
            few.append(f"{name} at K = {listed(sizes)}")
    if not few:
        return ""
    return f"Classes of fewer than {size(run.least)} states are counted, not measured: {'; '.join(few)}."


def _titles(run: Run, section: str) -> str:
    """The measures that the figure of a section draws."""
    return listed([title(found.name) for found in drawn(run.geometries, section)])


def _told(run: Run, section: str) -> list[str]:
    """Where the classes are in order by the measures of a section, in words."""
    names = [name for name in shown(run.geometries, section) if name not in MEASURES or MEASURES[name].told]
    return [in_words(run.geometries, name) for name in names]


def _tables(run: Run, section: str) -> tuple[Table, ...]:
    groups = {k: geometry.groups for k, geometry in run.geometries.items()}
    curves = [
        found for found in (curve(run.geometries, name) for name in shown(run.geometries, section)) if found
    ]
    return tuple(measure_table(found, groups, run.least) for found in curves)


def _some(paragraphs: list[str]) -> tuple[str, ...]:
    return tuple(paragraph for paragraph in paragraphs if paragraph)
