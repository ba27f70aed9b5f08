"""Weights for an encoder, out of whatever published file or checkpoint they are in."""

from collections.abc import Collection
from dataclasses import replace

from torch import nn

from avblocks.checkpoint.from_deepavfusion import from_deepavfusion
from avblocks.checkpoint.from_run import MODELS, from_run
from avblocks.checkpoint.from_vit import from_audiomae, from_mae, from_timm
from avblocks.checkpoint.load import Converted, LoadReport, load_weights
from avblocks.checkpoint.read import State
from avblocks.encoder import AVEncoder
from avblocks.nn.position import LearnedPosition

_CHANNELS = {3: "image", 1: "audio"}


def load_encoder(encoder: AVEncoder, state: State, *, allow: Collection[str] = ()) -> LoadReport:
    """Fill an encoder from a file of any known kind, told by its names and shapes.

    A checkpoint of one of our runs, what `save_pretrained` saved, a DeepAVFusion file, or a ViT by
    MAE, AudioMAE or timm, which fills the stream of its channels (3: image, 1: audio, taken for
    AudioMAE's) and leaves the rest at initialisation.

    Args:
        encoder: the encoder.
        state: the file's state dict, from `read_state`.
        allow: ends of names that may be left out, see `load_weights`.

    Returns:
        What became of every name.

    Raises:
        ValueError: if the file is of no known kind, or nothing in it fits; the encoder is then
            unchanged.
    """
    whole = from_encoder(state)
    weights = _one_stream(encoder, state) if whole is None else whole
    return load_weights(encoder, weights, allow=allow)


def from_encoder(state: State) -> Converted | None:
    """Weights of a whole `AVEncoder` out of a run, a saved folder or a DeepAVFusion file.

    Args:
        state: the file's state dict.

    Returns:
        The weights by our names, or ``None`` if it is a file of another kind.
    """
    if any(name.startswith(MODELS) for name in state):
        return from_run(state)
    if any(name.removeprefix("encoder.") == "fusion_tokens" for name in state):
        return _encoder_alone(from_deepavfusion(state) if _is_theirs(state) else Converted(state))
    return None


def _is_theirs(state: State) -> bool:
    """Whether an encoder is in the names of the reference, which keeps its fixed positions too."""
    return any(name.endswith("pos_embed") or ".norm1_mm." in name for name in state)


def _encoder_alone(converted: Converted) -> Converted:
    inside = [name for name in converted.state if name.startswith("encoder.")]
    if not inside:
        return converted
    kept = {name.removeprefix("encoder."): converted.state[name] for name in inside}
    others = (name for name in converted.state if not name.startswith("encoder."))
    return Converted(kept, (*converted.dropped, *others))


def _one_stream(encoder: AVEncoder, state: State) -> Converted:
    patches = [v for name, v in state.items() if name.endswith("patch_embed.proj.weight")]
    stream = _CHANNELS.get(patches[0].shape[1]) if len(patches) == 1 else None
    if stream is None:
        raise ValueError(
            "weights of no known kind: expected a run's checkpoint, a DeepAVFusion file, or one "
            f"ViT over 3 or 1 channels, got names such as {sorted(state)[:3]}"
        )
    vit: nn.Module = encoder.get_submodule(stream)
    learned = any(isinstance(module, LearnedPosition) for module in vit.modules())
    if stream == "audio":
        converted = from_audiomae(state, learned_position=learned)
    else:
        converted = (from_timm if learned else from_mae)(state)
    named, prefix = (
        {f"{stream}.{name}": value for name, value in state.items()}
        for state in (converted.state, converted.prefix_tokens)
    )
    return replace(converted, state=named, prefix_tokens=prefix)
