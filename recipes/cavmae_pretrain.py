r"""CAV-MAE's pre-training: contrast of image and audio beside masked modeling (ICLR 2023).

Paper:
    "Contrastive Audio-Visual Masked Autoencoder", arXiv 2210.07839.

Commands:
    python -m recipes.cavmae_pretrain                      (two CPU cores, about four minutes)
    python -m recipes.paper_linear_probe --checkpoint runs/cavmae_pretrain-scenes

The presets are those of `paper_pretrain` with CAV-MAE's encoder and masks: a joint layer takes the
place of the last block of each ViT.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from avblocks.zoo import CAVMAE, cavmae_mae
from recipes import paper_pretrain
from recipes.common.cli import run_cli
from recipes.common.data import Data
from recipes.common.model import Model, build_encoder


@dataclass(frozen=True, kw_only=True)
class Config(paper_pretrain.Config):
    """Everything a run depends on."""

    contrast_weight: float = 0.01
    """Weight of the contrastive loss."""


PRESETS: dict[str, tuple[str, Config]] = {}
for _name, (_about, _preset) in paper_pretrain.PRESETS.items():
    _depth = _preset.model.depth - 1
    _parts: dict[str, Any] = {"fusion": "joint", "decoder": "full", "image_embed": "linear"}
    _model = replace(_preset.model, depth=_depth, **_parts)
    # Losses of values that are not normalized are ten times as large, and so is the weight.
    _weight = 0.01 if _model.normalize_targets else 0.1
    _values = vars(_preset) | {"model": _model, "audio_mask": 0.75, "contrast_weight": _weight}
    # CAV-MAE does not support these settings; it has its own contrast.
    _values |= {"predict": 1.0, "left_out": 0.0, "contrast": 0.0, "cutmix": 0.0}
    PRESETS[_name] = _about, Config(**_values)


def build(model: Model, data: Data, *, contrast_weight: float) -> CAVMAE:
    """Build CAV-MAE."""
    if model.fusion != "joint" or model.decoder != "full" or model.checkpointing:
        needs = "--model.fusion joint and --model.decoder full, without --model.checkpointing"
        raise ValueError(f"CAV-MAE needs {needs}")
    return cavmae_mae(
        build_encoder(model, data),
        dim=model.decoder_dim,
        depth=model.decoder_depth,
        num_heads=model.decoder_heads,
        contrast_weight=contrast_weight,
        normalize_targets=model.normalize_targets,
    )


def main(config: Config) -> None:
    """Pre-train as `paper_pretrain` does."""
    paper_pretrain.main(config, build=partial(build, contrast_weight=config.contrast_weight))


if __name__ == "__main__":
    run_cli(main, presets=PRESETS, doc=__doc__)
