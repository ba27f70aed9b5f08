"""TensorBoard has figures, audio and the configuration; other loggers get the same."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from engine_toy import train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_runs import RECIPES, ToyRun, toy_config

from avblocks.data import write_wave
from recipes.engine import open_run
from recipes.engine.loggers import Logger, TensorBoardLogger
from recipes.engine.run import Run
from recipes.engine.tracker import TrackioLogger, check_tracker


def board(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"images": 0, "audio": 0, "tensors": 0})
    found.Reload()
    return found


def test_pretraining_logs_reconstructions_and_its_configuration(
    toy_run: Callable[[str], ToyRun],
) -> None:
    folder = toy_run("pretrain").folder
    found = board(folder / "tensorboard")
    assert found.Tags()["images"] == ["reconstruction"]
    (image,) = found.Images("reconstruction")
    assert image.step == 2 and image.width > 100
    (text,) = found.Tensors("config/text_summary")
    facts = json.loads(text.tensor_proto.string_val[0])
    own = json.loads((folder / "config.json").read_text())
    assert facts["config"] == own["config"] and facts["command"] == own["command"]


def test_separation_logs_audio(toy_scenes: Path, tmp_path: Path) -> None:
    config = toy_config("separate", toy_scenes, tmp_path, max_steps=None)
    RECIPES["separate"][0].main(replace(config, epochs=2))
    found = board(tmp_path / "tensorboard")
    assert found.Tags()["images"] == ["separation"]
    wavs = sorted(path.stem for path in (tmp_path / "wavs").glob("*.wav"))
    assert sorted(found.Tags()["audio"]) == wavs and "0-mixture" in wavs


def test_audio_is_that_of_the_file(tmp_path: Path) -> None:
    wave = np.sin(np.arange(800) / 5).astype(np.float32) / 2
    write_wave(tmp_path / "a.wav", wave, rate=8000)
    logger = TensorBoardLogger(tmp_path / "board")
    logger.audio(3, "a", tmp_path / "a.wav")
    logger.close()
    (event,) = board(tmp_path / "board").Audio("a")
    assert (event.step, event.sample_rate, event.length_frames) == (3, 8000, 800)
    data = event.encoded_audio_string[-1600:]
    heard = np.frombuffer(data, np.int16) / 32768
    assert np.abs(heard - wave).max() < 1e-3


@dataclass
class Notes:
    """A logger that notes its calls."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def config(self, values: Mapping[str, Any]) -> None:
        self.calls.append(("config", values["config"]["batch"]))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.calls.append(("scalars", step, *values))

    def image(self, step: int, name: str, path: Path) -> None:
        self.calls.append(("image", step, name, path.is_file()))

    def audio(self, step: int, name: str, path: Path) -> None:
        self.calls.append(("audio", step, name, path.is_file()))

    def close(self) -> None:
        self.calls.append(("close",))


def test_your_own_logger_gets_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: Logger = Notes()

    def opened(*args: Any, **options: Any) -> Any:
        return open_run(*args, **options, loggers=[notes])

    monkeypatch.setattr("engine_toy.open_run", opened)
    train(tmp_path, max_steps=2)
    assert isinstance(notes, Notes)
    kinds = [call[0] for call in notes.calls]
    assert kinds[0] == "config" and kinds[-1] == "close" and kinds.count("close") == 1
    steps = {call[1] for call in notes.calls if call[0] == "scalars" and "train/loss" in call}
    assert steps == {1, 2}
    assert ("scalars", 0, "eval/mean", "eval/epoch") in notes.calls


def test_figures_are_files_of_the_run(tmp_path: Path) -> None:
    notes = Notes()
    with open_run(Run(dir=tmp_path, devices=1), config={"batch": 4}, loggers=[notes]) as run:
        (tmp_path / "maps.png").touch()
        (tmp_path / "loss.png").touch()
        run.records.log_files(0)  # before a training, no logger is open
        assert notes.calls == []


class FakeRun:
    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls

    def log(self, metrics: dict[str, Any], step: int | None = None) -> None:
        self.calls.append((metrics, step))

    def finish(self) -> None:
        self.calls.append("finish")


@pytest.fixture
def trackio(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls of a module with the interface of trackio 0.43."""
    calls: list[Any] = []
    module = ModuleType("trackio")

    def init(**options: Any) -> FakeRun:
        calls.append(options)
        return FakeRun(calls)

    vars(module).update(init=init, Image=lambda path: ("image", path), Audio=lambda path: path)
    module.__spec__ = sys.__spec__
    monkeypatch.setitem(sys.modules, "trackio", module)
    return calls


def test_the_tracker_gets_the_same(tmp_path: Path, trackio: list[Any]) -> None:
    train(tmp_path / "run", max_steps=2, tracker="trackio")
    start, *logged = trackio
    assert (start["project"], start["name"]) == ("avblocks-run", "run")
    assert start["resume"] == "allow" and start["config"]["config"]["batch"] == 4
    steps = [step for metrics, step in logged[:-1] if "train/loss" in metrics]
    assert steps == [1, 2] and logged[-1] == "finish"


def test_figures_for_the_tracker(tmp_path: Path, trackio: list[Any]) -> None:
    logger = TrackioLogger(project="p", name="r")
    logger.config({})
    logger.image(7, "maps", tmp_path / "maps.png")
    logger.audio(7, "a", tmp_path / "a.wav")
    assert trackio[1:] == [
        ({"maps": ("image", tmp_path / "maps.png")}, 7),
        ({"a": tmp_path / "a.wav"}, 7),
    ]


def test_a_tracker_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipes.engine.tracker.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"--run\.tracker trackio needs pip install trackio"):
        check_tracker(Run(tracker="trackio"))
    check_tracker(Run())


def test_the_real_tracker_keeps_it_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("trackio")
    train(tmp_path / "run", max_steps=2, tracker="trackio")
    train(tmp_path / "run", resume=True, tracker="trackio")
    assert list((tmp_path / "trackio").glob("*.db"))
