"""Content of a checkpoint file, and what other files are, without running code in them."""

import pickle
import pickletools
import re
import struct
from argparse import Namespace
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

# Errors that damaged files may raise.
_DAMAGED = (
    SafetensorError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
)
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a number at the start of torch.save's older format
_PICKLES = 2**26  # bytes, more than the names and sizes of all tensors; their values follow
_REMEDY = "give a file of safetensors or of torch.save, or download it again"
_NO_CODE = "and code in checkpoints is never run; where you trust it, convert it: "


def load_content(path: Path) -> object:
    """Load a file of safetensors or of ``torch.save``, with any suffix.

    Raises:
        ValueError: if it is another file, is damaged, or holds code.
    """
    with path.open("rb") as file:
        start = file.read(256)
    safetensors = start[8:9] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size
    if not safetensors and (other := _other(path, start)) is not None:
        raise ValueError(f"{path}: not a checkpoint: {other}")
    try:
        if safetensors:
            return load_file(path)
        # MAE and derived projects save the command line with the weights, as a namespace.
        # By its path, torch would take a file named .safetensors for one.
        with path.open("rb") as file, torch.serialization.safe_globals([Namespace]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _is_cut(path):
            raise ValueError(f"{path}: {_damaged('PyTorch')}") from error
        refused = re.search(r"GLOBAL (\S+)", str(error))
        inside = f" (it holds {refused[1]})" if refused else ""
        raise ValueError(
            f"{path}: not a PyTorch file of tensors and plain types{inside}, {_NO_CODE}"
            "safetensors.torch.save_file({name: x for name, x in torch.load(FILE, "
            "weights_only=False)['model'].items() if torch.is_tensor(x)}, OUT)"
        ) from error
    except _DAMAGED as error:
        fault = _damaged("safetensors" if safetensors else "PyTorch")
        if "allocate memory" in str(error):
            fault = "larger than the free memory"
        raise ValueError(f"{path}: {fault}") from error


def _damaged(kind: str) -> str:
    return f"a damaged {kind} file, copy or download it again"


def _is_cut(path: Path) -> bool:
    """Whether a file of the older format ends within its pickles, found without running them.

    A name that is cut reads as that of another object, which is refused.
    """
    with path.open("rb") as file:
        head = file.read(_PICKLES)
    if head.startswith(_ZIP):
        return False
    content = BytesIO(head)  # reads no more than there is, whichever lengths it names
    try:
        for _ in range(4):  # a number, the format, the system, and the content
            any(False for _ in pickletools.genops(content))
    except (ValueError, OverflowError):
        return True
    return False


def _other(path: Path, start: bytes) -> str | None:
    """Describe a file that is no PyTorch file, with a remedy; None for a PyTorch file."""
    if start.startswith(_ZIP):
        return _other_zip(path)
    if start.startswith(_PICKLE) and _TORCH not in start:
        again = "torch.save(pickle.load(open(FILE, 'rb')), OUT)"
        return f"it is a pickle that torch.save did not write, {_NO_CODE}{again}"
    if start.startswith(_PICKLE):
        return None
    begins = f"it begins with {_printable(start)!r}" if start else "it is empty"
    return f"{begins}; {_REMEDY}"


def _other_zip(path: Path) -> str | None:
    """Describe a zip archive that ``torch.save`` did not write; None for others and damaged ones.

    ``torch.save`` puts everything in one folder, and TorchScript adds its constants.
    """
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
    except (BadZipFile, OSError, *_DAMAGED):
        return None
    inside = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inside:
        again = "torch.save(torch.jit.load(FILE).state_dict(), OUT)"
        return f"it is a TorchScript program, {_NO_CODE}{again}"
    if "data.pkl" not in inside:
        return f"it is a zip archive of {names[0] if names else 'nothing'!r}; {_REMEDY}"
    return None


def _printable(start: bytes) -> str | bytes:
    """Return the first words of a text, or the first bytes of another file."""
    text = " ".join(start.decode(errors="ignore").split())[:40]
    return text if text.isprintable() else start[:8]
