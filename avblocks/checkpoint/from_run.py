"""Weights that a recipe's run left in its folder."""

from avblocks.checkpoint.load import Converted
from avblocks.checkpoint.read import State

MODELS = ("model.mae.", "model.")
"""What stands before the names of a model: of a masked autoencoder, of any other."""


def from_run(state: State, *, part: str = "encoder.") -> Converted:
    """A checkpoint of a recipe (``checkpoints/step-*.ckpt``), for its encoder or another part.

    Args:
        state: the file's state dict.
        part: what stands before the wanted names: ``"encoder."`` for an `AVEncoder`,
            ``"encoder.image."`` for its image ViT, ``"head."`` for the head of a task, ``""`` for
            the whole model: after pre-training the `AVMAE`.

    Raises:
        ValueError: if it is not such a checkpoint, or has no such part.
    """
    model = next((m for m in MODELS if any(name.startswith(m) for name in state)), MODELS[-1])
    prefix = model + part
    kept = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if not kept:
        raise ValueError(
            f"not a checkpoint of a run, or without {part!r}: no name is '{prefix}...'"
        )
    return Converted(kept, tuple(k for k in state if not k.startswith(prefix)))
