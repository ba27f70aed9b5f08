"""Weights that a recipe's run left in its folder."""

from avblocks.checkpoint.load import Converted
from avblocks.checkpoint.read import State

_MODEL = "model.mae."


def from_run(state: State, *, part: str = "encoder.") -> Converted:
    """A pre-training checkpoint (``checkpoints/step-*.ckpt``), for its encoder or another part.

    Args:
        state: the file's state dict.
        part: what stands before the wanted names: ``"encoder."`` for an `AVEncoder`,
            ``"encoder.image."`` for its image ViT, ``""`` for the whole `AVMAE`.

    Raises:
        ValueError: if it is not such a checkpoint, or has no such part.
    """
    prefix = _MODEL + part
    kept = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if not kept:
        raise ValueError(
            f"not a checkpoint of a run, or without {part!r}: no name is '{prefix}...'"
        )
    return Converted(kept, tuple(k for k in state if not k.startswith(prefix)))
