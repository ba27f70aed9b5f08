"""The guide's own fusion, tried in the pre-training recipe: the page's two files, as they stand."""

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pages
import pytest
import torch
from tiny_model import TINY

from avblocks import AVMAE
from avblocks.checkpoint import from_run, load_encoder, load_weights, read_state
from recipes import paper_pretrain
from recipes.common.cli import run_cli
from recipes.common.model import build_encoder
from recipes.engine.log import read_rows

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "own_fusion.rst"
VARIANT = "recipes/pretrain_product.py"
DATA = replace(
    paper_pretrain.VGGSOUND.data, seconds=0.5, size=16, mels=32, workers=0, on_error="raise"
)


@pytest.fixture
def variant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The page's recipe, imported from beside its fusion."""
    files = pages.write_files(PAGE.name, PAGE.read_text(encoding="utf-8"), tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    spec = importlib.util.spec_from_file_location("pretrain_product", files[VARIANT])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    pages.forget(tmp_path)


@pytest.fixture
def root(toy_scenes: Path) -> Path:
    return toy_scenes


def test_the_recipe_is_short() -> None:
    blocks = pages.blocks(PAGE.name, PAGE.read_text(encoding="utf-8"))
    (code,) = [block.code for block in blocks if block.file == VARIANT]
    assert len(code.splitlines()) < 30


def train(module: ModuleType, root: Path, folder: Path, *more: str) -> None:
    """Run its command line."""
    preset = replace(
        paper_pretrain.VGGSOUND, data=replace(DATA, root=root), model=TINY, batch=4, warmup=1
    )
    main = (
        paper_pretrain.main
        if module is paper_pretrain
        else module.partial(module.main, build=module.build)
    )
    run_cli(
        main,
        presets={"tiny": ("tiny", preset)},
        doc=module.__doc__,
        args=["--run.dir", str(folder), "--epochs", "4", *more],
    )


def test_it_trains_and_goes_on(variant: ModuleType, root: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(variant, root, whole, "--run.max-steps", "2")
    train(variant, root, parts, "--run.max-steps", "1")
    train(variant, root, parts, "--run.max-steps", "2", "--run.resume")
    losses = [
        [row["loss"] for row in read_rows(folder / "metrics.csv") if "loss" in row]
        for folder in (whole, parts)
    ]
    assert len(losses[0]) == 2 and losses[0] == losses[1]

    model: AVMAE = variant.build(TINY, DATA)
    state = read_state(whole / "checkpoints/step-00000002.ckpt")
    report = load_weights(model.encoder, from_run(state), strict=True)
    ours = [name for name in report.loaded if "interaction.audio_attn" in name]
    assert len(ours) == 6 * TINY.depth
    before = variant.build(TINY, DATA).encoder.fusion_blocks["0"].interaction.audio_attn.q.weight
    after = model.encoder.fusion_blocks["0"].interaction.audio_attn.q.weight
    assert after.shape == before.shape and not torch.equal(after, before)


def test_the_recipe_it_came_from_does_not_go_on_with_it(
    variant: ModuleType, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(variant, root, tmp_path / "run", "--run.max-steps", "1")
    with pytest.raises(SystemExit):
        train(paper_pretrain, root, tmp_path / "run", "--run.max-steps", "2", "--run.resume")
    assert "the checkpoint is of another model" in capsys.readouterr().err


def test_another_recipe_would_leave_the_fusion_at_random_and_say_so(variant: ModuleType) -> None:
    theirs = variant.build(TINY, DATA).encoder.state_dict()
    state = {f"model.mae.encoder.{name}": value for name, value in theirs.items()}
    report = load_encoder(build_encoder(TINY, DATA), state)
    assert report.missing and all("interaction" in name for name in report.missing)
    assert "left at initialization: 44 (fusion_blocks.0.interaction." in str(report)
