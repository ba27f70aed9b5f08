"""Read state dicts from safetensors files and PyTorch files, without running code in them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from avblocks.checkpoint.content import load_content
from avblocks.checkpoint.folder import WEIGHTS, is_damaged, is_ours, weights_of
from avblocks.checkpoint.saves import check_manifest
from avblocks.data.datasets.disk import plain_name
from avblocks.jsonfile import read_json
from avblocks.wrappers import without_inserted

State = dict[str, Tensor]
"""Tensors by name."""

_WRAPPERS = (
    *("model", "state_dict", "module", "teacher", "student", "model_state_dict", "net", "encoder"),
    *("model_ema", "ema", "state_dict_ema", "weights", "params"),
)
_OTHERS = (f"{WEIGHTS}.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_PART = re.compile(r"-\d+-of-0*(\d+)\.(safetensors|bin)")


def read_state(path: str | Path, *, key: str | None = None) -> State:
    """Read a state dict from safetensors or from a PyTorch file (``weights_only=True``).

    A single nested state dict, such as ``{"model": ...}`` or ``{"state_dict": ...}``, is unwrapped,
    and what data parallelism (``module.``), the compiler (``_orig_mod.``), FSDP, activation
    checkpointing and Fabric insert into names is removed. If a run or `save_pretrained` wrote a
    checksum of the file, it is verified.

    Args:
        path: a file of either format, with any suffix; the index of several files,
            ``model.safetensors.index.json``; or a folder with such an index or a
            ``model.safetensors``, as written by `save_pretrained`, or with the older
            ``pytorch_model.bin`` or its index.
        key: key of the wanted state dict if the file has several, such as ``"teacher"``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the folder has no such file, the file is damaged or differs from its
            checksum, is one of several files of a model, or has other content than tensors and
            plain types, no tensors, or several state dicts.
    """
    path = Path(path)
    if path.is_dir():
        path = foreign_weights(path) or weights_of(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint file")
    if (part := _PART.search(path.name)) and int(part[1]) > 1:
        raise ValueError(f"{path}: one of {part[1]} files of a model; give the folder of all")
    check_manifest(path)
    if path.name == WEIGHTS:
        weights_of(path.parent)
    content = _read_parts(path) if path.name.endswith(".index.json") else load_content(path)
    content = _unwrapped(path, content, key)
    return bare_names(content)


def bare_names(content: Mapping[Any, Any]) -> State:
    """Return the tensors by names without what data parallelism, averages and others insert."""
    names = ((without_inserted(str(name)), x) for name, x in content.items())
    state = {name: value for name, value in names if isinstance(value, Tensor)}
    bare = {name: value for name, value in state.items() if name != "n_averaged"}
    while bare and all(name.startswith("module.") for name in bare):
        state = bare = {name.removeprefix("module."): value for name, value in bare.items()}
    return state


def _unwrapped(path: Path, content: object, key: str | None) -> Mapping[object, object]:
    """Find the mapping that holds tensors; a best score beside the weights may be one too."""
    while isinstance(content, Mapping):
        wrappers = _WRAPPERS if key is None else (key,)
        found = [name for name in wrappers if isinstance(content.get(name), Mapping)]
        if key is None:  # search mappings of tensors at any depth
            found = [name for name in found if _holds_any(content[name])]
        keys = ", ".join(map(str, content)) or "none"
        if len(found) > 1:
            raise ValueError(
                f"{path}: holds {' and '.join(found)}: pass the key of the one that is meant, or "
                "save it alone"
            )
        if not found and _holds_tensors(content) and key is None:
            break
        if not found:
            wanted = "a state dict" if key is None else f"one under the key {key!r}"
            reason = f"expected {wanted}, and its keys are: {keys:.200}"
            raise ValueError(f"{path}: holds no tensors by name; {reason}")
        content, key = content[found[0]], None
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: holds no tensors by name; expected a state dict")
    return content


def _holds_tensors(content: Mapping[object, object]) -> bool:
    return any(isinstance(value, Tensor) for value in content.values())


def _holds_any(content: object) -> bool:
    if not isinstance(content, Mapping):
        return False
    return _holds_tensors(content) or any(map(_holds_any, content.values()))


def foreign_weights(folder: Path) -> Path | None:
    """Return the weights in a folder of another program than avblocks, or their index.

    Returns:
        ``None`` if there are none, `save_pretrained` wrote the folder, or it is damaged.
    """
    if is_ours(folder) or is_damaged(folder):
        return None
    return next((folder / name for name in (WEIGHTS, *_OTHERS) if (folder / name).is_file()), None)


def _read_parts(index: Path) -> State:
    """Read the files listed in an index, in the same folder."""
    again = "download all files of the model again"
    files = read_json(index, {"weight_map": {"*": str}}, remedy=again)["weight_map"]
    state: State = {}
    for name in dict.fromkeys(files.values()):
        part = index.parent / plain_name(name, where=str(index))
        if not part.is_file():
            raise FileNotFoundError(f"{part}: no such file, which {index.name} names; {again}")
        loaded = load_content(part)
        state |= loaded if isinstance(loaded, dict) else {}
    lost = [name for name in files if name not in state]
    if lost:
        raise ValueError(f"{index}: its files hold no {lost[0]!r}; {again}")
    return {name: state[name] for name in files}
