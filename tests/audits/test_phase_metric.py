"""The metric: any order, any process, the same answer as the audit."""

import math

import pytest
import torch
import torch.distributed
import torch.multiprocessing

import spurion
from planted import planted
from spurion.audits.phase_metric import PhaseMetric
from spurion.core.random import generator
from spurion.data import ImageSet

SETS = planted(noise=0.002)
RULE = "fixed:0.5,0.5"
CLASSES = ("memorized", "spurious", "generalized")


def filled(metric, batch=7, order_seed=0, part=slice(None)):
    """A metric that saw the three sets in batches, shuffled within and among sets."""
    random = generator(order_seed, "batches")
    batches = []
    for images, real, holdout in (
        (SETS.train, True, False),
        (SETS.samples, False, False),
        (SETS.holdout, True, True),
    ):
        shuffled = images[torch.randperm(len(images), generator=random)]
        batches += [(some, real, holdout) for some in shuffled.split(batch)]
    for i in torch.randperm(len(batches), generator=random).tolist()[part]:
        images, real, holdout = batches[i]
        metric.update(images, real=real, holdout=holdout)
    return metric


def test_it_finds_what_was_planted():
    found = filled(PhaseMetric(thresholds=RULE)).compute()
    fractions = [found[name] for name in CLASSES]
    assert fractions == (torch.bincount(SETS.labels).double() / len(SETS.labels)).tolist()
    assert found["memorized_low"] < found["memorized"] < found["memorized_high"]
    assert (found["threshold_memorized"], found["threshold_spurious"]) == (0.5, 0.5)
    assert found["closer_to_train_low"] < found["closer_to_train"] < found["closer_to_train_high"]
    assert found["closer_to_train"] > 0.5 > found["closer_to_train_p_value"]
    sizes = [found[f"{role}_size"] for role in ("train", "samples", "holdout")]
    assert sizes == [len(SETS.train), len(SETS.samples), len(SETS.holdout)]
    assert all(type(value) is float for value in found.values())


def test_any_order_of_batches_gives_the_same_answer():
    found = [filled(PhaseMetric(thresholds=RULE), batch, batch).compute() for batch in (1, 8, 1000)]
    assert found[0] == found[1] == found[2]


def test_it_is_the_audit():
    metric = filled(PhaseMetric(thresholds=RULE, seed=4))
    values, result = metric.compute(), metric.audit()
    assert values["ct"] == result.null.ct
    assert values["authpct"] == result.null.authpct
    assert values["spurious_high"] == result.fractions.spurious.high
    other = PhaseMetric(thresholds=RULE, seed=5)
    other.merge_state(metric)
    assert other.audit() != result


def test_what_cannot_be_computed_is_nan():
    metric = PhaseMetric()
    metric.update(SETS.train, real=True)
    metric.update(SETS.holdout[:9], real=False)
    found = metric.compute()
    missing = {name for name, value in found.items() if math.isnan(value)}
    classes = {
        f"{name}{end}" for name in ("memorized", "spurious", "generalized") for end in ("", "_low", "_high")
    }
    null = {"closer_to_train", "closer_to_train_low", "closer_to_train_high", "closer_to_train_p_value"}
    assert missing == classes | null | {"ct", "authpct", "threshold_memorized", "threshold_spurious"}
    assert found["holdout_size"] == 0.0


def test_eight_bit_images_are_scaled():
    eight_bit = PhaseMetric(thresholds=RULE)
    floats = PhaseMetric(thresholds=RULE)
    for images, real in ((SETS.train, True), (SETS.samples, False)):
        levels = ImageSet(images).to_uint8()
        eight_bit.update(levels, real)
        floats.update(ImageSet.from_uint8(levels).images.double(), real)
    assert eight_bit.compute() == pytest.approx(floats.compute(), nan_ok=True)


LEVELS = {name: ImageSet(getattr(SETS, name)).to_uint8() for name in ("train", "samples", "holdout")}


def of_levels(metric, samples, train=LEVELS["train"]):
    """A metric of 8-bit real images, and of samples in whatever form."""
    metric.update(train, real=True)
    metric.update(LEVELS["holdout"], real=True, holdout=True)
    metric.update(samples, real=False)
    return metric


FORMS = {
    "floats in [0, 1]": (LEVELS["samples"] / 255, (0, 1)),
    "float64 in [0, 1]": (LEVELS["samples"].double() / 255, {"samples": (0, 1)}),
    "floats to 255": (LEVELS["samples"].float(), (0, 255)),
    "int64": (LEVELS["samples"].long(), (0, 255)),
    "float16 to 255": (LEVELS["samples"].half(), {"samples": (0, 255)}),
}


@pytest.mark.parametrize(("samples", "ends"), FORMS.values(), ids=FORMS)
def test_a_range_is_that_of_all_but_bytes_or_of_a_set(samples, ends):
    same = of_levels(PhaseMetric(thresholds=RULE), LEVELS["samples"])
    assert of_levels(PhaseMetric(thresholds=RULE, value_range=ends), samples).compute() == same.compute()


def test_bytes_take_a_range_of_their_own():
    halves = (LEVELS["train"] // 2).to(torch.uint8)
    metric = PhaseMetric(value_range={"train": (0, 127)})
    metric.update(halves, real=True)
    assert (metric._images["train"][0].min() < -0.8) & (metric._images["train"][0].max() > 0.8)


def test_samples_of_another_range_are_a_warning():
    metric = of_levels(PhaseMetric(thresholds=RULE), LEVELS["samples"] / 255)
    with pytest.warns(UserWarning, match="The samples have values from 0.0\\d+ to 0.9\\d+ only") as caught:
        metric.compute()
    (warning,) = (claim for claim in metric.audit().claims if claim.severity == "warning")
    assert warning.kind == "other_range"
    assert str(caught[0].message) == warning.sentence


def test_what_lies_outside_is_clipped_on_request():
    metric = PhaseMetric(clip=True)
    metric.update(SETS.train * 2, real=True)
    assert torch.equal(metric._images["train"][0], (SETS.train * 2).clamp(-1, 1))


def test_a_batch_may_be_empty_and_is_kept_as_it_was():
    metric = PhaseMetric(thresholds=RULE)
    batch = SETS.train.clone()
    metric.update(batch[:0], real=True)
    metric.update(batch, real=True)
    batch.zero_()
    metric.update(SETS.samples, real=False)
    assert metric.compute()["memorized"] == pytest.approx((SETS.labels == 0).double().mean().item())


def test_reset_forgets_everything():
    metric = filled(PhaseMetric(thresholds=RULE))
    first = metric.compute()
    metric.reset()
    with pytest.raises(ValueError, match="there is nothing to compute: `update` with training images"):
        metric.compute()
    assert filled(metric).compute() == first


@pytest.mark.parametrize("real", [True, False])
def test_one_set_alone_is_not_enough(real):
    metric = PhaseMetric(thresholds=RULE)
    metric.update(SETS.train, real=real)
    with pytest.raises(ValueError, match="there is nothing to compute"):
        metric.compute()


def test_states_merge():
    whole = filled(PhaseMetric(thresholds=RULE)).compute()
    parts = [filled(PhaseMetric(thresholds=RULE), part=slice(i, None, 3)) for i in range(3)]
    parts[0].merge_state(*parts[1:])
    assert parts[0].compute() == whole
    assert len(parts[1]._images["samples"]) < len(parts[0]._images["samples"])


def run_process(rank, folder):
    """One of two processes, each with half of the batches; their answers are compared by the test."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    metric = filled(PhaseMetric(thresholds=RULE), part=slice(rank, None, 2))
    alone = PhaseMetric(thresholds=RULE, sync_on_compute=False)
    alone.merge_state(metric)
    torch.save((metric.compute(), alone.compute()), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_several_processes_give_the_answer_for_all_images(tmp_path):
    torch.multiprocessing.spawn(run_process, (str(tmp_path),), nprocs=2)
    whole = filled(PhaseMetric(thresholds=RULE)).compute()
    (first, first_alone), (second, second_alone) = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert first == second == whole
    assert first_alone["samples_size"] + second_alone["samples_size"] == whole["samples_size"]


def test_it_is_offered_by_the_package():
    assert spurion.PhaseMetric is PhaseMetric


class TestBadInput:
    def test_held_out_samples(self):
        with pytest.raises(ValueError, match="`holdout` is for real images"):
            PhaseMetric().update(SETS.samples, real=False, holdout=True)

    def test_another_shape(self):
        metric = PhaseMetric()
        metric.update(SETS.train, real=True)
        with pytest.raises(ValueError, match=r"`images` must have the shape \(1, 4, 6\)"):
            metric.update(SETS.samples[..., :5], real=False)

    def test_out_of_range(self):
        with pytest.raises(ValueError, match=r"image 0 of the batch holds .*, outside \[-1, 1\]; give"):
            PhaseMetric().update(SETS.train * 255, real=True)

    @pytest.mark.parametrize("shape", [(4, 6), (2, 2, 4, 6)])
    def test_no_images(self, shape):
        with pytest.raises(ValueError, match="the batch must have the shape"):
            PhaseMetric().update(torch.zeros(shape), real=True)
