"""Model, inputs and step of a case, and the step of the naive implementation."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from avblocks import AVEncoder, Block, FusionBlock, RandomMask
from avblocks.flops import encoder_flops, mae_flops
from avblocks.heads import classifier
from avblocks.nn import ReadingBlock
from avblocks.optim import layer_decay_groups, param_groups
from recipes.benchmark.cases import Case
from recipes.benchmark.plain import plain_encode, plain_loss
from recipes.common.data_settings import Data
from recipes.common.model import Model, build_autoencoder, build_encoder

_PAPER = Model(), Data(name="vggsound")
_TINY = (
    Model(dim=32, depth=2, heads=2, patch=8, num_tokens=(2, 1, 1), decoder_dim=16, decoder_depth=1),
    Data(name="scenes", seconds=0.5, size=32, mels=32),
)
_CLASSES = 309


@dataclass(frozen=True, kw_only=True)
class Work:
    """A prepared case."""

    step: Callable[[], object]
    plain: Callable[[], object] | None  # the naive implementation, if wanted
    flops: int  # FLOPs per sample


def prepare(case: Case) -> Work:
    """Build the model of a case, with random weights and inputs."""
    torch.manual_seed(0)
    if case.task == "encode":
        return _encoding(case)
    return _fine_tuning(case) if case.task == "finetune" else _pretraining(case)


def sizes(case: Case) -> tuple[Model, Data]:
    """Return the sizes of the model and of the clips."""
    model, data = _TINY if case.tiny else _PAPER
    chosen = {"fusion": case.fusion, "decoder": case.decoder, "checkpointing": case.checkpointing}
    return replace(model, **chosen), data


def _pretraining(case: Case) -> Work:
    """Prepare a pre-training step of the paper: 75% of the image and 80% of the audio masked."""
    model = build_autoencoder(*sizes(case)).to(case.device)
    model.predict = case.predict
    inputs = random_inputs(case)
    grids = {"image": model.encoder.image.grid, "audio": model.encoder.audio.grid}
    maskers = {"image": RandomMask(0.75), "audio": RandomMask(0.8)}
    random = torch.Generator(case.device).manual_seed(0)

    def masks() -> dict[str, Any]:
        options = {"batch": case.batch, "generator": random}
        return {f"{n}_mask": maskers[n](grids[n](inputs[n]), **options) for n in inputs}

    def loss() -> Tensor:
        return model(**inputs, **masks()).loss

    optimizer = None
    if case.task == "pretrain":
        optimizer = AdamW(param_groups(model), lr=1e-4, betas=(0.9, 0.95), fused=True)
    drawn = {n: m.predicting(case.predict) for n, m in masks().items()}
    shapes = {n: (m.ids_keep.shape[1], m.to_predict.shape[1]) for n, m in drawn.items()}
    told = mae_flops(model, image=shapes["image_mask"], audio=shapes["audio_mask"], training=True)
    _compile(model, case)
    step = partial(_train, loss, model, optimizer, case)
    plain = partial(_train, lambda: plain_loss(model, **inputs, **masks()), model, None, case)
    return Work(step=step, plain=plain if case.plain else None, flops=told)


def _fine_tuning(case: Case) -> Work:
    """Prepare a fine-tuning step on whole clips, with stochastic depth and layer decay."""
    numbers, data = sizes(case)
    encoder = build_encoder(numbers, data, drop_path=0.2)
    head = classifier(numbers.dim, num_classes=_CLASSES, batch_norm=False)
    model = nn.ModuleDict({"encoder": encoder, "head": head}).to(case.device)
    groups = layer_decay_groups(model)
    optimizer = AdamW(groups, lr=1e-4, fused=True)
    inputs = random_inputs(case)
    target = torch.full((case.batch, _CLASSES), 1 / _CLASSES, device=case.device)

    def loss() -> Tensor:
        logits = head(encoder(**inputs)).mean.float()
        return nn.functional.cross_entropy(logits, target)

    told = _flops(encoder, inputs, training=True)
    _compile(encoder, case)
    return Work(step=partial(_train, loss, model, optimizer, case), plain=None, flops=told)


def _encoding(case: Case) -> Work:
    """Prepare the encoding of whole clips, without gradients."""
    encoder = build_encoder(*sizes(case)).to(case.device).eval().requires_grad_(False)
    inputs = random_inputs(case)
    told = _flops(encoder, inputs, training=False)
    _compile(encoder, case)

    @torch.no_grad()
    def encode(function: Callable[..., object]) -> None:
        with _precision(case):
            _marked(case)
            function(**inputs)

    plain = partial(encode, partial(plain_encode, encoder))
    return Work(step=partial(encode, encoder), plain=plain if case.plain else None, flops=told)


def _train(
    loss: Callable[[], Tensor], model: nn.Module, optimizer: AdamW | None, case: Case
) -> None:
    _marked(case)
    with _precision(case):
        value = loss()
    value.backward()
    if optimizer is not None:
        optimizer.step()
    model.zero_grad()


def random_inputs(case: Case) -> dict[str, Tensor]:
    """Draw images and spectrograms at the sizes of a case."""
    _, data = sizes(case)
    return {
        "image": torch.randn(case.batch, 3, data.size, data.size, device=case.device),
        "audio": torch.randn(case.batch, 1, *data.audio_size, device=case.device),
    }


def _flops(encoder: AVEncoder, inputs: dict[str, Tensor], *, training: bool) -> int:
    image = math.prod(encoder.image.grid(inputs["image"]))
    audio = math.prod(encoder.audio.grid(inputs["audio"]))
    return encoder_flops(encoder, image=image, audio=audio, training=training)


def _precision(case: Case) -> AbstractContextManager[object]:
    return torch.autocast(case.device, torch.bfloat16, enabled=case.precision == "bfloat16")


def _compile(model: nn.Module, case: Case) -> None:
    if case.mode == "eager":
        return
    options: dict[str, Any] = {"mode": "reduce-overhead" if case.mode == "graphs" else None}
    if case.tiny and case.device == "cpu":
        options = {"backend": "aot_eager"}  # kernels of the CPU's own would take minutes for a toy
    if case.mode != "blocks":
        return model.compile(**options)
    for module in model.modules():
        if isinstance(module, Block | FusionBlock | ReadingBlock):
            module.compile(dynamic=False, **options)


def _marked(case: Case) -> None:
    if case.mode == "graphs":
        torch.compiler.cudagraph_mark_step_begin()
