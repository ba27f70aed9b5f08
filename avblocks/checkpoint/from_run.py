"""Conversion of checkpoints of a run."""

from avblocks.checkpoint.read import State
from avblocks.checkpoint.report import Converted

MODELS = ("model.mae.", "model.")
"""Prefixes of the names of a model: of a masked autoencoder, and of other tasks."""


def from_run(state: State, *, part: str = "encoder.") -> Converted:
    """Extract a part of the model from a checkpoint of a recipe (``checkpoints/step-*.ckpt``).

    Args:
        state: state dict of the file.
        part: prefix of the part: ``"encoder."`` for the `AVEncoder`, ``"encoder.image."`` for its
            image ViT, ``"head."`` for the head of a task, ``""`` for the whole model, which is an
            `AVMAE` after pre-training.

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
