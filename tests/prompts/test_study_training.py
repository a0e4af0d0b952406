"""The planted model: an ordinary pipeline, the same bytes after a kill, and captions in their batches."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
import torch

from small_prompts import small_config
from spurion.core.random import generator
from spurion.diffusion.batches import Batches
from spurion.diffusion.schedule import DDPMSchedule
from spurion.prompts.study.batches import CaptionedBatches
from spurion.prompts.study.network import CaptionedNetwork
from spurion.prompts.study.tokenizer import build_tokenizer
from spurion.prompts.study.training import Planted, is_planted, train_planted

pytest.importorskip("transformers")

KILLED = """
import os, sys
from small_prompts import small_config
from spurion.prompts.study.training import train_planted

def end(done, total):
    if done == int(sys.argv[2]):
        os.kill(os.getpid(), 9)

train_planted(small_config(), sys.argv[1], end)
"""


def digests(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return train_planted(small_config(), tmp_path_factory.mktemp("planted"))


def test_diffusers_opens_and_runs_the_folder(planted):
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(planted.model, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.safety_checker is None
    assert pipeline.vae_scale_factor == 1
    image = pipeline(
        planted.planting.captions[0],
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
    ).images
    assert image.shape == (1, 1, 8, 8)
    assert image.isfinite().all()


def test_the_folder_holds_safetensors_and_text_alone(planted):
    endings = {path.suffix for path in planted.model.rglob("*") if path.is_file()}
    assert endings == {".json", ".txt", ".safetensors"}
    index = json.loads((planted.model / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionPipeline"
    assert index["safety_checker"] == [None, None]


def test_every_word_of_the_captions_is_one_token(planted):
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(planted.model / "tokenizer")
    captions = list(planted.planting.captions)
    lengths = [len(tokens) for tokens in tokenizer(captions)["input_ids"]]
    assert max(max(lengths), 16) == tokenizer.model_max_length
    usual = [c for c in captions if all(sum(f" {w} " in f" {o} " for o in captions) > 1 for w in c.split())]
    assert all(len(tokenizer(c)["input_ids"]) == len(c.split()) + 2 for c in usual)


def test_given_again_it_computes_nothing(planted):
    seen = []
    before = digests(planted.model.parent)
    again = train_planted(small_config(), planted.model.parent, lambda *told: seen.append(told))
    assert seen == []
    assert digests(planted.model.parent) == before
    assert is_planted(planted.model.parent)
    assert (again.model, again.table) == (planted.model, planted.table)


@pytest.mark.parametrize("step", [1, 2, 5, 6])
def test_stopped_it_goes_on_to_the_same_bytes(planted, tmp_path, step):
    def stop(done, total):
        if done == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_planted(small_config(), tmp_path, stop)
    assert not is_planted(tmp_path)
    train_planted(small_config(), tmp_path)
    assert digests(tmp_path) == digests(planted.model.parent)


@pytest.mark.slow
def test_killed_it_goes_on_to_the_same_bytes(planted, tmp_path):
    out = tmp_path / "run"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(["tests", *sys.path])}
    done = subprocess.run([sys.executable, "-c", KILLED, str(out), "3"], env=environment, timeout=250)
    assert done.returncode == -9
    assert not is_planted(out)
    train_planted(small_config(), out)
    assert digests(out) == digests(planted.model.parent)


def test_a_damaged_model_is_made_again_from_the_last_state(tmp_path, planted):
    out = tmp_path / "run"
    train_planted(small_config(), out)
    before = digests(out)
    (out / "model" / "unet" / "config.json").write_text("{}")
    (out / "images" / "train" / "single-0000.png").unlink()
    seen = []
    train_planted(small_config(), out, lambda *told: seen.append(told))
    assert seen == []
    assert digests(out) == before


def test_another_study_is_refused(planted):
    with pytest.raises(ValueError, match="belongs to another training"):
        train_planted(small_config("unconditional=0.2"), planted.model.parent)
    assert is_planted(planted.model.parent)


def test_a_network_too_deep_for_its_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="halves images 4 times, which their size, 8 x 8"):
        train_planted(small_config("network.channels=[16, 16, 16, 16, 16]"), tmp_path)


def test_a_device_that_is_not_there_is_refused(tmp_path):
    if torch.backends.mps.is_available():
        pytest.skip("this machine has it")
    with pytest.raises(ValueError, match="`device` is mps"):
        train_planted(small_config(), tmp_path, device="mps")


def test_batches_pair_every_image_with_its_own_caption():
    images = torch.arange(6.0).reshape(6, 1, 1, 1)
    tokens = torch.arange(6).unsqueeze(1).repeat(1, 3) + 10
    schedule = DDPMSchedule()
    batches = CaptionedBatches(
        images, tokens, empty=torch.zeros(3, dtype=torch.int64), schedule=schedule, batch_size=4,
        prediction="sample", unconditional=0.3, seed=5,
    )  # fmt: skip
    plain = Batches(images, schedule, batch_size=4, replacement=False, prediction="sample", seed=5)
    empty, seen = 0, []
    for step, batch in enumerate(batches.ahead(range(300))):
        expected = plain(step)
        assert torch.equal(batch.x_t, expected.x_t)
        assert torch.equal(batch.t[:, 0], expected.t)
        dropped = batch.t[:, 1] == 0
        own = batch.target.flatten().long()  # the clean image itself
        assert torch.equal(batch.t[~dropped][:, 1:], tokens[own[~dropped]])
        assert (batch.t[dropped][:, 1:] == 0).all()
        empty += int(dropped.sum())
        seen += own.tolist()
    assert 1200 * 0.3 - 5 * 16 < empty < 1200 * 0.3 + 5 * 16  # standard deviation (1200 * 0.21)^(1/2) = 16
    assert [seen.count(image) for image in range(6)] == [200] * 6  # 300 * 4 / 6, whole passes


def test_batches_do_not_depend_on_where_they_start():
    make = CaptionedBatches(
        torch.arange(20.0).reshape(5, 1, 2, 2), torch.arange(15).reshape(5, 3),
        empty=torch.zeros(3, dtype=torch.int64), schedule=DDPMSchedule(), batch_size=8,
        prediction="epsilon", unconditional=0.5, seed=1,
    )  # fmt: skip
    whole, late = list(make.ahead(range(6))), list(make.ahead(range(4, 6)))
    for one, other in zip(whole[4:], late, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert len(whole[0].x_t) == 5  # no larger than the list


def test_the_network_answers_a_caption_and_its_weights_follow_from_the_generator(tmp_path):
    config = small_config()
    tokenizer = build_tokenizer(["a b c", "a b d"], tmp_path, max_length=8)
    before = torch.get_rng_state()
    first, again = (
        CaptionedNetwork(config.network, (1, 8, 8), tokenizer, generator=generator(3, "weights"))
        for _ in range(2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    rows = torch.tensor([[500, *range(8)], [500, *range(1, 9)]])
    x_t = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(2, -1, -1, -1)
    with torch.no_grad():
        one, other = first.eval()(x_t, rows), again.eval()(x_t, rows)
    assert torch.equal(one, other)
    assert not torch.allclose(one[0], one[1])


def test_sides_that_differ_make_a_network_too(tmp_path):
    tokenizer = build_tokenizer(["a b"], tmp_path, max_length=4)
    network = CaptionedNetwork(small_config().network, (3, 4, 8), tokenizer, generator=generator(0))
    with torch.no_grad():
        assert network(torch.ones(1, 3, 4, 8), torch.tensor([[1, 2, 3, 4, 5]])).shape == (1, 3, 4, 8)


def test_planted_is_what_the_files_hold(planted):
    assert isinstance(planted, Planted)
    assert planted.table.name == "prompts.csv"
    assert len(planted.planting.pairs) == 6 + 2 * (3 + 5) + 2 * 2
