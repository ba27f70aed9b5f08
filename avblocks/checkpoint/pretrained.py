"""Models out to a folder of weights and numbers, and in again, without any code of one's own."""

import json
from pathlib import Path

from avblocks.checkpoint import _folder
from avblocks.checkpoint._config import checked
from avblocks.checkpoint._numbers import Numbers, build_encoder, build_mae, numbers_of
from avblocks.checkpoint._values import check_values, filled, values_of
from avblocks.encoder import AVEncoder
from avblocks.mae import AVMAE


def save_pretrained(model: AVEncoder | AVMAE, folder: str | Path) -> None:
    """Save a model that `av_vit` or `av_mae` built, as ``model.safetensors`` and ``config.json``.

    The numbers that it is rebuilt from are read from the model itself, and compared with it part
    by part. Whether it trains, stands on a GPU or saves memory by checkpointing is not kept.

    Args:
        model: the encoder, or the autoencoder with its decoders; of one number format.
        folder: where to; what an earlier save left there is replaced.

    Raises:
        ValueError: if the builders make no such model; then, and if it cannot be written, what
            was in the folder is unchanged.
        OSError: if the folder is a file, holds a ``config.json`` or weights of something else, or
            cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from avblocks import av_vit
        >>> encoder = av_vit(8, depth=1, num_heads=2, patch=4, image_size=8, audio_size=(8, 12))
        >>> with TemporaryDirectory() as folder:
        ...     save_pretrained(encoder, folder)
        ...     again = from_pretrained(folder)
        >>> again.fusion_tokens.equal(encoder.fusion_tokens)
        True
    """
    numbers = check_can_save(model, folder)
    _folder.write(Path(folder), state=values_of(model), sections=numbers)


def check_can_save(model: AVEncoder | AVMAE, folder: str | Path) -> Numbers:
    """The numbers of a model that `save_pretrained` can save there.

    Raises:
        ValueError: as in `save_pretrained`.
        OSError: if the folder is a file, or holds something else.
    """
    _folder.check_free(Path(folder))
    numbers = numbers_of(model)
    try:
        checked(json.loads(json.dumps(numbers)))  # or it could not be loaded
    except TypeError as error:
        raise ValueError(f"the model has a number of a kind that JSON has not: {error}") from error
    check_values(model)
    return numbers


def from_pretrained(folder: str | Path) -> AVEncoder:
    """The encoder that `save_pretrained` left in a folder, alone or in an autoencoder.

    Args:
        folder: the folder.

    Returns:
        The encoder, on the CPU, in evaluation mode, in the number format it was saved in. The
        state of random numbers stays as it is.

    Raises:
        OSError: if there is no such folder.
        ValueError: if it is none of ours, half of one, damaged, or if its weights are not those
            of its numbers; nothing is allocated then.
    """
    numbers, folder = read_numbers(folder), Path(folder)
    prefix = "encoder." if "av_mae" in numbers else ""
    return filled(lambda: build_encoder(numbers), folder, numbers=numbers, prefix=prefix)


def mae_from_pretrained(folder: str | Path) -> AVMAE:
    """The masked autoencoder that `save_pretrained` left in a folder, as in `from_pretrained`.

    Args:
        folder: the folder.

    Raises:
        OSError: if there is no such folder.
        ValueError: as in `from_pretrained`, or if it holds an encoder alone.
    """
    numbers, folder = read_numbers(folder), Path(folder)
    if "av_mae" not in numbers:
        raise ValueError(f"{folder} holds an encoder without decoders: use from_pretrained")
    return filled(lambda: build_mae(numbers), folder, numbers=numbers, prefix="")


def read_numbers(folder: str | Path) -> Numbers:
    """The numbers that a folder's model is built from, by builder.

    Args:
        folder: where `save_pretrained` left it.

    Raises:
        OSError: if there is no such folder.
        ValueError: if it is none of ours, or its numbers are not such as the builders take.
    """
    sections = _folder.read(Path(folder))
    try:
        return checked(sections)
    except ValueError as error:
        raise ValueError(
            f"{Path(folder) / _folder.CONFIG}: {error}; it was changed by hand, or is of another "
            "version of avblocks: save or download it again"
        ) from error
