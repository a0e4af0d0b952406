"""One measure that fails costs that measure, and nothing else: at images, in a study and in an audit."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from cli.command_line import refused, run, write_images
from planted import planted
from small_geometry import FEW
from spurion import audit
from spurion.cli.study import _failed_measures
from spurion.core.random import generator
from spurion.diffusion.denoisers.exact import ExactDenoiser
from spurion.diffusion.folder import save_denoiser
from spurion.diffusion.schedule import DDPMSchedule
from spurion.geometry import critical, curvature_measures
from spurion.geometry.basin import BasinConfig
from spurion.geometry.critical import CriticalNoise
from spurion.geometry.energy import RelativeEnergy
from spurion.geometry.groups import scan as scans
from spurion.geometry.groups.choice import Group
from spurion.geometry.groups.config import GeometryConfig
from spurion.geometry.groups.measuring import measure, usual_measures
from spurion.geometry.hessian import judged
from spurion.geometry.log_density import FlowLogDensity
from spurion.geometry.measures import MEASURES
from spurion.geometry.volume import LogVolume
from spurion.neighbors.distances import L2
from spurion.report.html import render
from spurion.report.run import read_run
from spurion.studies import study

KNOWN = set(MEASURES) - {"recovery-area"}
"""What studies and audits measure."""
SHAPE = (1, 2, 2)
BASINS = BasinConfig(draws=3, levels=5, steps=4)
CURVATURES = ("soft-directions", "intrinsic-dimension", "mean-curvature", "log-determinant")
BATCH = 4
REASON = "the library\nsays no"


def broken(*_, **__):
    raise RuntimeError(REASON)


SHARED = {
    "basins": (critical, ("critical-noise", "log-volume", "recovery-area")),
    "stiffness": (curvature_measures, CURVATURES),
}
ALONE = {
    "critical-noise": (CriticalNoise, "of"),
    "log-volume": (LogVolume, "of"),
    "relative-energy": (RelativeEnergy, "__call__"),
    "log-density": (FlowLogDensity, "__call__"),
}


def break_alone(monkeypatch, *names, by=broken):
    for name in names:
        monkeypatch.setattr(*ALONE[name], by)


def break_shared(monkeypatch, *names, by=broken):
    for name in names:
        monkeypatch.setattr(SHARED[name][0], name, by)


def model():
    patterns = torch.rand(5, *SHAPE, generator=generator(0, "failures")) - 0.5
    return ExactDenoiser(patterns, DDPMSchedule(100))


def setting_of(denoiser, config):
    references = torch.zeros(1, *SHAPE)
    return config.setting(denoiser, 30, tolerance=0.2, distance=L2(), references=references, seed=0)


def measured_at_images(count=3, names=None):
    """At images of no class, in batches."""
    denoiser = model()
    x = denoiser.patterns.repeat(count, 1, 1, 1)[:count]
    setting = replace(setting_of(denoiser, GeometryConfig(basins=BASINS)), few=None)
    group, names = Group("", count, torch.arange(count), x), list(MEASURES if names is None else names)
    found = measure(denoiser, [group], names, setting, batch=BATCH)
    return {name: groups[""] for name, groups in found.values.items()}, found.losses.sentences()


def measured_in_groups(*names):
    denoiser = model()
    setting = setting_of(denoiser, GeometryConfig(basins=BASINS, energy_points=6, probes=1))
    groups = [Group(name, 5, torch.arange(5), denoiser.patterns) for name in names]
    return measure(denoiser, groups, usual_measures(4, basins=True), setting)


def at_once(measure, denoiser, x, *, generator):
    """A measure that costs nothing."""
    return judged(torch.arange(len(x)).double(), torch.zeros(len(x), dtype=torch.bool))


@pytest.fixture
def quick(monkeypatch):
    """The two costly measures cost nothing: what is asked here is who fails, not what is found."""
    for kind in (RelativeEnergy, FlowLogDensity):
        monkeypatch.setattr(kind, "__call__", at_once)


@pytest.mark.usefixtures("quick")
class TestImages:
    def test_nothing_fails(self):
        found, failures = measured_at_images()
        assert (list(found), failures) == (list(MEASURES), ())

    @pytest.mark.parametrize("name", ALONE)
    def test_one_measure(self, name, monkeypatch):
        break_alone(monkeypatch, name)
        found, failures = measured_at_images()
        assert list(found) == [other for other in MEASURES if other != name]
        assert failures == (f"No {name}: the library says no",)

    @pytest.mark.parametrize("shared", SHARED)
    def test_what_measures_share(self, shared, monkeypatch):
        names = SHARED[shared][1]
        break_shared(monkeypatch, shared)
        found, failures = measured_at_images()
        assert list(found) == [other for other in MEASURES if other not in names]
        assert failures == (f"No {', '.join(names)}: the library says no",)

    def test_a_later_batch(self, monkeypatch):
        real, sizes = curvature_measures.stiffness, []

        def second(denoiser, x, *arguments, **options):
            sizes.append(len(x))
            return broken() if len(x) == 1 else real(denoiser, x, *arguments, **options)

        break_shared(monkeypatch, "stiffness", by=second)
        found, failures = measured_at_images(BATCH + 1)
        assert sizes == [BATCH, 1]
        assert not set(CURVATURES) & set(found)
        assert {len(one.values) for one in found.values()} == {BATCH + 1}
        assert failures == (f"No {', '.join(CURVATURES)}: the library says no",)

    def test_all(self, monkeypatch):
        break_alone(monkeypatch, "relative-energy", "log-density")
        with pytest.raises(ValueError, match=r"^No relative-energy, log-density: the library says no$"):
            measured_at_images(names=["relative-energy", "log-density"])

    @pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
    def test_what_is_no_failure_of_the_measure_ends_all(self, error, monkeypatch):
        def stop(*_, **__):
            raise error

        break_alone(monkeypatch, "log-density", by=stop)
        with pytest.raises(error):
            measured_at_images()


@pytest.mark.usefixtures("quick")
class TestGroups:
    @pytest.mark.parametrize("name", ALONE)
    def test_one_measure(self, name, monkeypatch):
        break_alone(monkeypatch, name)
        found = measured_in_groups("memorized", "training")
        assert set(found.values) == set(MEASURES) - {name, "recovery-area"}
        assert found.losses.sentences() == (
            f"No {name} at memorized points, training points: the library says no",
        )

    @pytest.mark.parametrize("shared", SHARED)
    def test_what_measures_share(self, shared, monkeypatch):
        names = SHARED[shared][1]
        break_shared(monkeypatch, shared)
        found = measured_in_groups("training")
        assert set(found.values) == set(MEASURES) - {*names, "recovery-area"}
        assert len(found.losses.sentences()) == 1

    def test_one_group(self, monkeypatch):
        seen = []

        def first(measure, denoiser, x, *, generator):
            seen.append(len(x))
            return broken() if len(seen) == 1 else real(measure, denoiser, x, generator=generator)

        real = FlowLogDensity.__call__
        break_alone(monkeypatch, "log-density", by=first)
        found = measured_in_groups("memorized", "training")
        assert list(found.values["log-density"]) == ["training"]
        assert found.losses.sentences() == ("No log-density at memorized points: the library says no",)

    def test_all(self, monkeypatch):
        break_alone(monkeypatch, "relative-energy", "log-density")
        break_shared(monkeypatch, "basins", "stiffness")
        with pytest.raises(ValueError, match=r"No critical-noise, log-volume, soft-directions, .*: the libr"):
            measured_in_groups("training")


class TestScan:
    def scan(self):
        denoiser = model()
        return scans.scan(denoiser, denoiser.patterns, GeometryConfig(scan=4), train_size=5, seed=0)

    def test_a_level_that_fails_is_left_out(self, monkeypatch):
        whole, real, seen = self.scan(), scans.stiffness, []

        def second(*arguments, **options):
            seen.append(arguments)
            return broken() if len(seen) == 2 else real(*arguments, **options)

        monkeypatch.setattr(scans, "stiffness", second)
        found = self.scan()
        assert found.separation == (whole.separation[0], None, *whole.separation[2:])
        assert found.note == f"No curvature at noise {whole.noise[1]:.3g}: the library says no"
        assert found.chosen_noise in (found.noise[0], *found.noise[2:])

    def test_without_any_level_the_noise_is_the_usual(self, monkeypatch):
        monkeypatch.setattr(scans, "stiffness", broken)
        found = self.scan()
        assert found.soft_directions == (None,) * 4
        assert found.chosen_noise == pytest.approx(0.1, rel=0.2)
        assert found.note.startswith("No curvature at noise ")
        assert found.note.endswith("the library says no No level separates soft from stiff directions; "
                                   "the curvature is read at 0.1.")  # fmt: skip


TINY = (
    "train_sizes=[12]",
    "denoiser={kind: exact}",
    "sampler.steps=4",
    "sample_size=24",
    "thresholds=fixed:0.36,0.36",
    "gallery=2",
    "training.device=cpu",
    *FEW,
)


def test_a_study_keeps_what_did_not_fail_and_tries_again(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        break_alone(patch, "log-density", "log-volume")
        break_alone(patch, "relative-energy", by=at_once)
        result = study("digits", out=tmp_path, overrides=list(TINY), workers=1)
    told = [sentence.replace("memorized points, ", "") for sentence in _failed_measures(result)]
    assert told == [
        "K = 12: No log-volume, log-density at training points, held-out points: the library says no"
    ]
    (point,) = result.points
    assert {m.name for m in point.audit.geometry.measures} == KNOWN - {"log-volume", "log-density"}
    assert point.audit.geometry.failed == point.audit.geometry.notes[-1:]
    page = render(read_run(tmp_path), {})
    assert "the library says no" in page
    assert sections(page) == {"basins", "curvature", "energy"}
    with pytest.MonkeyPatch.context() as patch:
        break_alone(patch, "log-density", "relative-energy", by=at_once)
        again = study("digits", out=tmp_path, overrides=list(TINY), workers=1)
    assert {m.name for m in again.points[0].audit.geometry.measures} == KNOWN
    assert _failed_measures(again) == []
    for families, left in (
        ((*CURVATURES,), {"basins", "energy"}),
        (("critical-noise", "log-volume"), {"energy"}),
        (("relative-energy", "log-density"), set()),
    ):
        without(tmp_path, families)
        assert sections(render(read_run(tmp_path), {})) == left


def sections(page):
    return {name for name in ("basins", "curvature", "energy") if f'id="{name}"' in page}


def without(folder, names):
    """Take measures, and what belongs to them, out of a stored study."""
    for seals in [*folder.rglob(".seals")]:
        shutil.rmtree(seals)
    stored = json.loads((folder / "study.json").read_text())
    geometry = stored["points"][0]["audit"]["geometry"] = dict(stored["points"][0]["audit"]["geometry"])
    geometry["measures"] = [m for m in geometry["measures"] if m["name"] not in names]
    if set(CURVATURES) <= set(names):
        geometry |= {"spectra": {}, "spectra_low": {}, "spectra_high": {}, "asymmetry": {}}
    for path in (folder / "study.json", folder / "points" / "000012" / "point.json"):
        value = stored if path.name == "study.json" else stored["points"][0]
        if path.exists():
            path.write_text(json.dumps(value))


def test_a_point_without_geometry_is_told():
    lost = SimpleNamespace(notes=("Other.", "The geometry was not measured: no way"), geometry=None)
    sentences = _failed_measures(SimpleNamespace(audits=dict.fromkeys((2, 6), lost)))
    assert sentences == ["K = 2, 6: The geometry was not measured: no way"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model of five images, and sets of images."""
    folder = tmp_path_factory.mktemp("place")
    train = planted(2, train=5).train
    save_denoiser(ExactDenoiser(train, DDPMSchedule(50)), folder / "model")
    write_images(folder / "train.npz", train)
    write_images(folder / "samples.npz", train.repeat(4, 1, 1, 1))
    return folder


def test_an_audit_keeps_what_did_not_fail(place, tmp_path, monkeypatch, words_only):
    break_alone(monkeypatch, "log-density")
    sets = (f"--train={place / 'train.npz'}", f"--samples={place / 'samples.npz'}")
    more = (f"--model={place / 'model'}", "--geometry=6", "--thresholds=fixed:0.5,0.5")
    result = run("audit", *sets, *more, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    sentence = "No log-density at memorized points, training points: the library says no"
    assert f"Note: {sentence}" in " ".join(result.stdout.split())
    stored = json.loads((tmp_path / "out" / "audit.json").read_text())["geometry"]
    assert sentence in stored["notes"]
    assert len(stored["measures"]) == 7
    page = (tmp_path / "out" / "report.html").read_text()
    assert "No log-density at" in page
    assert "points, training points: the library says no" in page


def test_an_audit_whose_scan_fails_has_the_other_measures(place, monkeypatch):
    for module in (scans, curvature_measures):
        monkeypatch.setattr(module, "stiffness", broken)
    train = planted(2, train=5).train
    found = audit(
        train, train.repeat(4, 1, 1, 1), model=place / "model", geometry=6, thresholds="fixed:0.5,0.5"
    )
    assert {m.name for m in found.geometry.measures} == {
        "critical-noise", "log-volume", "relative-energy", "log-density",
    }  # fmt: skip
    assert found.curvature.chosen_noise == pytest.approx(found.geometry.noise)


class TestCommand:
    def arguments(self, place, names):
        return "geometry", place / "model", place / "train.npz", "--measures", names

    def test_one_failure_is_told(self, place, monkeypatch):
        break_alone(monkeypatch, "log-density")
        result = run(*self.arguments(place, "relative-energy,log-density"), "--json")
        assert result.exit_code == 0, result.output
        assert "Note: No log-density: the library says no" in result.stderr
        found = json.loads(result.stdout)
        assert list(found["measures"]) == ["relative-energy"]
        assert found["notes"][0] == "No log-density: the library says no"

    def test_nothing_left_is_an_error(self, place, monkeypatch):
        def full(*_, **__):
            raise torch.OutOfMemoryError("tried to allocate 3 TiB")

        break_alone(monkeypatch, "log-density", by=full)
        message = refused(*self.arguments(place, "log-density"))
        assert "No log-density: Out of memory; try smaller batches" in message


def test_a_spectrum_that_does_not_converge_is_a_value(monkeypatch):
    from spurion.geometry.spectrum import decompose

    real = torch.linalg.svdvals

    def fails(matrices):
        if bool((matrices[:, 0, 0] == 2).any()):
            raise torch.linalg.LinAlgError("did not converge")
        return real(matrices)

    matrices = torch.eye(2, dtype=torch.float64) * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)
    monkeypatch.setattr(torch.linalg, "svdvals", fails)
    found = decompose(matrices)
    assert found.singular[1].isnan().all()
    assert found.singular[[0, 2]].tolist() == [[1, 1], [3, 3]]
    assert found.rho.tolist() == [[1, 1], [2, 2], [3, 3]]
