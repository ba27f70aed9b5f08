"""Fine-tuning of adapters: what trains, what stays, and that they merge exactly."""

from dataclasses import replace
from pathlib import Path

import torch
from public_models import clips, encoder, tensors
from torch import nn
from torch.testing import assert_close
from toy_runs import toy_config

from recipes import paper_finetune
from recipes.engine.log import read_rows
from recipes.paper_finetune_lora import LowRank, adapt, adapt_task, merge


def test_adapters_are_beside_all_linear_layers_and_merge_exactly() -> None:
    model, given = encoder().double().eval(), {k: x.double() for k, x in clips(2).items()}
    before = tensors(model(**given))
    linears = sum(isinstance(m, nn.Linear) for m in model.modules())
    adapt(model, rank=2)
    model.double()
    assert_close(tensors(model(**given)), before)  # they start at zero
    assert sum(isinstance(m, LowRank) for m in model.modules()) == linears
    trained = {n.split(".")[-2] for n, p in model.named_parameters() if p.requires_grad}
    assert trained == {"down", "up"}
    for module in model.modules():
        if isinstance(module, LowRank):
            nn.init.normal_(module.up.weight)
    out = tensors(model(**given))
    assert not torch.allclose(out[2], before[2])
    merge(model)
    assert not [m for m in model.modules() if isinstance(m, LowRank)]
    for merged, adapted in zip(tensors(model(**given)), out, strict=True):
        assert_close(merged, adapted)


def test_the_recipe_trains_the_adapters_and_the_head_alone(
    toy_scenes: Path, tmp_path: Path
) -> None:
    config = toy_config("finetune", toy_scenes, tmp_path / "run", max_steps=2)
    paper_finetune.main(config, adapt=adapt_task)
    state = torch.load(tmp_path / "run/checkpoints/step-00000002.ckpt", weights_only=True)
    after = state["state_dict"]
    classes = len(after["model.head.image.linear.bias"])
    start = paper_finetune.build(config, classes=[""] * classes)
    adapt_task(start)
    before = {f"model.{name}": value for name, value in start.state_dict().items()}
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    parts = ("up.weight", "down.weight", ".head.")
    assert changed and all(any(part in name for part in parts) for name in changed)
    resumed = replace(config, run=replace(config.run, max_steps=3, resume=True))
    paper_finetune.main(resumed, adapt=adapt_task)
    rows = read_rows(tmp_path / "run/metrics.csv")
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3]
