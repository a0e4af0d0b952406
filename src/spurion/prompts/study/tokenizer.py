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

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
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
        captions: The texts; the same texts, in any order, give the same files.
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
    alphabet, pairs = _learned(captions, merges)
    tokens = [*alphabet, *(byte + _WORD_END for byte in alphabet), *map("".join, pairs), START, END]
    write_json(folder / "vocab.json", {token: place for place, token in enumerate(tokens)})
    write_text(folder / "merges.txt", "\n".join(["#version: 0.2", *map(" ".join, pairs), ""]))
    write_json(folder / "tokenizer_config.json", _config(max_length))
    with quiet_libraries():
        return library.CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def _learned(captions: Iterable[str], merges: int) -> tuple[list[str], list[tuple[str, str]]]:
    """The alphabet of bytes, and the merges in their order."""
    from tokenizers import Regex, normalizers, pre_tokenizers

    normalize = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()]).normalize_str
    split = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    words = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    counts = Counter(word for text in captions for word, _ in words.pre_tokenize_str(normalize(text)))
    spelled = {(*word[:-1], word[-1] + _WORD_END): count for word, count in counts.items()}
    pairs: list[tuple[str, str]] = []
    while len(pairs) < merges and (pair := _most_frequent(spelled)):
        pairs.append(pair)
        spelled = {_merged(word, pair): count for word, count in spelled.items()}
    return sorted(pre_tokenizers.ByteLevel.alphabet()), pairs


def _most_frequent(words: Mapping[tuple[str, ...], int]) -> tuple[str, str] | None:
    """The neighbors that are met most often, at least twice; of several the first in the alphabet."""
    counts: Counter[tuple[str, str]] = Counter()
    for word, count in words.items():
        for pair in pairwise(word):
            counts[pair] += count
    best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
    return best if best is not None and counts[best] > 1 else None


def _merged(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    """A word with every occurrence of a pair joined, from the left."""
    joined: list[str] = []
    for token in word:
        if joined and (joined[-1], token) == pair:
            joined[-1] += token
        else:
            joined.append(token)
    return tuple(joined)


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
