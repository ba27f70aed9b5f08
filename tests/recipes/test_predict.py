"""Predictions of trained models: the files written, the models rebuilt, and what is refused."""

import csv
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from av.container import OutputContainer
from av.packet import Packet
from command_lines import command
from torch import Tensor, nn
from toy_runs import DATA, RECIPES
from toy_runs import ToyRun as TrainedRun
from video_files import frames
from video_files import samples as read_samples

from avblocks.checkpoint import saves as _saves
from avblocks.data import AVBatch, write_clip
from avblocks.files import temporary
from avblocks.jsonfile import read_json
from avblocks.tasks import Separation
from avblocks.video import open_windows
from recipes import (
    paper_finetune,
    paper_segment,
)
from recipes.benchmark.footage import write_footage
from recipes.common.run_files import find
from recipes.engine.folder import recipe_of
from recipes.predict import __main__ as predict_recipe
from recipes.predict.figures import class_lines
from recipes.predict.results import write_results
from recipes.predict.trained import hop_of, infer, load_trained

SECONDS, SIDES = 1.3, (48, 84)


@pytest.fixture
def run(toy_run: Callable[[str], TrainedRun]) -> Callable[[str], TrainedRun]:
    return toy_run


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("footage") / "street.mp4"
    write_footage(path, number=1, seconds=SECONDS, height=SIDES[0], keys=12)
    return path


def answers(model: nn.Module, batch: AVBatch) -> Tensor:
    name = next(name for name in ("maps", "separate", "logits") if hasattr(model, name))

    def ask(given: AVBatch) -> Tensor:
        found = getattr(model, name)(given)
        return found if isinstance(found, Tensor) else found.mean

    return infer(model, ask, batch)


def samples(path: Path) -> np.ndarray:
    return read_samples(path, rate=DATA.rate)


def ends(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        command(predict_recipe)([str(word) for word in words])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "pretrain"])
def test_the_rebuilt_model_is_the_trained_one(
    run: Callable[[str], TrainedRun], video: Path, name: str
) -> None:
    trained, rebuilt = run(name), load_trained(run(name).folder)
    assert trained.model is not None and not rebuilt.task.training
    batch = next(open_windows(video, DATA.format).batches(3)).to_batch()
    # Kernels may round by the alignment of the weights in memory; the weights are equal to the bit.
    torch.testing.assert_close(answers(trained.model.eval(), batch), answers(rebuilt.task, batch))
    old = trained.model.state_dict()
    assert all(torch.equal(value, old[n]) for n, value in rebuilt.task.state_dict().items())
    fresh = RECIPES[name][0].build(trained.config, classes=rebuilt.classes)
    assert not torch.allclose(answers(fresh.eval(), batch), answers(rebuilt.task, batch))
    assert load_trained(find(trained.folder)).path == rebuilt.path


def test_leaves_classes_videos_and_sounds(
    run: Callable[[str], TrainedRun],
    video: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = [run(name).folder for name in ("finetune", "localize", "semantic", "separate")]
    words = ["--out", tmp_path, "--guides", "halves", "--batch", 2]
    command(predict_recipe)([str(word) for word in (video, "--checkpoint", *runs, *words)])
    said, found = capsys.readouterr().out, tmp_path / "street"
    assert "0.0 to " in said and f"in {found}: classes.csv classes.png" in said
    for name in ("classes.png", "segmentation.png", "separation.png"):
        assert (found / name).stat().st_size > 3000
    with (found / "classes.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["start", "end", *load_trained(runs[0]).classes]
    assert [(float(a), float(b)) for a, b, *_ in rows] == [(0, 0.5), (0.5, 1), (0.8, 1.3)]
    assert all(sum(map(float, row)) == pytest.approx(1, abs=1e-3) for _, _, *row in rows)
    own, _ = frames(video)
    for name in ("localization.mp4", "segmentation.mp4"):
        times, drawn = frames(found / name)
        assert times == pytest.approx([*own, 1.26], abs=1e-3)  # the audio ends at 1.3 s
        assert drawn.shape[1:3] == SIDES
        heard = samples(found / name)[: len(samples(video))]
        assert np.corrcoef(heard, samples(video))[0, 1] > 0.9
    parts = {
        name: samples(found / f"{name}.wav") for name in ("separated", "rest", "left", "right")
    }
    mixture = samples(video)
    assert all(len(part) == len(mixture) for part in parts.values())
    assert np.abs(parts["separated"] + parts["rest"] - mixture)[20:-20].max() < 1e-4
    assert np.abs(parts["left"] - parts["right"]).max() > 1e-3


def test_classes_are_those_of_the_windows(
    run: Callable[[str], TrainedRun], video: Path, tmp_path: Path
) -> None:
    trained = load_trained(run("probe").folder)
    words = (video, "--checkpoint", trained.path, "--out", tmp_path, "--hop", 0.4)
    command(predict_recipe)([str(word) for word in words])
    with (tmp_path / "street" / "classes.csv").open(newline="") as file:
        found = np.array([row[2:] for row in csv.reader(file)][1:], dtype=float)
    windows = open_windows(video, DATA.format, hop=round(0.4 * DATA.rate))
    every = next(windows.batches(9))
    assert every.starts == (0, 6400, 12800)
    logits = infer(trained.task, lambda batch: trained.task.logits(batch).mean, every.to_batch())
    assert np.abs(found - logits.softmax(dim=1).numpy()).max() < 1e-3
    trained.task.multilabel = True
    write_results([trained], [windows], tmp_path, batch=2)
    with (tmp_path / "classes.csv").open(newline="") as file:
        found = np.array([row[2:] for row in csv.reader(file)][1:], dtype=float)
    assert np.abs(found - logits.sigmoid().numpy()).max() < 1e-3


@pytest.mark.parametrize("seconds", [SECONDS, 0.3])
def test_a_mask_of_ones_gives_the_sound_back(
    run: Callable[[str], TrainedRun],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
) -> None:
    """Guided by a half, in this test, the sound is as loud as that half is bright."""

    def separate(_: Separation, batch: AVBatch) -> Tensor:
        return (
            batch.audio * (batch.image.float().mean(dim=(1, 2, 3)) / 255).round(decimals=1)[:, None]
        )

    monkeypatch.setattr(Separation, "separate", separate)
    rng = np.random.default_rng(0)
    frames = np.full((round(seconds * 20), 32, 48, 3), 255, dtype=np.uint8)
    sound = rng.uniform(-0.5, 0.5, round(seconds * DATA.rate))
    write_clip(tmp_path / "white.mp4", frames=frames, audio=sound, fps=20, rate=DATA.rate)
    frames[:, :, :24] = 0
    write_clip(tmp_path / "half.mp4", frames=frames, audio=sound, fps=20, rate=DATA.rate)
    videos = [tmp_path / "white.mp4", tmp_path / "half.mp4"]
    words = ["--out", tmp_path, "--guides", "halves", "--hop", 0.2]
    command(predict_recipe)(
        [str(word) for word in (*videos, "--checkpoint", run("separate").folder, *words)]
    )
    mixture = samples(videos[0])
    white = {name: samples(tmp_path / "white" / f"{name}.wav") for name in ("separated", "rest")}
    assert len(mixture) == len(white["separated"])
    assert np.abs(white["separated"] - mixture).max() < 2 / 32767 and not white["rest"].any()
    half = {p.stem: samples(p) for p in (tmp_path / "half").glob("*.wav")}
    assert not half["left"].any() and np.abs(half["right"] - mixture).max() < 2 / 32767
    assert np.abs(half["rest"] - 0.5 * mixture).max() < 2 / 32767


def test_sounds_fade_and_else_windows_stand_side_by_side(
    run: Callable[[str], TrainedRun],
) -> None:
    separator, probe = (load_trained(run(name).folder) for name in ("separate", "probe"))
    assert [hop_of(trained, None) for trained in (separator, probe)] == [4000, 8000]
    assert hop_of(separator, 0.25) == 4000


def test_stopped_it_leaves_no_half_files_and_killed_the_next_removes_them(
    run: Callable[[str], TrainedRun], video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [str(video), "--checkpoint", str(run("localize").folder), "--out", str(tmp_path)]
    words += ["--batch", "1", "--hop", "0.1"]
    sent: list[int] = []

    def stop(container: OutputContainer, packets: list[Packet], out: Path) -> None:
        container.mux(packets)
        if not sent and list(out.parent.glob(".localization.mp4.*.tmp")):
            sent.append(signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("avblocks.video.write.write_packets", stop)
        command(predict_recipe)(words)
    assert ended.value.code == 143 and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert [path.name for path in (tmp_path / "street").iterdir()] == ["file.txt"]
    half = temporary(tmp_path / "street" / "localization.mp4", 2**22 + 1)
    half.touch()
    command(predict_recipe)(words)
    names = {"README.txt", "file.txt", "localization.mp4"}
    assert {path.name for path in (tmp_path / "street").iterdir()} == names


def test_many_turns_are_summed_up() -> None:
    shares = torch.eye(2).repeat(15, 1)
    assert class_lines(shares, classes=("dog", "cat"), edges=range(31)) == [
        "overall: dog (50%)",
        "overall: cat (50%)",
    ]


def test_one_bad_file_does_not_stop_the_others(
    run: Callable[[str], TrainedRun],
    video: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    empty, twin = tmp_path / "empty.mp4", tmp_path / "twin" / "street.mp4"
    empty.touch()
    twin.parent.mkdir()
    shutil.copy(video, twin)
    words = ["--checkpoint", run("probe").folder, "--out", tmp_path / "out"]
    code, said, wrong = ends(capsys, empty, video, twin, video, *words)
    assert code == 1 and wrong == f"error: {empty}: the file is empty\n"
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == ["street", "street-2"] and said.count("classes.csv") == 2
    command(predict_recipe)([str(word) for word in (twin, *words)])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == made
    assert str(tmp_path / "out/street-2") in capsys.readouterr().out


def test_wrong_words_are_one_line(
    run: Callable[[str], TrainedRun], video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probe, tune = run("probe").folder, run("finetune").folder
    for words, part in (
        ((), "at least one FILE"),
        ((video,), "one --checkpoint RUN"),
        ((video, "--checkpoint", probe, "--hop", 0), "--hop must be above 0 and at most 0.5"),
        ((video, "--checkpoint", probe, "--hop", "nan"), "--hop must be above 0 and at most 0.5"),
        ((video, "--checkpoint", probe, "--hop", "inf"), "--hop must be above 0 and at most 0.5"),
        ((video, "--checkpoint", probe, "--hop", 0.6), "--hop must be above 0 and at most 0.5"),
        ((video, "--checkpoint", probe, "--batch", 0), "--batch of 1 or more"),
        ((video, "--checkpoint", probe, "--guides", "halves"), "a run of paper_separate"),
        ((video, "--checkpoint", probe, tune), "both do classification: give one"),
        ((video, "--checkpoint", video.parent / "no"), "does not exist: give a run folder of"),
        ((video, "--checkpoint", video.parent), "holds no whole checkpoint: give a run folder"),
        ((video, "--checkpoint", video), "is in no run folder"),
        (
            (video, "--checkpoint", run("pretrain").folder),
            "a run of paper_pretrain, without a head",
        ),
    ):
        code, _, wrong = ends(capsys, *words)
        assert code == 2 and wrong.count("\n") == 1 and part in wrong
    assert ends(capsys, "--help")[0] == 0


def test_what_a_run_says_of_itself_must_fit(
    run: Callable[[str], TrainedRun], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(run("probe").folder, tmp_path / "run"))
    file = folder / "config.json"
    whole = read_json(file, remedy="")
    assert whole["recipe"] == "paper_linear_probe" and len(whole["classes"]) > 5

    def refused(message: str, **changes: object) -> None:
        file.write_text(json.dumps(whole | changes))
        with pytest.raises(ValueError, match=message):
            load_trained(folder)

    config = whole["config"]
    refused("does not say which recipe", recipe=None)
    refused(r"can not match \"nonsense\"", config=config | {"nonsense": 1})
    refused(r"model\.dim", config=config | {"model": config["model"] | {"dim": "16"}})
    refused("config.json lacks pooling", config={n: v for n, v in config.items() if n != "pooling"})
    refused("weights of another size: head", classes=whole["classes"][:-1])
    deeper = config["model"] | {"depth": 3}
    refused(r"left at initialization \d+ \(encoder\.image", config=config | {"model": deeper})
    older = {name: value for name, value in config["run"].items() if name != "on_nonfinite"}
    file.write_text(json.dumps(whole | {"config": config | {"run": older}}))
    load_trained(folder)
    file.write_text("{")
    with pytest.raises(ValueError, match=r"config\.json, line 1: broken JSON"):
        load_trained(folder)


@pytest.mark.parametrize("name", ["probe", "separate"])
def test_an_exported_task_is_the_trained_one(
    run: Callable[[str], TrainedRun], video: Path, tmp_path: Path, name: str
) -> None:
    load = pytest.importorskip("avblocks.tasks.load")
    trained = load_trained(run(name).folder)
    load.save_task(trained.task, tmp_path / "out", classes=trained.classes)
    exported = load_trained(tmp_path / "out")
    assert (exported.classes, exported.format) == (trained.classes, trained.format)
    batch = next(open_windows(video, DATA.format).batches(3)).to_batch()
    assert torch.equal(answers(trained.task, batch), answers(exported.task, batch))


def test_a_weight_too_few_or_too_many_is_named(
    run: Callable[[str], TrainedRun], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(run("probe").folder, tmp_path / "run"))
    state = _saves.load(find(folder))
    value = state["state_dict"].pop("model.head.image.linear.bias")
    path = _saves.save(state, folder / "checkpoints", step=3)
    with pytest.raises(
        ValueError,
        match=r"initialization 1 \(head\.image\.linear\.bias\), unused",
    ):
        load_trained(path)
    state["state_dict"] |= {"model.head.image.linear.bias": value, "model.more": value}
    path = _saves.save(state, folder / "checkpoints", step=4)
    with pytest.raises(ValueError, match=r"unused in the file 1 \(more\)"):
        load_trained(folder)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="it is damaged"):
        load_trained(path)


def test_a_run_from_before_goes_on_and_says_what_it_is(
    run: Callable[[str], TrainedRun], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(run("finetune").folder, tmp_path / "run"))
    file, config = folder / "config.json", run("finetune").config
    facts = read_json(file, remedy="")
    file.write_text(json.dumps({n: v for n, v in facts.items() if n not in ("recipe", "classes")}))
    paper_finetune.main(replace(config, run=replace(config.run, dir=folder, resume=True)))
    now = json.loads(file.read_text())
    assert (now["recipe"], now["classes"]) == ("paper_finetune", facts["classes"])


def test_a_recipe_that_is_run_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    main = ModuleType("__main__")
    main.__spec__ = paper_segment.__spec__
    monkeypatch.setitem(sys.modules, "__main__", main)
    kind = type("Config", (), {"__module__": "__main__"})
    assert recipe_of(kind()) == recipe_of(paper_segment.S4) == "paper_segment"
    assert recipe_of({}) is None
