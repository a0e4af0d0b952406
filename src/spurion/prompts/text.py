r"""Texts as conditions: prompts through the tokenizers and text encoders of a pipeline, as diffusers does it.

A prompt becomes at most L tokens (77 for CLIP): a start, its own, an end, and padding. One encoder
(`StableDiffusionPipeline`) gives its last hidden state, with shape (L, d). Two (`StableDiffusionXLPipeline`)
give their last but one, side by side, and the second one also its projected pooled output; the sizes of the
image are a third condition.
"""

__all__ = ["Conditioning", "TextEncoders", "load_text_encoders"]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from spurion.core.files import read_json
from spurion.core.text import printable
from spurion.diffusion.network_file import building, misfit
from spurion.diffusion.weights_file import read_tensors, weight_shapes
from spurion.prompts.extra import quiet_libraries, transformers
from spurion.prompts.networks import fill
from spurion.prompts.pipeline_folder import PipelineFolder, part_weights


@dataclass(frozen=True)
class Conditioning:
    """An encoded prompt.

    Attributes:
        prompt: The text.
        embedding: What the network attends to, float32, with shape (L, d).
        pooled: The pooled output of the second encoder, with shape (p,); None with one encoder.
        extra: Sizes of SDXL (height, width, top, left, height, width, in pixels), with shape (6,); or None.
        tokens: The prompt's own tokens as readable words, without start, end and padding.
        places: The positions of those tokens.
        end: The position of the end token.
        cut: What did not fit, "" if all did.
    """

    prompt: str
    embedding: Float[Tensor, "L d"]
    pooled: Float[Tensor, " p"] | None
    extra: Float[Tensor, " 6"] | None
    tokens: tuple[str, ...]
    places: tuple[int, ...]
    end: int
    cut: str


class _Encoder(NamedTuple):
    """A tokenizer, the encoder of its tokens, and whether padding is masked."""

    tokenizer: Any
    network: Any
    masked: bool


@final
class TextEncoders:
    """The text encoders of a pipeline, in float32.

    Arguments:
        encoders: One, or two, as the networks attend to them side by side.
        max_tokens: The most tokens of a text, start and end included.
        sizes: The sizes that SDXL is told, with shape (6,); None for one encoder.
    """

    def __init__(self, encoders: Sequence[_Encoder], max_tokens: int) -> None:
        self._encoders, self.max_tokens = tuple(encoders), max_tokens
        self.width = sum(encoder.network.config.hidden_size for encoder in encoders)
        self.pooled = int(encoders[-1].network.config.projection_dim) if len(encoders) == 2 else None

    @property
    def networks(self) -> tuple[Any, ...]:
        """The networks of the encoders."""
        return tuple(encoder.network for encoder in self._encoders)

    def to(self, device: torch.device) -> None:
        """Move the encoders."""
        for encoder in self._encoders:
            encoder.network.to(device)

    @torch.no_grad()
    def encode(self, prompt: str, extra: Float[Tensor, " 6"] | None) -> Conditioning:
        """Encode one prompt, by itself, so that it depends on no other."""
        with quiet_libraries():
            embeddings, pooled = [], None
            for encoder in self._encoders:
                states, pooled = self._states(encoder, prompt)
                embeddings.append(states)
            tokenizer = self._encoders[0].tokenizer
            own = tokenizer(prompt).input_ids[1:-1]
            room = self.max_tokens - 2
            words = tuple(_readable(tokenizer, [token]) for token in own[:room])
            cut = _readable(tokenizer, own[room:])
        places = tuple(range(1, len(words) + 1))
        return Conditioning(
            prompt, torch.cat(embeddings, dim=1), pooled, extra, words, places, len(words) + 1, cut
        )

    def _states(self, encoder: _Encoder, prompt: str) -> tuple[Tensor, Tensor | None]:
        """The states of one encoder, with shape (L, d), and its pooled output if it is the second of two."""
        inputs = encoder.tokenizer(
            prompt, padding="max_length", max_length=self.max_tokens, truncation=True, return_tensors="pt"
        )
        device = encoder.network.device
        ids, mask = inputs.input_ids.to(device), inputs.attention_mask.to(device)
        two = len(self._encoders) == 2
        masked = encoder.masked and not two
        out = encoder.network(ids, attention_mask=mask if masked else None, output_hidden_states=two)
        if not two:
            return out[0][0], None
        return out.hidden_states[-2][0], out[0][0] if out[0].ndim == 2 else None

    def zeros(self, like: Conditioning) -> Conditioning:
        """The condition zero, which stands for no negative prompt where a pipeline wants it."""
        pooled = None if like.pooled is None else torch.zeros_like(like.pooled)
        return Conditioning("", torch.zeros_like(like.embedding), pooled, like.extra, (), (), 1, "")


def _readable(tokenizer: Any, ids: list[int]) -> str:
    return printable(tokenizer.decode(ids).strip())


def load_text_encoders(index: PipelineFolder) -> TextEncoders:
    """Load tokenizers and text encoders of a pipeline in float32, on the CPU.

    Raises:
        ValueError: If `transformers` is not installed, or anything is missing, damaged or unsupported.
    """
    library = transformers()
    encoders, most = [], []
    for end in ("", "_2") if index.two_encoders else ("",):
        network, masked = _load_encoder(
            library, index.path / f"text_encoder{end}", index.classes[f"text_encoder{end}"]
        )
        tokenizer = _load_tokenizer(library, index.path / f"tokenizer{end}")
        if len(tokenizer) > network.config.vocab_size:
            raise ValueError(
                f"{index.path / f'tokenizer{end}'} has {len(tokenizer)} tokens, and the text encoder beside "
                f"it knows {network.config.vocab_size}."
            )
        most += [tokenizer.model_max_length, network.config.max_position_embeddings]
        encoders.append(_Encoder(tokenizer, network, masked))
    if min(most) < 3:
        raise ValueError(
            f"{index.path}: its texts have at most {min(most)} tokens, and start and end are two."
        )
    return TextEncoders(encoders, min(most))


def _load_tokenizer(library: Any, folder: Path) -> Any:
    both, one = ("vocab.json", "merges.txt"), "tokenizer.json"
    whole = all((folder / name).is_file() for name in both)
    if not whole and not (folder / one).is_file():
        missing = next(name for name in both if not (folder / name).is_file())
        raise ValueError(f"{folder} is damaged: it has no {missing}, without which no prompt can be read.")
    former = not whole and hasattr(library, "CLIPTokenizerFast")
    kind = library.CLIPTokenizerFast if former else library.CLIPTokenizer
    with building(folder, "tokenizer"), quiet_libraries():
        return kind.from_pretrained(folder, local_files_only=True)


def _load_encoder(library: Any, folder: Path, name: str) -> tuple[Any, bool]:
    """A text encoder, and whether it masks padding."""
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder} is damaged: it has no {path.name}.")
    values = read_json(path, constants=True)
    values = values if isinstance(values, dict) else {}
    files = part_weights(folder)
    shapes = weight_shapes(files)
    layers = values.get("num_hidden_layers", 12)
    if type(layers) is not int or not 0 < layers <= len(shapes):
        raise ValueError(
            f"{path}: `num_hidden_layers` does not fit the weights beside it, got {layers!r:.80}."
        )
    own = {key: value for key, value in values.items() if key not in ("dtype", "torch_dtype")}
    with building(folder), quiet_libraries(), torch.random.fork_rng(devices=[]):
        config = library.CLIPTextConfig.from_dict(own)
        with torch.device("meta"):
            network = getattr(library, name)(config).eval()
        names = {key: _known(key, network.state_dict()) for key in shapes}
        fitting = {known: shapes[key] for key, known in names.items() if known}
        if wrong := misfit(network, fitting):
            raise ValueError(wrong)
    tensors = read_tensors(files, left_out=lambda key: names[key] is None)
    _give_positions(network, config.max_position_embeddings)
    fill(network, {names[key] or key: value for key, value in tensors.items()})
    return network, bool(getattr(config, "use_attention_mask", False))


def _known(name: str, state: Any) -> str | None:
    """What a weight is called today: some versions of `transformers` put `text_model.` before the names."""
    forms = (name, name.removeprefix("text_model."), f"text_model.{name}")
    return next((form for form in forms if form in state), None)


def _give_positions(network: Any, count: int) -> None:
    """The numbers of the positions, which are no weights."""
    for module in network.modules():
        if "position_ids" in getattr(module, "_buffers", {}):
            module.position_ids = torch.arange(count).unsqueeze(0)
