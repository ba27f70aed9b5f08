"""Models exported from runs of every recipe, as folders that need nothing else."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_lines import command
from tiny_model import TINY
from torch import nn
from toy_runs import DATA, RECIPES, ToyRun, with_checkpoint

import recipes.export
from avblocks import av_vit
from avblocks.checkpoint import from_pretrained, from_run, save_pretrained
from avblocks.checkpoint import saves as _saves
from avblocks.heads import answering
from avblocks.jsonfile import read_json
from avblocks.tasks.load import load_task
from recipes.common.model import build_encoder
from recipes.common.run_files import find
from recipes.common.start import start_encoder
from recipes.predict.trained import load_trained


@pytest.fixture
def run(toy_run: Callable[[str], ToyRun]) -> Callable[[str], Path]:
    """Give the run folder of a recipe."""
    return lambda name: toy_run(name).folder


def export(*words: object) -> None:
    command(recipes.export)([str(word) for word in words])


def ends(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    with pytest.raises(SystemExit) as ended:
        export(*words)
    assert ended.value.code == 2
    wrong = capsys.readouterr().err
    assert wrong.count("\n") == 1
    return wrong


@pytest.mark.parametrize("name", RECIPES)
def test_the_encoder_of_a_run(run: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    export("--checkpoint", run(name), "--out", tmp_path / "out")
    state = from_run(_saves.load(find(run(name)))["state_dict"]).state
    encoder = from_pretrained(tmp_path / "out").encoder
    ours = encoder.state_dict()
    assert ours.keys() == state.keys() and all(torch.equal(ours[n], state[n]) for n in ours)
    assert encoder.image.blocks[0].drop_path.rate == (0.1 if name == "finetune" else 0.0)
    twin = build_encoder(TINY, DATA)
    twin.load_state_dict(state)
    image, audio = torch.randn(2, 3, 16, 16), torch.randn(2, 1, 32, 32)
    out, wanted = (e.eval()(image=image, audio=audio) for e in (encoder, twin))
    assert torch.equal(out.fusion, wanted.fusion) and torch.equal(out.image, wanted.image)


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "pretrain"])
def test_the_head_and_the_task_go_along(
    run: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    export("--checkpoint", run(name), "--out", tmp_path / "out")
    loaded, trained = load_task(tmp_path / "out"), load_trained(run(name))
    assert type(loaded.task) is type(trained.task) and loaded.classes == trained.classes
    assert loaded.format == trained.format == DATA.format
    assert loaded.task.settings() == trained.task.settings()
    trained.task.head = answering(trained.task.head)  # of several starts, the best is exported
    ours, theirs = loaded.task.state_dict(), trained.task.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"| task | {loaded.name} |" in card and "load_task" in card
    export("--checkpoint", run(name), "--out", tmp_path / "out", "--encoder-only")
    found = from_pretrained(tmp_path / "out")
    assert found.head is None and found.front_end is not None and not found.task
    assert found.encoder.image.blocks[0].drop_path.rate == (0.1 if name == "finetune" else 0.0)
    assert "load_task" not in (tmp_path / "out" / "README.md").read_text()


def test_the_code_in_the_card_of_a_task_runs(
    run: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export("--checkpoint", run("probe"), "--out", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    monkeypatch.chdir(tmp_path / "out")
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", card, re.DOTALL):
        exec(code, names)
    assert len(names["classes"]) == names["task"].head.fusion.linear.out_features


def test_the_model_card_says_what_it_is_and_how_to_use_it(
    run: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export("--checkpoint", find(run("pretrain")), "--out", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    for row in (
        "| recipe | paper_pretrain |",
        "| optimizer steps | 2 |",
        "| data set | vggsound, 8 training clips |",
        "| image | 16 x 16 |",
        "| audio | 0.5 s at 16,000 Hz: 32 x 32 mel bins and frames |",
        "| dim | 16 |",
        "| num_tokens | [2, 1, 1] |",
    ):
        assert row in card
    assert card.startswith("---\nlibrary_name: avblocks\nlicense: unknown\n")
    assert str(tmp_path) not in card
    assert re.search(r"## Scores\n\nMeasured on \d+ test clips of vggsound", card)
    assert re.search(r"^\| nn_fusion \| [\d.]+ \|$", card, re.MULTILINE)
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(tmp_path / "out")
    names: dict[str, object] = {}
    exec(code, names)
    assert names["tokens"].fusion.shape == (2, 4, 16)


def test_the_model_card_has_license_and_final_scores(
    run: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(run("probe"), tmp_path / "run")
    scores = {"both": {"all": {"top1": 12.346, "dprime": None}}}
    content = {"test": f"vggsound {tmp_path}: 8 clips", "scores": scores}
    (folder / "scores.json").write_text(json.dumps(content))
    export("--checkpoint", folder, "--out", tmp_path / "out", "--license", "cc-by-4.0")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "\nlicense: cc-by-4.0\n" in card and "| license | cc-by-4.0 |" in card
    assert "test clips of vggsound.\n" in card and "| both.all.top1 | 12.35 |" in card
    assert str(tmp_path) not in card
    assert "dprime" not in card  # an infinite one is null


def test_an_earlier_checkpoint_has_no_scores(run: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(run("probe"), tmp_path / "run")
    rows = (folder / "metrics.csv").read_text().splitlines()
    later = ",".join(["99", *rows[-1].split(",")[1:]])
    (folder / "metrics.csv").write_text("\n".join([*rows, later]) + "\n")
    export("--checkpoint", folder, "--out", tmp_path / "out")
    assert "The export has no scores" in (tmp_path / "out" / "README.md").read_text()


def test_recipes_start_from_it(
    run: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    export("--checkpoint", run("pretrain"), "--out", folder)
    assert f"paper_linear_probe --checkpoint {folder}" in capsys.readouterr().out
    encoder = build_encoder(TINY, replace(DATA, size=32), drop_path=0.2)  # both may differ
    for parameter in encoder.parameters():
        nn.init.constant_(parameter, 7.0)
    report = start_encoder(encoder, with_checkpoint(folder))
    assert report is not None and not (report.missing or report.unused or report.dropped)
    state = from_pretrained(folder).encoder.state_dict()
    assert all(torch.equal(v, state[n]) for n, v in encoder.state_dict().items())
    assert start_encoder(encoder, with_checkpoint(folder / "model.safetensors"))


def test_other_clips_than_before_are_told(
    run: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export("--checkpoint", run("pretrain"), "--out", tmp_path / "out")
    before = "note: it was trained on clips of 16 x 16 pixels and 32 x 32 mel bins and frames"
    for path in (run("pretrain"), tmp_path / "out", tmp_path / "out" / "model.safetensors"):
        for size, told in ((16, False), (32, True)):
            encoder = build_encoder(TINY, replace(DATA, size=size))
            start_encoder(encoder, with_checkpoint(path))
            said = capsys.readouterr().out
            assert (f"{before}, and these are of 32 x 32 pixels" in said) == told


def test_an_encoder_of_other_sizes_is_refused_with_the_options(
    run: Callable[[str], Path], tmp_path: Path
) -> None:
    export("--checkpoint", run("pretrain"), "--out", tmp_path / "out")
    for change, options in (
        ({"heads": 4}, "--model.heads 2"),
        ({"depth": 3, "dim": 32}, "--model.dim 16 --model.depth 2 --model.fusion-layers 0 1"),
        ({"fusion": "token", "num_tokens": (4, 2, 2)}, "--model.fusion factorized --model.num-t"),
        ({"num_tokens": (1, 1, 2)}, "--model.num-tokens 2 1 1"),
    ):
        model = replace(TINY, **change)
        with pytest.raises(ValueError, match=rf"out: it holds an encoder of other.*pass {options}"):
            start_encoder(
                build_encoder(model, DATA), with_checkpoint(tmp_path / "out", model=model)
            )
    numbers = {"patch": 8, "num_tokens": (2, 1, 1), "image_size": 16, "audio_size": (32, 32)}
    save_pretrained(av_vit(16, depth=(1, 2), num_heads=2, **numbers), tmp_path / "uneven")
    with pytest.raises(ValueError, match=r"its ViTs have \(1, 2\) blocks, and a recipe's as many"):
        start_encoder(build_encoder(TINY, DATA), with_checkpoint(tmp_path / "uneven"))


def test_what_cannot_be_exported_is_one_line(
    run: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(run("pretrain"), tmp_path / "run"))
    config = (folder / "config.json").read_bytes()
    out = tmp_path / "out"
    assert "give a --checkpoint RUN and an --out" in ends(capsys)
    assert "give a --checkpoint RUN and an --out" in ends(capsys, "--checkpoint", folder)
    for given, message in (
        (tmp_path / "no", "does not exist: give a run folder"),
        (tmp_path, "holds no whole checkpoint: give a run folder"),
    ):
        assert message in ends(capsys, "--checkpoint", given, "--out", out)
    assert "is the folder of a run: give a folder of its own" in ends(
        capsys, "--checkpoint", folder, "--out", folder
    )
    assert (folder / "config.json").read_bytes() == config
    export("--checkpoint", folder, "--out", out)
    capsys.readouterr()
    again = ("--checkpoint", out, "--out", tmp_path / "again")
    assert "is in no run folder" in ends(capsys, *again)
    facts = read_json(folder / "config.json", remedy="")
    facts["config"]["model"]["dim"] = 32
    (folder / "config.json").write_text(json.dumps(facts))
    words = ("--checkpoint", folder, "--out", tmp_path / "wrong")
    assert "cannot be used: weights of another size" in ends(capsys, *words)
    del facts["config"]["model"]["patch"]
    (folder / "config.json").write_text(json.dumps(facts))
    assert "config.json lacks model.patch" in ends(capsys, *words)
    assert not (tmp_path / "wrong").exists()
