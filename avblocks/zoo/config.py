"""Numbers that transformers keeps in ``config.json``, beside the weights of a model."""

from pathlib import Path
from typing import Any

from avblocks.checkpoint.folder import CONFIG
from avblocks.jsonfile import Shape, read_json

_OURS = {
    "num_heads": "num_attention_heads",
    "decoder_heads": "decoder_num_attention_heads",
    "norm_eps": "layer_norm_eps",
    "mels": "num_mel_bins",
}
_STRIDES = ("frequency_stride", "time_stride")
_SHAPE: Shape = {"num_attention_heads": int}
_WEIGHTS = (".safetensors", ".bin", ".index.json")


def config_sizes(path: Path) -> dict[str, Any]:
    """Read the numbers of a model of transformers that are not in its tensors.

    Args:
        path: its folder, or a file of weights beside its ``config.json``.

    Returns:
        Those of ``num_heads``, ``decoder_heads``, ``norm_eps``, ``mels`` and ``stride`` that the
        configuration has; none if it is of something else, such as a model of timm.

    Raises:
        ValueError: if the configuration is damaged, or of another activation than GELU.
    """
    if not path.is_dir() and not path.name.endswith(_WEIGHTS):
        return {}
    file = (path if path.is_dir() else path.parent) / CONFIG
    if not file.is_file():
        return {}
    again = "download it again"
    content = read_json(file, remedy=again)
    if not isinstance(content, dict) or "num_attention_heads" not in content:
        return {}
    read_json(file, _SHAPE, remedy=again)
    act = content.get("hidden_act", "gelu")
    if act != "gelu":
        raise ValueError(f"{file}: its activation is {act!r}, and that of these models is 'gelu'")
    numbers = {ours: content[name] for ours, name in _OURS.items() if name in content}
    if all(name in content for name in _STRIDES):
        numbers["stride"] = tuple(content[name] for name in _STRIDES)
    return numbers
