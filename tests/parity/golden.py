"""Golden tensors of the reference implementation: where they lie, and the model of a file.

``AVBLOCKS_GOLDEN=DIR`` takes another folder.
"""

import json
import os
from functools import partial
from pathlib import Path

import pytest
import torch
from deviations import keep
from safetensors import safe_open
from torch import Tensor
from torch.testing import assert_close

from avblocks import AVMAE, AVEncoder, av_mae, fusion_block, vit

GOLDEN = Path(os.environ.get("AVBLOCKS_GOLDEN", Path(__file__).parents[1] / "golden"))
FUSIONS = {"factorized_mmi": "factorized", "dense_mmi": "dense", "token": "token"}


def golden_files(form: str) -> list:
    """One parameter a file of the form, or a visible skip where the folder has none."""
    files = sorted(GOLDEN.glob(f"{form}*.safetensors"))
    if not files:
        return [pytest.param(None, marks=pytest.mark.skip(f"no {form}* in {GOLDEN}"), id=form)]
    return [pytest.param(file, id=file.stem) for file in files]


def read(file: Path) -> tuple[dict[str, Tensor], dict]:
    with safe_open(file, framework="pt") as tensors:
        content = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
        return content, json.loads((tensors.metadata() or {}).get("config", "{}"))


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def assert_near(
    actual: Tensor,
    expected: Tensor,
    what: str = "",
    *,
    rtol: float = 1e-4,
    atol: float = 1e-5,
    msg: str | None = None,
) -> None:
    """Compare with the reference; the deviation of what is named is kept for `measure`."""
    assert_close(actual, expected, rtol=rtol, atol=atol, msg=msg)
    if what:
        keep(what, actual, expected, rtol=rtol, atol=atol)


def fusion_layers(config: dict) -> str | list[int]:
    layers = str(config["fusion_layers"])
    return layers if layers in ("all", "none") else [int(layer) for layer in layers.split("-")]


def build(config: dict) -> AVMAE:
    """The model of a file; the reference runs the layers of its shallower ViT only."""
    depth = min(config["image_depth"], config["audio_depth"])
    layers = fusion_layers(config)
    kept = range(depth) if layers == "all" else () if layers == "none" else layers
    eps = config["layer_norm_eps"]
    stream = partial(
        vit,
        config["dim"],
        depth=depth,
        num_heads=config["heads"],
        patch=config["patch"],
        norm_eps=eps["vit"],
    )
    block = partial(
        fusion_block,
        config["dim"],
        fusion=FUSIONS[config["fusion"]],
        num_heads=config["fusion_heads"],
        num_tokens=tuple(config["fusion_tokens"]),
        attn_ratio=config["attn_ratio"],
        mlp_ratio=config["mlp_ratio"],
    )
    sizes = {"image_size": tuple(config["image_size"]), "audio_size": tuple(config["audio_size"])}
    encoder = AVEncoder(
        image=stream(size=sizes["image_size"]),
        audio=stream(size=sizes["audio_size"], channels=1),
        fusion=[block() if layer in kept else None for layer in range(depth)],
        num_tokens=sum(config["fusion_tokens"]),
    )
    model = av_mae(
        encoder,
        learned_position=True,
        dim=config["decoder_dim"],
        depth=config["decoder_depth"],
        num_heads=config["decoder_heads"],
        normalize_targets=config["norm_loss"],
    )
    norms = {n: m.eps for n, m in model.named_modules() if isinstance(m, torch.nn.LayerNorm)}
    for name, value in norms.items():
        kind = "fusion" if ".fusion_" in name else "vit" if "encoder." in name else "decoder"
        assert value == eps[kind], name
    return model
