"""Trained models on videos: what they leave, what they are rebuilt from, what is refused."""

import csv
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import inf
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
import torch
from clip_files import count, encode
from hypothesis import given
from hypothesis import strategies as st
from media_kinds import KINDS
from torch import Tensor, nn
from toy_runs import DATA, RECIPES
from toy_runs import ToyRun as TrainedRun

from avblocks.checkpoint import saves as _saves
from avblocks.data import AVBatch, ClipError, FrontEnd, write_clip
from avblocks.data.decode.audio import decode_audio, extent
from avblocks.data.decode.frames import decode_frame
from avblocks.data.decode.media import open_media, open_sound
from avblocks.tasks.separate import Separation
from avblocks.video.film import cut, open_film, window
from avblocks.video.layer import layer
from avblocks.video.overlap import OverlapAdd, Strip
from avblocks.video.overlay import draw_over, shown_size
from avblocks.video.windows import windows
from avblocks.viz import mask_overlay, overlay
from recipes import (
    paper_finetune,
    paper_segment,
)
from recipes.benchmark.footage import write_footage
from recipes.common.start import find
from recipes.engine.folder import recipe_of
from recipes.predict.__main__ import cli, hop_of
from recipes.predict.figures import class_lines
from recipes.predict.found import write_found
from recipes.predict.trained import asked, load_trained

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

    return asked(model, ask, batch)


def samples(path: Path, *, rate: int = DATA.rate) -> np.ndarray:
    with (open_sound if path.suffix == ".wav" else open_media)(str(path)) as media:
        begin, end = extent(media)
        return decode_audio(media, start=begin, seconds=end - begin, rate=rate)


def pictures(path: Path) -> tuple[list[float], np.ndarray]:
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.video[0]))
        return [f.time for f in frames], np.stack([f.to_ndarray(format="rgb24") for f in frames])


def ends(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli([str(word) for word in words])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "pretrain"])
def test_the_rebuilt_model_is_the_trained_one(
    run: Callable[[str], TrainedRun], video: Path, name: str
) -> None:
    trained, rebuilt = run(name), load_trained(run(name).folder)
    assert trained.model is not None and not rebuilt.model.training
    batch = next(windows(open_film(str(video), DATA, hop=window(DATA)), batch=3)).batch()
    assert torch.equal(answers(trained.model.eval(), batch), answers(rebuilt.model, batch))
    old = trained.model.state_dict()
    assert all(torch.equal(value, old[n]) for n, value in rebuilt.model.state_dict().items())
    fresh = RECIPES[name][0].build(trained.config, classes=rebuilt.classes)
    assert not torch.equal(answers(fresh.eval(), batch), answers(rebuilt.model, batch))
    assert load_trained(find(trained.folder)).path == rebuilt.path


def test_leaves_classes_videos_and_sounds(
    run: Callable[[str], TrainedRun],
    video: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = [run(name).folder for name in ("finetune", "localize", "semantic", "separate")]
    words = ["--out", tmp_path, "--guides", "halves", "--batch", 2]
    cli([str(word) for word in (video, "--checkpoint", *runs, *words)])
    said, found = capsys.readouterr().out, tmp_path / "street"
    assert "0.0 to " in said and f"in {found}: classes.csv classes.png" in said
    for name in ("classes.png", "segmentation.png", "separation.png"):
        assert (found / name).stat().st_size > 3000
    with (found / "classes.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["start", "end", *load_trained(runs[0]).classes]
    assert [(float(a), float(b)) for a, b, *_ in rows] == [(0, 0.5), (0.5, 1), (0.8, 1.3)]
    assert all(sum(map(float, row)) == pytest.approx(1, abs=1e-3) for _, _, *row in rows)
    own, _ = pictures(video)
    for name in ("localization.mp4", "segmentation.mp4"):
        times, drawn = pictures(found / name)
        assert times == pytest.approx(own, abs=1e-3) and drawn.shape[1:3] == SIDES
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
    cli([str(word) for word in words])
    with (tmp_path / "street" / "classes.csv").open(newline="") as file:
        found = np.array([row[2:] for row in csv.reader(file)][1:], dtype=float)
    film = open_film(str(video), DATA, hop=round(0.4 * DATA.rate))
    every = next(windows(film, batch=9))
    assert every.starts == (0, 6400, 12800)
    logits = asked(trained.model, lambda batch: trained.model.logits(batch).mean, every.batch())
    assert np.abs(found - logits.softmax(dim=1).numpy()).max() < 1e-3
    trained.model.multilabel = True
    write_found(trained, film, tmp_path, batch=2)
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
    cli([str(word) for word in (*videos, "--checkpoint", run("separate").folder, *words)])
    mixture = samples(videos[0])
    white = {name: samples(tmp_path / "white" / f"{name}.wav") for name in ("separated", "rest")}
    assert len(mixture) == len(white["separated"])
    assert np.abs(white["separated"] - mixture).max() < 2 / 32767 and not white["rest"].any()
    half = {p.stem: samples(p) for p in (tmp_path / "half").glob("*.wav")}
    assert not half["left"].any() and np.abs(half["right"] - mixture).max() < 2 / 32767
    assert np.abs(half["rest"] - 0.5 * mixture).max() < 2 / 32767


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_windows_cover_all_and_join_to_the_sound(total: int, length: int, hop: int) -> None:
    hop = min(hop, length)
    starts = cut(total, length=length, hop=hop)
    assert starts[0] == 0 and all(0 < b - a <= hop for a, b in pairwise(starts))
    assert starts[-1] == max(total - length, 0)
    sound = torch.randn(2, max(total, length))
    join = OverlapAdd(2, length=length, total=total)
    pieces = [join.add(sound[:, start : start + length], start=start) for start in starts]
    assert torch.allclose(torch.cat([*pieces, join.rest()], dim=1), sound[:, :total], atol=1e-6)


def test_windows_fade_into_each_other() -> None:
    join = OverlapAdd(1, length=100, total=150)
    pieces = [join.add(torch.zeros(1, 100), start=0), join.add(torch.ones(1, 100), start=50)]
    joined = torch.cat([*pieces, join.rest()], dim=1)[0]
    assert not joined[:50].any() and (joined[100:] == 1).all()
    steps = joined[49:101].diff()
    assert (steps >= 0).all() and steps.max() < 0.05


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_windows_of_sound_are_those_that_training_reads(video: Path, rate: int) -> None:
    data = replace(DATA, rate=rate)
    film = open_film(str(video), data, hop=window(data) // 3)
    whole = samples(video, rate=rate)
    inside = torch.arange(film.total)[50:-50]
    for some in windows(film, batch=2):
        for start, audio in zip(some.starts, some.audio, strict=True):
            kept = inside[(inside >= start) & (inside < start + len(audio))]
            assert np.abs(audio[kept - start].numpy() - whole[kept]).max() < 1e-5
    assert audio[-5:].all()


def test_a_gap_in_the_sound_is_silent(tmp_path: Path) -> None:
    path, rate = tmp_path / "gap.mkv", DATA.rate
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("libx264", 10), container.add_stream("pcm_s16le", rate)
        video.height, video.width, video.pix_fmt, sound.layout = 32, 32, "yuv420p", "mono"
        for _ in range(10):
            black = np.zeros((32, 32, 3), dtype=np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
        for second in (0, 3):
            loud = np.full((1, rate), 8192, dtype=np.int16)
            frame = av.AudioFrame.from_ndarray(loud, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, second * rate, Fraction(1, rate)
            container.mux(sound.encode(frame))
        for stream in (video, sound):
            container.mux(stream.encode(None))
    film = open_film(str(path), DATA, hop=window(DATA))
    heard = torch.cat([some.audio.flatten() for some in windows(film, batch=3)])
    assert heard.unflatten(0, (-1, rate)).mean(dim=1).tolist() == [0.25, 0, 0, 0.25]


def test_sounds_fade_and_else_windows_stand_side_by_side(
    run: Callable[[str], TrainedRun],
) -> None:
    separator, probe = (load_trained(run(name).folder) for name in ("separate", "probe"))
    assert [hop_of(trained, None) for trained in (separator, probe)] == [4000, 8000]
    assert hop_of(separator, 0.25) == 4000


def test_a_short_sound_is_lengthened(tmp_path: Path) -> None:
    path = str(encode(tmp_path / "a.mp4", frames=6, seconds=0.3))
    film = open_film(path, DATA, hop=window(DATA))
    (some,) = windows(film, batch=4)
    line = torch.from_numpy(samples(Path(path)))
    assert torch.equal(some.audio[0], torch.cat([line, line.flip(0)])[: window(DATA)])
    assert film.spans == [(0, len(line) / DATA.rate)] and film.until == [inf]


def test_the_picture_is_the_middle_one_and_the_nearest_window_speaks(tmp_path: Path) -> None:
    path = str(encode(tmp_path / "a.mp4", frames=26, seconds=1.3, fps=20))
    film = open_film(path, DATA, hop=window(DATA))
    images = [image for some in windows(film, batch=2) for image in some.images]
    assert [count(image.numpy()) for image in images] == [5, 15, 21]
    assert film.until == pytest.approx([0.5, 0.9, inf])


@pytest.mark.parametrize("kind", ["turned", "uneven times", "late start", "mpeg4 in avi", "vp9"])
def test_layers_are_drawn_in_time(tmp_path: Path, kind: str) -> None:
    path, out = KINDS[kind](tmp_path), tmp_path / "drawn.mp4"
    film, size = open_film(str(path), DATA, hop=window(DATA)), shown_size(str(path))
    dark, same = (layer(lambda x, y=y: x * y, size) for y in (0.0, 1.0))
    layers = iter([(1.0, dark), (inf, same)])
    draw_over(str(path), out, layers=layers, size=size, zero=film.zero)
    times, drawn = pictures(out)
    own, _ = pictures(path)
    assert times == pytest.approx([time - film.zero for time in own], abs=1e-3)
    first = next(number for number, time in enumerate(times) if time >= 1.0)
    for number in (5, first - 1, first, first + 9):
        with open_media(str(path)) as media:
            picture = decode_frame(media, time=own[number]) * (times[number] >= 1.0)
        assert np.abs(drawn[number] - picture.astype(float)).mean() < 8
    assert open_film(str(out), DATA, hop=1).begin == pytest.approx(film.begin - film.zero, abs=2e-3)
    heard, sound = samples(out), samples(path)
    assert np.abs(heard[2000:9000] - sound[2000:9000]).mean() < 0.02


def test_a_large_picture_is_drawn_smaller(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", frames=2, seconds=0.2, height=962, width=642)
    assert shown_size(str(path)) == (720, 480)


def test_a_layer_draws_what_viz_draws() -> None:
    picture = torch.randint(256, (1, 3, 6, 8), dtype=torch.uint8)
    maps, mask = torch.randn(1, 6, 8), torch.randint(3, (1, 6, 8))
    for draw, values in ((overlay, maps), (mask_overlay, mask)):
        found = layer(lambda x, d=draw, v=values: d(x, v.expand(2, -1, -1)), (6, 8))
        drawn = found.over(picture[0].permute(1, 2, 0).numpy())
        wanted = 255 * draw(picture / 255, values)[0].permute(1, 2, 0).numpy()
        assert np.abs(drawn - wanted).max() <= 0.51


@pytest.mark.parametrize("pieces", [[16000], [5000, 11000], [300], [9000] * 40])
def test_spectrograms_of_what_passes(pieces: list[int]) -> None:
    sound, strip = torch.randn(2, sum(pieces)), Strip(DATA, total=sum(pieces))
    for piece in sound.split(pieces, dim=1):
        strip.add(piece)
    drawn, hop = strip.rest(), DATA.rate // 64
    assert drawn.shape == (2, DATA.mels, -(-sum(pieces) // (hop * strip.pool)))
    assert strip.pool == max(-(-sum(pieces) // (1000 * hop)), 1)
    if sum(pieces) == 16000:
        wanted = FrontEnd(rate=DATA.rate, n_mels=DATA.mels).log_mel(sound)[:, 0]
        assert torch.allclose(drawn, wanted, atol=1e-4)


def test_many_turns_are_summed_up() -> None:
    shares = torch.eye(2).repeat(15, 1)
    assert class_lines(shares, classes=("dog", "cat"), edges=range(31)) == [
        "overall: dog (50 %)",
        "overall: cat (50 %)",
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
    cli([str(word) for word in (twin, *words)])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == made
    assert str(tmp_path / "out/street-2") in capsys.readouterr().out


def test_a_sound_that_ends_early_is_refused(video: Path) -> None:
    film = open_film(str(video), DATA, hop=window(DATA))
    told = replace(
        film, total=film.total + 9000, starts=cut(film.total + 9000, length=8000, hop=8000)
    )
    with pytest.raises(ClipError, match=r"street\.mp4: cut short: 1\.3 s of the 1\.9 s of sound"):
        list(windows(told, batch=1))


def test_wrong_words_are_one_line(
    run: Callable[[str], TrainedRun], video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probe, tune = run("probe").folder, run("finetune").folder
    for words, part in (
        ((), "at least one FILE"),
        ((video,), "one --checkpoint RUN"),
        ((video, "--checkpoint", probe, "--hop", 0), "--hop must be above 0 and at most 0.5"),
        ((video, "--checkpoint", probe, "--hop", 0.6), "--hop must be above 0 and at most 0.5"),
        ((video, "--checkpoint", probe, "--batch", 0), "--batch of 1 or more"),
        ((video, "--checkpoint", probe, "--guides", "halves"), "a run of paper_separate"),
        ((video, "--checkpoint", probe, tune), "both do classification: give one"),
        ((video, "--checkpoint", video.parent / "no"), "does not exist: give a run folder of"),
        ((video, "--checkpoint", video.parent), "holds no whole checkpoint: give a run folder"),
        ((video, "--checkpoint", video), "lies in no run folder"),
        ((video, "--checkpoint", run("pretrain").folder), "a run of paper_pretrain, which has no"),
    ):
        code, _, wrong = ends(capsys, *words)
        assert code == 2 and wrong.count("\n") == 1 and part in wrong
    assert ends(capsys, "--help")[0] == 0


def test_what_a_run_says_of_itself_must_fit(
    run: Callable[[str], TrainedRun], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(run("probe").folder, tmp_path / "run"))
    file = folder / "config.json"
    whole = json.loads(file.read_text())
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
    refused(r"left at initialisation encoder\.image", config=config | {"model": deeper})
    older = {name: value for name, value in config["run"].items() if name != "on_nonfinite"}
    file.write_text(json.dumps(whole | {"config": config | {"run": older}}))
    load_trained(folder)
    file.write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        load_trained(folder)


def test_a_weight_too_few_or_too_many_is_named(
    run: Callable[[str], TrainedRun], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(run("probe").folder, tmp_path / "run"))
    state = _saves.load(find(folder))
    value = state["state_dict"].pop("model.head.image.linear.bias")
    path = _saves.save(state, folder / "checkpoints", step=3)
    with pytest.raises(
        ValueError,
        match=r"initialisation head\.image\.linear\.bias, unused",
    ):
        load_trained(path)
    state["state_dict"] |= {"model.head.image.linear.bias": value, "model.more": value}
    path = _saves.save(state, folder / "checkpoints", step=4)
    with pytest.raises(ValueError, match=r"unused in the file more"):
        load_trained(folder)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="it is damaged"):
        load_trained(path)


def test_a_run_from_before_goes_on_and_says_what_it_is(
    run: Callable[[str], TrainedRun], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(run("finetune").folder, tmp_path / "run"))
    file, config = folder / "config.json", run("finetune").config
    facts = json.loads(file.read_text())
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
