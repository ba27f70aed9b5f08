"""The classifier and LARS, against tensors of the reference; see `test_parity` for the folder."""

from pathlib import Path

import pytest
import torch
from golden import FUSIONS, assert_near, fusion_layers, golden_files, part, read
from joint import joint
from torch import Tensor, nn
from torch.func import functional_call

from avblocks import av_vit
from avblocks.checkpoint import from_deepavfusion_classifier, load_weights
from avblocks.heads import Logits, classifier
from avblocks.optim import LARS, decayed_rates

STREAMS = ("image", "audio", "fusion")
each_classifier = pytest.mark.parametrize("file", golden_files("classifier"))


class Probe(nn.Module):
    """An encoder and its heads; what the file's config leaves out, its tensors tell."""

    def __init__(self, config: dict, state: dict[str, Tensor], inputs: dict[str, Tensor]) -> None:
        super().__init__()
        patch = state["encoder.image.patch_embed.proj.weight"].shape[-1]
        self.encoder = av_vit(
            config["dim"],
            depth=config["depth"],
            num_heads=config["heads"],
            image_size=tuple(inputs["image"].shape[2:]),
            audio_size=tuple(inputs["audio"].shape[2:]),
            patch=patch,
            fusion=FUSIONS[config.get("fusion", "factorized_mmi")],
            fusion_layers=fusion_layers({"fusion_layers": "all"} | config),
            num_tokens=tuple(config["fusion_tokens"]),
            attn_ratio=config["attn_ratio"],
            mlp_ratio=config["mlp_ratio"],
        )
        normed = any("_norm.running_mean" in name for name in state)
        self.head = classifier(config["dim"], num_classes=config["classes"], batch_norm=normed)

    def forward(self, image: Tensor, audio: Tensor) -> Logits:
        return self.head(self.encoder(image=image, audio=audio))


def loaded(file: Path) -> tuple[Probe, dict[str, Tensor], dict[str, Tensor]]:
    tensors, config = read(file)
    state = part(tensors, "cls.state.")
    inputs = {name: tensors[f"input.{name}"] for name in ("image", "audio")}
    model = Probe(config, state, inputs).eval()
    load_weights(model, from_deepavfusion_classifier(state), strict=True)
    return model, inputs, tensors


@each_classifier
def test_logits(file: Path) -> None:
    model, inputs, tensors = loaded(file)
    with torch.no_grad():
        logits = model(**inputs)
    expected = [tensors[f"cls.logits_{name}"] for name in STREAMS]
    for name, stream in zip(STREAMS, expected, strict=True):
        assert_near(getattr(logits, name), stream, f"logits, {name}")
        with pytest.raises(AssertionError):
            assert_near(getattr(logits, name), stream * 1.01)
    assert_near(logits.mean, sum(expected) / 3, "logits, averaged")


@each_classifier
def test_gradients_arrive_by_reference_name(file: Path) -> None:
    model, inputs, tensors = loaded(file)
    state = part(tensors, "cls.state.")
    heads = {k: v.clone().requires_grad_() for k, v in state.items() if "_head." in k}
    weights = from_deepavfusion_classifier(state | heads).state
    functional_call(model, weights, kwargs=inputs).mean.sum().backward()
    for name in STREAMS:
        bias = heads[f"{name}_head.bias"].grad
        assert bias is not None and torch.allclose(
            bias, torch.full_like(bias, len(inputs["image"]) / 3)
        )
        gradient = heads[f"{name}_head.weight"].grad
        assert gradient is not None and gradient.norm() > 0


@each_classifier
def test_a_probe_of_the_names(file: Path) -> None:
    tensors, _ = read(file)
    state = part(tensors, "cls.state.")
    converted = from_deepavfusion_classifier(state)
    assert len(joint(converted.state)) + len(converted.dropped) == len(state)
    assert {name.split(".")[0] for name in converted.state} == {"encoder", "head"}
    heads = part(converted.state, "head.")
    own = classifier(state["image_head.weight"].shape[1], num_classes=len(state["image_head.bias"]))
    assert set(heads) == set(own.state_dict())
    for name in STREAMS:
        assert torch.equal(heads[f"{name}.linear.weight"], state[f"{name}_head.weight"])
        assert torch.equal(heads[f"{name}.norm.running_var"], state[f"{name}_norm.running_var"])
    with pytest.raises(ValueError, match="not a DeepAVFusion classifier"):
        from_deepavfusion_classifier({k: v for k, v in state.items() if k.startswith("encoder.")})
    with pytest.raises(ValueError, match="not a DeepAVFusion checkpoint"):
        from_deepavfusion_classifier(heads)


def lars_steps(tensors: dict[str, Tensor]) -> int:
    return sum(name.startswith("lars.g0.") for name in tensors)


@pytest.mark.parametrize("file", golden_files("small"))
def test_lars(file: Path) -> None:
    tensors, _ = read(file)
    params = [nn.Parameter(tensors[f"lars.p{i}"].clone()) for i in range(2)]
    optimizer = LARS(params, 0.3, weight_decay=1e-3, momentum=0.9, trust=0.001)
    assert lars_steps(tensors) > 1
    for step in range(lars_steps(tensors)):
        for i, parameter in enumerate(params):
            parameter.grad = tensors[f"lars.g{i}.{step}"].clone()
        optimizer.step()
        for i, parameter in enumerate(params):
            expected = tensors[f"lars.after{i}.{step}"]
            assert_near(parameter.detach(), expected, "LARS, weights after each step")
            # The step itself is far smaller than the weights: it is compared on its own scale.
            moved = parameter.detach() - tensors[f"lars.p{i}"]
            wanted = expected - tensors[f"lars.p{i}"]
            assert_near(moved, wanted, "LARS, way gone", rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("file", golden_files("small"))
def test_schedule_of_a_scaled_group(file: Path) -> None:
    tensors, _ = read(file)
    groups = [{"lr_scale": 1.0}, {"lr_scale": 0.5}]
    for epoch, expected in zip(tensors["sched.epoch"], tensors["sched.lr"], strict=True):
        rates = decayed_rates(groups, epoch.item(), lr=1.5e-4, epochs=200, warmup=40)
        ours = torch.tensor(rates, dtype=torch.float64)
        assert_near(ours, expected[:2], "rates, scaled group", rtol=1e-6, atol=1e-12)
