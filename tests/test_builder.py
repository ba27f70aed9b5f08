"""Models keep the call that built them."""

import ast
import copy
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import avblocks
from avblocks import av_mae, av_vit, av_vit_tiny, fusion_block
from avblocks.builder import Built
from avblocks.heads import Localizer, classifier, segmenter, separator
from avblocks.zoo import cavmae_encoder, cavmae_sync_encoder

SIZES = {"image_size": 8, "audio_size": (8, 12), "patch": 4, "num_tokens": (2, 1, 1)}


def test_all_arguments_are_recorded_and_modules_are_not() -> None:
    layers = [1, 0]
    encoder = av_vit(8, depth=2, num_heads=2, fusion_layers=layers, **SIZES)
    layers.append(7)
    assert encoder.built.builder == "av_vit"
    assert encoder.built.arguments == {
        "dim": 8,
        "depth": 2,
        "num_heads": 2,
        "fusion": "factorized",
        "fusion_layers": (1, 0),
        "attn_ratio": 0.25,
        "mlp_ratio": 1.0,
        "drop_path": 0.0,
        "image_embed": "linear",
        **SIZES,
    }
    mae = av_mae(encoder, dim=8, depth=1, num_heads=2)
    assert mae.built == Built(
        "av_mae",
        {
            "dim": 8,
            "depth": 1,
            "num_heads": 2,
            "normalize_targets": True,
            "decoder": "full",
            "predict": 1.0,
            "learned_position": False,
        },
    )
    assert mae.encoder.built is encoder.built


def test_sets_and_named_sizes_are_recorded() -> None:
    with torch.device("meta"):
        encoder = av_vit_tiny(fusion_layers={3, 1})
    assert encoder.built.arguments["fusion_layers"] == (1, 3)
    assert (encoder.built.builder, encoder.built.arguments["dim"]) == ("av_vit", 192)


@pytest.mark.parametrize(
    ("head", "builder", "some"),
    [
        (classifier(8, num_classes=3), "classifier", {"num_classes": 3, "pooling": "mean"}),
        (segmenter(8, num_classes=1, depths=[0, 1]), "segmenter", {"depths": (0, 1)}),
        (separator(8, patch=4), "separator", {"dim": 8, "patch": 4, "depths": None}),
        (Localizer(8), "Localizer", {"dim": 8, "dim_out": 512, "batch_norm": False}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_heads(head: nn.Module, builder: str, some: dict[str, object]) -> None:
    assert isinstance(head.built, Built) and head.built.builder == builder
    assert some.items() <= dict(head.built.arguments).items()


def test_copies_keep_it_and_states_know_nothing_of_it() -> None:
    encoder = av_vit(8, depth=1, num_heads=2, **SIZES)
    for twin in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert twin.built == encoder.built
    assert not [name for name in encoder.state_dict() if "built" in name]


def test_signatures_are_those_of_the_builders() -> None:
    assert list(inspect.signature(av_vit).parameters)[:3] == ["dim", "depth", "num_heads"]
    assert inspect.signature(classifier).parameters["pooling"].default == "mean"
    assert av_mae.__doc__ and av_mae.__name__ == "av_mae"


TINY = {
    av_vit: {"depth": 1, "num_heads": 2, **SIZES},
    fusion_block: {"num_heads": 2},
    classifier: {"num_classes": 3, "pooling": "attentive", "num_heads": 2},
    segmenter: {"num_classes": 2, "patch": 4, "num_layers": 2, "min_width": 4},
    separator: {"patch": 4, "num_layers": 3},
    cavmae_encoder: {"depth": 1, "num_heads": 2, "image_size": 16, "audio_size": (16, 16)},
    cavmae_sync_encoder: {"depth": 1, "num_heads": 2, "image_size": 16, "audio_size": (16, 16)},
}


def test_every_builder_takes_device_and_dtype() -> None:
    lacking = []
    for path in sorted(Path(avblocks.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.FunctionDef)
                and "builder" in map(ast.unparse, node.decorator_list)
                and not {"device", "dtype"} <= {arg.arg for arg in node.args.kwonlyargs}
            ):
                lacking.append(node.name)
    assert lacking == []


@pytest.mark.parametrize("build", TINY, ids=lambda build: build.__name__)
def test_weights_are_on_the_device_in_the_data_type(build: Callable[..., nn.Module]) -> None:
    model = build(16, **TINY[build], device="meta", dtype=torch.float64)
    found = {(p.device.type, p.dtype) for p in model.parameters()}
    assert found == {("meta", torch.float64)}
