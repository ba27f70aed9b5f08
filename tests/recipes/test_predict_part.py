"""Predictions on a part of a video, in another precision, and what they say of the models."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_lines import command
from toy_runs import DATA, ToyRun
from video_files import frames
from video_files import samples as read_samples

from avblocks.data import ClipError
from avblocks.tasks import load_task
from avblocks.video import open_windows
from recipes import export
from recipes.benchmark.footage import write_footage
from recipes.predict import __main__ as predict_recipe
from recipes.predict.trained import find_device, load_trained

START, END, SECONDS = 0.5, 1.5, 2.1


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("footage") / "street.mp4"
    write_footage(path, number=1, seconds=SECONDS, height=48, keys=12)
    return path


def samples(path: Path) -> np.ndarray:
    return read_samples(path, rate=DATA.rate)


def predict(*words: object) -> None:
    command(predict_recipe)([str(word) for word in words])


@pytest.fixture(scope="module")
def results(
    toy_run: Callable[[str], ToyRun], video: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("out")
    runs = [toy_run(name).folder for name in ("finetune", "localize", "separate")]
    part = ("--start", START, "--end", END)
    predict(video, "--checkpoint", *runs, "--out", out, *part, "--batch", 2)
    return out / "street"


def table(path: Path) -> np.ndarray:
    with path.open(newline="") as file:
        return np.array(list(csv.reader(file))[1:], dtype=float)


def test_windows_lie_in_the_part(results: Path) -> None:
    assert table(results / "classes.csv")[:, :2].tolist() == [[0.5, 1.0], [1.0, 1.5]]


def test_the_audio_is_that_of_the_part(results: Path, video: Path) -> None:
    whole = samples(video)
    wanted = whole[round(START * DATA.rate) : round(END * DATA.rate)]
    found = samples(results / "separated.wav") + samples(results / "rest.wav")
    assert len(found) == len(wanted) and np.abs(found - wanted)[50:-50].max() < 2e-3
    heard = samples(results / "localization.mp4")
    assert len(wanted) <= len(heard) <= len(wanted) + 2048  # frames of AAC are whole
    assert np.corrcoef(heard[: len(wanted)], wanted)[0, 1] > 0.9


def test_the_frames_are_those_of_the_part(results: Path, video: Path) -> None:
    times, _ = frames(video)
    drawn, images = frames(results / "localization.mp4")
    inside = [time - START for time in times if START <= time < END]
    assert drawn[0] == 0 and max(drawn) < END - START
    assert all(min(abs(time - other) for other in drawn) < 1e-3 for time in inside)
    assert len(images) == len(drawn)


def test_answers_are_those_of_the_same_windows(
    toy_run: Callable[[str], ToyRun], results: Path, video: Path, tmp_path: Path
) -> None:
    run = toy_run("finetune").folder
    predict(video, "--checkpoint", run, "--out", tmp_path)
    whole = table(tmp_path / "street" / "classes.csv")
    own = table(results / "classes.csv")
    assert np.abs(whole[1:3, 2:] - own[:, 2:]).max() < 1e-3
    assert (whole[1:3, :2] == own[:, :2]).all()


def test_every_file_is_explained(results: Path, toy_run: Callable[[str], ToyRun]) -> None:
    text = (results / "README.txt").read_text()
    listed = {line.split()[0] for line in text.partition("\n\nModel")[0].splitlines()[3:]}
    assert listed == {path.name for path in results.iterdir()}
    assert "trained on vggsound, 8 clips, " in text and "; 2 steps of paper_finetune" in text
    assert "from 0.5 s to 1.5 s" in text


def test_an_export_says_what_it_was_trained_on(
    toy_run: Callable[[str], ToyRun], tmp_path: Path
) -> None:
    run = toy_run("localize").folder
    export.main(export.Config(checkpoint=run, out=tmp_path / "out"))
    told = load_task(tmp_path / "out").trained_on
    assert told == load_trained(run).trained_on != ""


def test_half_precision_is_close(
    toy_run: Callable[[str], ToyRun], video: Path, tmp_path: Path
) -> None:
    run = toy_run("finetune").folder
    found = []
    for precision in ("32-true", "bf16-mixed"):
        out = tmp_path / precision
        predict(video, "--checkpoint", run, "--out", out, "--precision", precision)
        found.append(table(out / "street" / "classes.csv"))
    assert 0 < np.abs(found[0] - found[1]).max() < 0.02


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--start", 2, "--end", 1), "--start 2 must be 0 or more, and before --end 1"),
        (("--start", -1), "--start -1 must be 0 or more"),
        (("--device", "tpu"), "--device is cpu, cuda or cuda:N, got tpu"),
        (("--device", "cuda:99"), "--device cuda:99: this machine has "),
        (("--device", "cpu", "--precision", "16-mixed"), "--precision 16-mixed needs a GPU"),
    ],
)
def test_wrong_words(
    words: tuple[object, ...], message: str, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        predict(video, "--checkpoint", video, *words)
    assert left.value.code == 2 and message in capsys.readouterr().err


def test_a_part_without_audio_is_named(video: Path) -> None:
    with pytest.raises(ClipError, match=r"no audio from 5 s to 6 s: its audio lasts from 0 to 2.1"):
        open_windows(video, DATA.format, part=(5.0, 6.0))
    with pytest.raises(ClipError, match="no audio from 5 s to the end: its audio lasts"):
        open_windows(video, DATA.format, part=(5.0, float("inf")))


def test_devices() -> None:
    assert find_device("cpu") == torch.device("cpu")
    wanted = "cuda" if torch.cuda.is_available() else "cpu"
    assert find_device(None).type == wanted
