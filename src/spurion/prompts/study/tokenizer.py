r"""A small CLIP tokenizer learned from captions.

CLIP reads a text as words in lower case, single digits and runs of other signs, each written as bytes, of
which the last is marked as the end of its word. Byte-pair encoding then joins neighbors, by merges in a fixed
order. The vocabulary has all 256 bytes, the same at the end of a word, one token for each merge, and last the
start and the end of a text, so that any text has an encoding and the end has the highest number, as text
encoders want it. Padding is the end again.

References:
    | Neural Machine Translation of Rare Words with Subword Units (Sennrich et al., 2016), Algorithm 1
    | Learning Transferable Visual Models From Natural Language Supervision (Radford et al., 2021), Sec. 2.4
"""

__all__ = ["build_tokenizer"]

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from spurion.core.files import write_json, write_text
from spurion.prompts.extra import quiet_libraries, transformers

START, END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def build_tokenizer(
    captions: Iterable[str], folder: Path | str, *, max_length: int = 77, merges: int = 256
) -> Any:
    """Learn a tokenizer, write it as the folder ``tokenizer`` of a pipeline, and open it from there.

    Arguments:
        captions: The texts; the same texts in the same order give the same files.
        folder: The folder to write, made if needed.
        max_length: The most tokens of a text, start and end included; at least 3.
        merges: The most merges; fewer are learned from few words.

    Returns:
        A ``transformers.CLIPTokenizer``, whose vocabulary has 514 tokens and one for each merge.

    Raises:
        ValueError: If `max_length` or `merges` is out of range, or `transformers` is not installed.
    """
    if max_length < 3:
        raise ValueError(f"`max_length` must be at least 3 (start, a token, end), got {max_length}.")
    if merges < 0:
        raise ValueError(f"`merges` must be at least 0, got {merges}.")
    library, folder = transformers(), Path(folder)
    alphabet, pairs = _learned(list(captions), merges)
    tokens = [*alphabet, *(byte + _WORD_END for byte in alphabet), *map("".join, pairs), START, END]
    write_json(folder / "vocab.json", {token: place for place, token in enumerate(tokens)})
    write_text(folder / "merges.txt", "\n".join(["#version: 0.2", *map(" ".join, pairs), ""]))
    write_json(folder / "tokenizer_config.json", _config(max_length))
    with quiet_libraries():
        return library.CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def _learned(captions: Sequence[str], merges: int) -> tuple[list[str], list[tuple[str, str]]]:
    """The alphabet of bytes, and the merges in their order."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    model = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix=_WORD_END))
    model.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    model.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=2 * len(alphabet) + merges,
        min_frequency=2,
        initial_alphabet=alphabet,
        continuing_subword_prefix="",
        end_of_word_suffix=_WORD_END,
        show_progress=False,
    )
    model.train_from_iterator(captions, trainer)
    learned = json.loads(model.to_str())["model"]["merges"]
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in learned[:merges]]
    return alphabet, [(left, right) for left, right in pairs]


def _config(max_length: int) -> dict[str, Any]:
    return {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": max_length,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
        "do_lower_case": True,
        "errors": "replace",
        "add_prefix_space": False,
    }
