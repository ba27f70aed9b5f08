"""Load the weights of an encoder from any supported file, recognized by its names and shapes."""

from collections.abc import Collection
from dataclasses import replace

from torch import nn

from avblocks.checkpoint.from_deepavfusion import from_deepavfusion
from avblocks.checkpoint.from_run import MODELS, from_run
from avblocks.checkpoint.from_vit import from_mae, from_timm
from avblocks.checkpoint.load import load_weights
from avblocks.checkpoint.read import State, bare_names
from avblocks.checkpoint.report import Converted, LoadReport
from avblocks.encoder import AVEncoder
from avblocks.nn.position import LearnedPosition

_CHANNELS = {3: "image", 1: "audio"}


def load_encoder(encoder: AVEncoder, state: State, *, allow: Collection[str] = ()) -> LoadReport:
    """Load weights into an encoder from a file of any supported kind.

    The kind is recognized by names and shapes: a checkpoint of a run, a folder by
    `save_pretrained`, a DeepAVFusion file, or a ViT of MAE, AudioMAE or timm. A ViT is loaded into
    the stream of its input channels (3: image, 1: audio), as `from_mae` or `from_timm` convert it;
    the rest stays at initialization.

    Args:
        encoder: the encoder.
        state: state dict of the file, from `read_state`; what data parallelism and the compiler
            insert into names is removed.
        allow: suffixes of names that may be dropped, see `load_weights`.

    Returns:
        A report on every name.

    Raises:
        ValueError: if the kind of the file is unknown, or nothing in it matches; the encoder is
            then unchanged.
    """
    state = bare_names(state)
    whole = from_encoder(state)
    weights = _one_stream(encoder, state) if whole is None else whole
    return load_weights(encoder, weights, allow=allow)


def from_encoder(state: State) -> Converted | None:
    """Convert the weights of a whole `AVEncoder` from a run, a saved folder or a DeepAVFusion file.

    Args:
        state: state dict of the file.

    Returns:
        The weights with avblocks' names, or ``None`` if the file is of another kind.
    """
    state = bare_names(state)
    if "model.fusion_tokens" in state:  # an encoder as an attribute of a user's module
        return _part(state, "model.")
    if any(name.startswith(MODELS) for name in state):
        return from_run(state)
    if any(name.removeprefix("encoder.") == "fusion_tokens" for name in state):
        return _encoder_alone(from_deepavfusion(state) if _is_theirs(state) else Converted(state))
    return None


def _is_theirs(state: State) -> bool:
    """Return whether the names are those of the reference, whose files include fixed positions."""
    return any(name.endswith("pos_embed") or ".norm1_mm." in name for name in state)


def _encoder_alone(converted: Converted) -> Converted:
    if not any(name.startswith("encoder.") for name in converted.state):
        return converted
    found = _part(converted.state, "encoder.")
    return replace(found, dropped=(*converted.dropped, *found.dropped))


def _part(state: State, prefix: str) -> Converted:
    """Take the weights whose names begin with a prefix."""
    kept = {n.removeprefix(prefix): x for n, x in state.items() if n.startswith(prefix)}
    return Converted(kept, tuple(name for name in state if not name.startswith(prefix)))


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
    converted = (from_timm if learned else from_mae)(state)
    named, prefix = (
        {f"{stream}.{name}": value for name, value in state.items()}
        for state in (converted.state, converted.prefix_tokens)
    )
    return replace(converted, state=named, prefix_tokens=prefix)
