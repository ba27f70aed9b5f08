"""CAV-MAE against its own code's numbers."""

from collections.abc import Iterator
from typing import Any

import torch
from origins import gradient_norms, part
from torch import Tensor
from torch.testing import assert_close

from avblocks.checkpoint import load_weights
from avblocks.heads import info_nce
from avblocks.nn import Mask
from avblocks.zoo.cavmae_names import (
    cavmae,
    cavmae_classifier,
    cavmae_classifier_sizes,
    cavmae_pretraining_sizes,
    from_cavmae,
)
from avblocks.zoo.cavmae_pretraining import nearest_share

Compared = Iterator[tuple[str, Tensor, float, float]]
MODES = {
    "multimodal": {},
    "audioonly": {"image": None},
    "videoonly": {"audio": None},
    "missingaudioonly": {"image": None, "trained_on_both": True},
    "missingvideoonly": {"audio": None, "trained_on_both": True},
}


def compare(tensors: dict[str, Tensor], config: dict[str, Any]) -> Compared:
    """Pre-training with gradients, retrieval features and the five modes of fine-tuning."""
    image, audio = tensors["input.image"], tensors["input.audio"].transpose(1, 2).unsqueeze(1)
    given = {"image": image, "audio": audio}
    yield from pretraining(tensors, config, given)
    state = part(tensors, "finetune.state.")
    sizes = cavmae_classifier_sizes(state, num_heads=config["num_heads"])
    model = cavmae_classifier(**sizes)
    load_weights(model, from_cavmae(state), strict=True)
    for mode, change in MODES.items():
        yield f"finetune.logits.{mode}", model(**(given | change)), 1e-4, 1e-5


def masks(tensors: dict[str, Tensor], config: dict[str, Any]) -> dict[str, Mask]:
    """The file's masks."""
    found = {}
    for name in ("image", "audio"):
        order = tensors[f"mask.{name}.order"]
        ratio = config["mask_ratio_v" if name == "image" else "mask_ratio_a"]
        kept = int(order.shape[1] * (1 - ratio))
        found[f"{name}_mask"] = Mask.from_order(order, num_kept=kept)
    return found


def pretraining(
    tensors: dict[str, Tensor], config: dict[str, Any], given: dict[str, Tensor]
) -> Compared:
    """Losses, predictions, gradients and retrieval features of the pre-training model."""
    state = part(tensors, "pretrain.state.")
    heads = {"num_heads": config["num_heads"], "decoder_heads": config["decoder_num_heads"]}
    contrast = {"contrast_weight": config["contrast_loss_weight"]}
    contrast |= {"temperature": config["temperature"]}
    normalize = {"normalize_targets": config["norm_pix_loss"]}
    model = cavmae(**cavmae_pretraining_sizes(state, **heads), **contrast, **normalize)
    load_weights(model, from_cavmae(state), strict=True)
    out = model(**given, **masks(tensors, config))
    out.loss.backward()
    drawn = masks(tensors, config)
    both, _, _ = model.contrasted(**given, **drawn)
    for name, pred in zip(given, model.decoder(both, **drawn), strict=True):
        yield f"pretrain.pred_{name}", pred.detach(), 1e-4, 1e-5
        assert_close(getattr(out, f"pred_{name}"), drawn[f"{name}_mask"].masked(pred))
    found = {
        "loss": out.loss,
        "loss_image": out.loss_image,
        "loss_audio": out.loss_audio,
        "loss_contrast_weighted": out.loss_contrast,
        "contrast_accuracy": out.accuracy,
    }
    for name, ours in found.items():
        yield f"pretrain.{name}", ours.detach(), 1e-4, 1e-5
    for name, norm in gradient_norms(model, from_cavmae, state).items():
        if f"pretrain.gradnorm.{name}" in tensors:
            yield f"pretrain.gradnorm.{name}", norm, 1e-3, 1e-5
    with torch.no_grad():
        alone = {
            name: model.encoder(**{**dict.fromkeys(given), name: given[name]}) for name in given
        }
        v, a = alone["image"].image, alone["audio"].audio
        yield "retrieval.image", v, 1e-4, 1e-5
        yield "retrieval.audio", a, 1e-4, 1e-5
        v, a = v.mean(dim=1), a.mean(dim=1)
        both = info_nce(v, a, temperature=config["temperature"])
        yield "contrast.both_directions", both, 1e-4, 1e-5
        accuracy = (nearest_share(v, a) + nearest_share(a, v)) / 2
        yield "contrast.both_directions_accuracy", accuracy, 1e-4, 1e-5
