"""What recipes say of a file that is no checkpoint: one line, with the file and a remedy."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tiny_model import TINY
from toy_runs import DATA, with_checkpoint

from avblocks.tasks import Pretraining
from recipes import embed, evaluate, export, paper_linear_probe, paper_pretrain
from recipes.common.cli import run_cli
from recipes.common.model import build_autoencoder
from recipes.common.start import load_pretrained, start_encoder
from recipes.demo import __main__ as demo
from recipes.predict import __main__ as predict

NO_CHECKPOINT = ": not a checkpoint: it begins with 'epoch,loss 0,1.5'; give a file of safetensors"
NO_RUN = " is in no run folder: give "


def probe(args: Sequence[str]) -> None:
    run_cli(paper_linear_probe.main, presets=paper_linear_probe.PRESETS, doc="", args=args)


def pretrain(args: Sequence[str]) -> None:
    run_cli(paper_pretrain.main, presets=paper_pretrain.PRESETS, doc="", args=args)


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    """The metrics of a run, given in place of its checkpoint."""
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss\n0,1.5\n")
    return path


@pytest.mark.parametrize(
    ("cli", "words", "message"),
    [
        (export.cli, "--out OUT --checkpoint FILE", NO_CHECKPOINT),
        (evaluate.cli, "FILE --out OUT", NO_CHECKPOINT),
        (probe, "--checkpoint FILE", NO_CHECKPOINT),
        (pretrain, "--image-weights FILE", NO_CHECKPOINT),
        (pretrain, "--audio-weights FILE", NO_CHECKPOINT),
        (predict.cli, "x.mp4 --out OUT --checkpoint FILE", NO_RUN),
        (demo.cli, "--checkpoint FILE", NO_RUN),
        (embed.cli, "x.mp4 --out OUT --checkpoint FILE", NO_RUN),
    ],
)
def test_a_file_that_is_no_checkpoint(
    cli: Callable[[Sequence[str]], None],
    words: str,
    message: str,
    metrics: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"FILE": str(metrics), "OUT": str(metrics.parent / "out")}
    with pytest.raises(SystemExit) as left:
        cli([places.get(word, word) for word in words.split()])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert left.value.code == 2
    assert line.startswith(f"error: {metrics}{message}")


def test_a_script_that_did_not_read_the_sizes_names_it_once(metrics: Path) -> None:
    mae = build_autoencoder(TINY, DATA)
    model = Pretraining(mae, front_end=DATA.front_end)
    for start in (
        lambda: start_encoder(mae.encoder, with_checkpoint(metrics)),
        lambda: load_pretrained(model, image=metrics, audio=None),
        lambda: load_pretrained(model, image=None, audio=metrics),
    ):
        with pytest.raises(ValueError, match="not a checkpoint") as info:
            start()
        assert str(info.value).startswith(f"{metrics}{NO_CHECKPOINT}")
