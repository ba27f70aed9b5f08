"""What recipes say of a file that is no checkpoint: one line, with the file and a remedy."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_lines import command
from tiny_model import TINY
from toy_runs import DATA, ToyRun, with_checkpoint

from avblocks.checkpoint import saves
from avblocks.jsonfile import read_json
from avblocks.tasks import Pretraining
from recipes import (
    embed,
    evaluate,
    export,
    make_scenes,
    make_shards,
    paper_linear_probe,
    paper_pretrain,
)
from recipes.common.cli import run_cli
from recipes.common.model import build_autoencoder
from recipes.common.start import load_pretrained, start_encoder
from recipes.common.tested import load_tested
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
        (command(export), "--out OUT --checkpoint FILE", NO_CHECKPOINT),
        (command(evaluate), "FILE --out OUT", NO_CHECKPOINT),
        (probe, "--checkpoint FILE", NO_CHECKPOINT),
        (pretrain, "--image-weights FILE", NO_CHECKPOINT),
        (pretrain, "--audio-weights FILE", NO_CHECKPOINT),
        (command(predict), "x.mp4 --out OUT --checkpoint FILE", NO_RUN),
        (command(demo), "--checkpoint FILE", NO_RUN),
        (command(embed), "x.mp4 --out OUT --checkpoint FILE", NO_RUN),
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


def _content(whole: dict[str, Any], change: str) -> dict[str, Any]:
    """Another content of a checkpoint with its checksum, as another program might save it."""
    weights = whole["state_dict"]
    contents = {
        "weights": weights,
        "no steps": {"state_dict": weights},
        "a list": whole | {"state_dict": list(weights.values())},
        "no tensors": whole | {"state_dict": dict.fromkeys(weights, 1.0)},
    }
    return contents[change]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("weights", "lacks the key 'run'"),
        ("no steps", "lacks the key 'run'"),
        ("a list", "'state_dict' is "),
        ("no tensors", " is 1.0, expected Tensor"),
    ],
)
@pytest.mark.parametrize(
    ("cli", "words"),
    [
        (command(export), "--out OUT --checkpoint RUN"),
        (command(evaluate), "RUN --out OUT"),
        (command(predict), "x.mp4 --out OUT --checkpoint RUN"),
        (command(embed), "x.mp4 --out OUT --checkpoint RUN"),
    ],
)
def test_a_checkpoint_of_something_else_in_a_run_folder(
    cli: Callable[[Sequence[str]], None],
    words: str,
    change: str,
    fault: str,
    toy_run: Callable[[str], ToyRun],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = Path(shutil.copytree(toy_run("probe").folder, tmp_path / "run"))
    path = saves.latest(folder / "checkpoints")
    assert path is not None
    saves.save(_content(saves.load(path), change), path.parent, step=saves.step_of(path))
    places = {"RUN": str(folder), "OUT": str(tmp_path / "out")}
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        cli([places.get(word, word) for word in words.split()])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert left.value.code == 2 and fault in line and "; give " in line
    assert line.startswith(f"error: {path}: not a checkpoint of a run: ")


def test_a_run_that_does_not_fit_names_its_checkpoint(
    toy_run: Callable[[str], ToyRun], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(toy_run("probe").folder, tmp_path / "run"))
    file, path = folder / "config.json", saves.latest(folder / "checkpoints")
    whole = read_json(file, remedy="")
    file.write_text(json.dumps(whole | {"classes": whole["classes"][:-1]}))
    with pytest.raises(ValueError, match="weights of another size: head") as info:
        load_tested(folder, recipe=None, data={}, sizes={})
    assert str(info.value).startswith(f"{path} cannot be used: ")
    file.write_text(json.dumps(whole | {"config": {**whole["config"], "data": []}}))
    with pytest.raises(
        ValueError, match=r"config.json: the config, 'data' is \[\], expected an ob"
    ):
        load_tested(folder, recipe=None, data={}, sizes={})


@pytest.mark.parametrize(
    ("main", "config"),
    [
        (export.main, export.Config(checkpoint=Path("x"))),
        (evaluate.main, evaluate.Config(checkpoint=Path("x"))),
        (embed.main, embed.Config(checkpoint=Path("x"), files=(Path("x.mp4"),))),
        (make_shards.main, make_shards.PRESETS["folder"][1]),
        (make_scenes.main, make_scenes.Config(ingredients=Path("x"), backgrounds=(Path("x"),))),
    ],
)
def test_results_do_not_go_into_the_folder_of_a_run(
    main: Callable[[Any], None], config: Any, tmp_path: Path
) -> None:
    saves.save({"step": 3}, tmp_path / "checkpoints", step=3)
    with pytest.raises(ValueError, match=f"--out {tmp_path} is the folder of a run: give a"):
        main(replace(config, out=tmp_path))
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ValueError, match=f"--out {file}/out cannot be made: {file} is a file"):
        main(replace(config, out=file / "out"))
    file.unlink()
    with pytest.raises(ValueError, match=r"--out /proc/out: /proc is not writable"):
        main(replace(config, out=Path("/proc/out")))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]
