"""The tokenizer that is learned from captions: complete, reproducible, and read by transformers as CLIP's."""

import json

import pytest
from transformers import AutoTokenizer

from prompts.tiny_pipelines import CAPTIONS
from spurion.prompts.study.tokenizer import build_tokenizer


def test_merges_are_those_of_the_textbook_example(tmp_path):
    """The words of Sennrich et al. (2016), Algorithm 1, with their counts, by hand.

    The end of a word is part of its last letter. "e s" is met 9 times, then "es t" 9 times; "l o" 7 times,
    but "lo w" ends 5 words and goes on in 2; of pairs that are met 6 times, "e w" is first in the alphabet.
    """
    words = [("low", 5), ("lower", 2), ("newest", 6), ("widest", 3)]
    build_tokenizer([" ".join([word] * count) for word, count in words], tmp_path, merges=6)
    merges = (tmp_path / "merges.txt").read_text().splitlines()[1:]
    assert merges == ["e s", "es t</w>", "l o", "e w", "ew est</w>", "n ewest</w>"]


def test_a_pair_that_overlaps_itself_is_joined_from_the_left(tmp_path):
    tokenizer = build_tokenizer(["aaaab aaaab"], tmp_path, merges=1)
    assert (tmp_path / "merges.txt").read_text().splitlines()[1:] == ["a a"]
    assert tokenizer.convert_ids_to_tokens(tokenizer("aaab").input_ids)[1:-1] == ["aa", "a", "b</w>"]
    build_tokenizer(["ab"], tmp_path / "once", merges=1)  # what is met once is not joined
    assert (tmp_path / "once" / "merges.txt").read_text() == "#version: 0.2\n"


def test_any_text_has_an_encoding_and_a_way_back(tmp_path):
    tokenizer = build_tokenizer(CAPTIONS, tmp_path, max_length=77, merges=20)
    for text in ("a photo of a red square", "zebra 日本 ñ 17 !?", "\x00\x7f", "it's"):
        ids = tokenizer(text).input_ids
        assert ids[0] == tokenizer.bos_token_id
        assert ids[-1] == tokenizer.eos_token_id == len(tokenizer) - 1
        assert len(tokenizer) - 1 not in ids[1:-1]
        assert "".join(tokenizer.decode(ids[1:-1]).split()) == "".join(text.split())
    assert tokenizer("").input_ids == [tokenizer.bos_token_id, tokenizer.eos_token_id]
    padded = tokenizer("red", padding="max_length", max_length=9).input_ids
    assert padded[-1] == tokenizer.eos_token_id


def test_case_and_spaces_do_not_matter(tmp_path):
    tokenizer = build_tokenizer(CAPTIONS, tmp_path, merges=20)
    assert tokenizer("A  Photo\tof").input_ids == tokenizer("a photo of").input_ids


def test_sizes_are_as_asked(tmp_path):
    tokenizer = build_tokenizer(CAPTIONS * 3, tmp_path, max_length=16, merges=20)
    assert len(tokenizer) == 514 + 20
    assert tokenizer.model_max_length == 16
    assert len(build_tokenizer([], tmp_path / "empty", merges=5)) == 514
    assert len(build_tokenizer(CAPTIONS, tmp_path / "none", merges=0)) == 514


def test_the_same_captions_give_the_same_files(tmp_path):
    for name, captions in (("one", CAPTIONS), ("two", reversed(CAPTIONS))):
        build_tokenizer([*captions] * 40, tmp_path / name, merges=60)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["merges.txt", "tokenizer_config.json", "vocab.json"]
    assert all(
        (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in files
    )
    vocabulary = json.loads((tmp_path / "one" / "vocab.json").read_text())
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))


def test_others_read_it_alike(tmp_path):
    tokenizer = build_tokenizer(CAPTIONS, tmp_path, merges=20)
    other = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    text = "a photo of it's 12 red zebras"
    assert other(text).input_ids == tokenizer(text).input_ids


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"max_length": 2}, "`max_length` must be at least 3 .*, got 2"),
        ({"merges": -1}, "`merges` must be at least 0, got -1"),
    ],
)
def test_bad_sizes_are_one_sentence(tmp_path, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        build_tokenizer(CAPTIONS, tmp_path, **settings)
