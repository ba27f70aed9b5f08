"""A wrong setting is an error that names its option, before any data is made."""

from dataclasses import replace
from pathlib import Path

import pytest

from recipes import (
    cavmae_pretrain,
    paper_finetune,
    paper_localize,
    paper_pretrain,
    paper_separate,
)
from recipes.common.cli import run_cli

WRONG = [
    ("--model.heads 5", "--model.heads must be a divisor of the width 128, got 5"),
    ("--model.dim 0", "--model.dim must be"),
    ("--model.depth 0", "--model.depth must be"),
    ("--model.num-tokens 0 1 2", "--model.num-tokens must be three positive integers"),
    ("--model.fusion-layers 9", "--model.fusion-layers must be"),
    ("--model.attn-ratio 0", "--model.attn-ratio must be at least 1 / 128, got 0.0"),
    ("--model.mlp-ratio 0", "--model.mlp-ratio must be at least 1 / 128, got 0.0"),
    ("--model.decoder-heads 5", "--model.decoder-heads must be a divisor of the width 64, got 5"),
    ("--model.decoder-depth 0", "--model.decoder-depth must be"),
    ("--model.decoder-dim 0", "--model.decoder-dim must be"),
    ("--batch 0", "--batch must be at least 1, got 0"),
    ("--epochs 0", "--epochs must be at least 1, got 0"),
    ("--warmup -1", "--warmup must be at least 0, got -1"),
    ("--warmup 100", "--warmup 100 must be less than --epochs 100"),
    ("--base-lr -1", "--base-lr must be finite and above 0, got -1.0"),
    ("--base-lr inf", "--base-lr must be finite and above 0, got inf"),
    ("--weight-decay -1", "--weight-decay must be finite and at least 0, got -1.0"),
    ("--cutmix 1", "--cutmix is for the images of --contrast, which is 0: give --contrast 1"),
    ("--contrast inf", "--contrast must be finite and at least 0, got inf"),
    ("--cutmix inf", "--cutmix must be finite and at least 0, got inf"),
    ("--image-mask 1.5", "--image-mask must be between 0 and 1, got 1.5"),
    ("--image-mask 0.999", "--image-mask: ratio must be a share that keeps and masks some of 64"),
    ("--audio-mask 0.9 --mask time", "--audio-mask: ratio must be a share that keeps and masks"),
    ("--mask tube", "--mask tube is for videos: give --data.frames 8, for instance"),
    ("--predict 0.5", "--predict is in (0, 1], and below 1 with --model.decoder reading"),
    ("--data.seconds 0.001", "--data.seconds must be at least 1/64, got 0.001"),
    ("--data.mels 100000", "--data.mels must be fewer at a rate of 16000, got 100000"),
    ("--run.dir /proc/x", "--run.dir /proc/x: /proc is not writable (No such file or directory)"),
    ("--data.size 20", "--data.size 20 makes a side of 20, not a multiple of --model.patch 8"),
    ("--data.mels 0", "--data.mels must be at least 1, got 0"),
    ("--data.size 0", "--data.size must be at least 1, got 0"),
    ("--data.scenes 0 4", "--data.scenes must be at least 1 each, got (0, 4)"),
    ("--run.precision 16-mixed", "--run.precision 16-mixed needs a GPU"),
]


def error_of(module: object, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as left:
        run_cli(module.main, presets=module.PRESETS, doc="", args=words)  # type: ignore
    assert left.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(("words", "message"), WRONG)
def test_the_option_is_named(
    words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--run.dir", str(tmp_path / "run"), "--data.root", str(tmp_path / "data")]
    said = error_of(paper_pretrain, [*given, *words.split()], capsys)
    assert said.startswith(f"error: {message}") and said.count("\n") == 1
    assert not (tmp_path / "data").exists() and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("module", "words", "message"),
    [
        (paper_finetune, "--windows 0", "--windows must be at least 1, got 0"),
        (paper_finetune, "--drop-path 1", "--drop-path must be from 0 to below 1, got 1.0"),
        (paper_finetune, "--mixup inf", "--mixup must be finite and at least 0, got inf"),
        (paper_finetune, "--mixup 1 --cutmix 1", "--mixup 1.0 and --cutmix 1.0 exclude each"),
        (paper_finetune, "--layer-decay 0", "--layer-decay must be above 0 and at most 1"),
        (paper_localize, "--temperature 0", "--temperature must be finite and above 0"),
        (paper_localize, "--temperature inf", "--temperature must be finite and above 0"),
        (paper_localize, "--positives 0.7", "--positives must be from 0 to 0.5, got 0.7"),
        (paper_localize, "--beta2 1", "--beta2 must be from 0 to below 1, got 1.0"),
        (paper_localize, "--local 5", "--local must be from 0 to 4, got 5"),
        (paper_localize, "--local -1", "--local must be at least 0, got -1"),
        (paper_localize, "--joint", "--local and --mirror encode images alone: with --joint, give"),
        (paper_localize, "--joint --local 0 --mirror", "--local and --mirror encode images alone"),
        (paper_separate, "--sources 1", "--sources must be at least 2, got 1"),
        (
            paper_finetune,
            "--given image --left-out 0.3",
            "--left-out 0.3 leaves nothing of --giv",
        ),
    ],
)
def test_of_heads(
    module: object, words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--checkpoint", "None", "--data.root", str(tmp_path / "data")]
    assert f"error: {message}" in error_of(module, [*given, *words.split()], capsys)


def test_the_weight_of_cavmaes_contrast(capsys: pytest.CaptureFixture[str]) -> None:
    for value in ("inf", "nan", "-1"):
        said = error_of(cavmae_pretrain, ["--contrast-weight", value], capsys)
        assert said.startswith("error: --contrast-weight must be finite and at least 0, got ")


def test_a_run_folder_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "step-00000001.ckpt").write_text("")
    data = ["--data.root", str(tmp_path / "data")]
    for name, more, message in (
        ("file", [], "cannot be made"),
        ("file/below", [], "cannot be made"),
        ("run", [], "holds a run already: pass --run.resume to resume it, or another --run.dir"),
        ("none", ["--run.resume"], "holds no whole checkpoint"),
    ):
        words = [*data, "--run.dir", str(tmp_path / name), *more]
        assert message in error_of(paper_pretrain, words, capsys)
    assert not (tmp_path / "data").exists() and not (tmp_path / "none").exists()


def test_the_presets_pass(tmp_path: Path) -> None:
    for module in (paper_pretrain, paper_finetune, paper_localize):
        for name, (_, config) in module.PRESETS.items():
            replace(config, run=replace(config.run, dir=tmp_path / name)).check()
