"""The Multimodal Bottleneck Transformer, against scenic's tensors."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from avblocks import AVTokens
from avblocks.zoo import MBT, from_mbt, mbt, mbt_sizes

TOLERANCE = (1e-4, 1e-5)


def model_of(state: dict[str, Tensor], config: dict[str, Any]) -> MBT:
    frames, mels = config["audio"]
    fusion_layer = config["fusion_layer"]
    sizes = mbt_sizes(state, image_size=config["image_size"], mels=mels, fusion_layer=fusion_layer)
    assert sizes["num_heads"] == config["num_heads"] and sizes["depth"] == config["num_layers"]
    assert sizes["audio_size"] == (mels, frames) and sizes["image_size"][0] == config["frames"]
    model = mbt(**sizes, norm_eps=config["layer_norm_eps"]).eval()
    model.load_state_dict(from_mbt(state, mels=mels))
    return model


def theirs(tokens: AVTokens, rows: int) -> Tensor:
    """The audio's tokens before the image's, frame by frame."""
    audio = tokens.audio.unflatten(1, (rows, -1)).transpose(1, 2).flatten(1, 2)
    parts = (tokens.audio_prefix, audio, tokens.image_prefix, tokens.image)
    return torch.cat([x for x in parts if x is not None], dim=1)


def compare(
    tensors: dict[str, Tensor], config: dict[str, Any]
) -> Iterator[tuple[str, Tensor, float, float]]:
    """Tokens after the final norm and logits of each of the file's models."""
    video = tensors["input.video"].permute(0, 4, 1, 2, 3)
    audio = tensors["input.spectrogram"].permute(0, 3, 2, 1)
    for kind in sorted({n.split(".state.")[0] for n in tensors if ".state." in n}):
        prefix = f"{kind}.state."
        state = {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}
        model = model_of(state, config)
        rows = config["audio"][1] // config["patch"]
        with torch.no_grad():
            tokens = model.encoder(image=video, audio=audio)
            yield f"{kind}.tokens", theirs(tokens, rows), *TOLERANCE
            yield f"{kind}.logits", model(image=video, audio=audio), *TOLERANCE
