"""Results of the demo without its page: files, other audio, the nearest clips, and refusals."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toy_runs import DATA, ToyRun
from video_files import samples

from avblocks.data import ClipError
from recipes.benchmark.footage import write_footage
from recipes.demo.__main__ import Config, check
from recipes.demo.analysis import Analyst, Request
from recipes.demo.history import EMPTY, remember, render_history
from recipes.demo.nearest import NearestClips
from recipes.demo.render import render_models, render_refusal, render_results
from recipes.demo.timeline import Classes, draw_timeline
from recipes.predict.trained import load_all


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("footage") / "street.mp4"
    write_footage(path, number=1, seconds=1.3, height=48, keys=12)
    return path


@pytest.fixture(scope="module")
def analyst(toy_run: Callable[[str], ToyRun]) -> Analyst:
    runs = [toy_run(name).folder for name in ("finetune", "localize", "separate")]
    return Analyst(models=load_all(runs), max_seconds=10)


def ignore(done: int, total: int) -> None:
    assert 0 < done <= total


def test_results_of_a_video(analyst: Analyst, video: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    outcome = analyst.run(Request(video=video), tmp_path, on_batch=lambda *n: seen.append(n))
    assert seen[-1][0] == seen[-1][1] and outcome.remarks == ()
    page = render_results(outcome, url="results/ann/1", clips=[])
    for name in ("localization.mp4", "separated.wav", "rest.wav", "separation.png"):
        assert f'src="results/ann/1/{name}"' in page
    assert "left.wav" not in page and "audio.wav" not in page
    classes = Classes.read(tmp_path / "classes.csv")
    assert classes.edges == pytest.approx([0, 0.5, 0.9, 1.3], abs=0.001)
    assert classes.names == list(analyst.models[0].classes) and classes.lines()[0] in page
    best = int(classes.values.mean(dim=0).argmax())
    assert classes.overall().startswith(classes.names[best])


def test_a_long_video_is_cut_and_says_so(analyst: Analyst, video: Path, tmp_path: Path) -> None:
    short = Analyst(models=analyst.models[:1], max_seconds=0.5)
    outcome = short.run(Request(video=video), tmp_path, on_batch=ignore)
    assert outcome.remarks == ("only the first 0.5 s of 1 s are read (--max-seconds)",)
    assert Classes.read(tmp_path / "classes.csv").spans == [(0.0, 0.5)]
    assert "(--max-seconds)" in render_results(outcome, url="r", clips=[])


def test_models_and_videos_get_the_chosen_audio(
    analyst: Analyst, video: Path, toy_scenes: Path, tmp_path: Path
) -> None:
    clip = next(toy_scenes.rglob("*.mp4"))
    found = {}
    for audio, other in (("own", None), ("muted", None), ("other", clip)):
        folder = tmp_path / audio
        folder.mkdir()
        request = Request(video=video, audio=audio, other=other)
        outcome = analyst.run(request, folder, on_batch=ignore)
        found[audio] = Classes.read(folder / "classes.csv").values
        page = render_results(outcome, url="r", clips=[])
        assert ("r/audio.wav" in page) == (audio != "own")
        heard = samples(folder / "localization.mp4", rate=DATA.rate)
        assert (np.abs(heard).max() > 0.01) == (audio != "muted")
    assert not found["own"].equal(found["muted"]) and not found["muted"].equal(found["other"])
    expected = samples(clip, rate=DATA.rate)
    given = samples(tmp_path / "other/localization.mp4", rate=DATA.rate)[: len(expected)]
    assert np.corrcoef(given, expected)[0, 1] > 0.9


def test_a_clip_of_the_folder_is_the_nearest_to_itself(
    toy_run: Callable[[str], ToyRun], toy_scenes: Path, tmp_path: Path
) -> None:
    clips = toy_scenes / "clips"
    nearest = NearestClips(toy_run("pretrain").folder, clips, cache=tmp_path, count=2)
    video = max(clips.rglob("*.mp4"))
    alone = Analyst(models=[], nearest=nearest)
    (tmp_path / "out").mkdir()
    for by in ("fusion", "image", "audio"):
        outcome = alone.run(Request(video=video, by=by), tmp_path / "out", on_batch=ignore)
        first, second = outcome.neighbors
        assert first.name == video.relative_to(clips).as_posix()
        assert first.similarity == pytest.approx(1, abs=1e-4) and second.similarity < 0.99999
    copy = nearest.copy(first)
    made = copy.stat().st_mtime_ns
    assert nearest.copy(first) == copy and copy.stat().st_mtime_ns == made
    page = render_results(outcome, url="r", clips=[f"clips/{copy.name}", "clips/b.mp4"])
    assert f'src="clips/{copy.name}"' in page and first.name in page


def test_a_broken_file_is_refused_by_name(analyst: Analyst, video: Path, tmp_path: Path) -> None:
    broken = tmp_path / "b<i>roken.mp4"
    broken.write_text("no video")
    for request in (Request(video=broken), Request(video=video, audio="other", other=broken)):
        with pytest.raises(ClipError) as refused:
            analyst.run(request, tmp_path, on_batch=ignore)
        text = render_refusal(refused.value, other=request.other)
        assert "<b>b&lt;i&gt;roken.mp4</b>: cannot be opened as" in text
        assert ("Take another file: a wav" in text) == (request.other is not None)
        assert str(tmp_path) not in text


def test_what_a_callback_raises_ends_the_run(analyst: Analyst, video: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise TimeoutError("enough")

    with pytest.raises(TimeoutError, match="enough"):
        analyst.run(Request(video=video), tmp_path, on_batch=stop)


def test_names_in_the_page_are_escaped(analyst: Analyst, tmp_path: Path) -> None:
    table = tmp_path / "classes.csv"
    table.write_text("start,end,<b>,rain\n0.0,1.0,0.25,0.75\n1.0,2.0,0.5,0.5\n")
    classes = Classes.read(table)
    text = draw_timeline(classes)
    assert "<dt>&lt;b&gt;</dt>" in text and "--p:33%" in text and "1.0 to 2.0 s: 50%" in text
    assert classes.overall() == "rain (62%)"
    models = render_models(analyst.models)
    assert models.count("<b>Trained on</b> vggs") == 3 and "2 steps of paper_localize" in models


def test_runs_on_one_video_are_compared(tmp_path: Path) -> None:
    table = tmp_path / "classes.csv"
    table.write_text("start,end,dog,cat\n0.0,1.0,0.25,0.75\n")
    past = remember(EMPTY, "a.mp4", "Its own audio", table)
    past = remember(past, "a.mp4", "Muted", table)
    past = remember(past, "a.mp4", "Muted", table)
    assert render_history(past).count("<td>cat (75%)</td>") == 2
    assert render_history(remember(past, "b.mp4", "Muted", table)) == ""
    assert remember(past, "a.mp4", "Muted", tmp_path / "none.csv") == past


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "at least one --checkpoint RUN"),
        ({"encoder": Path("run")}, "--encoder run compares clips of a folder: give --folder"),
        ({"max_seconds": 0}, "--max-seconds must be finite and above 0, got 0"),
        ({"max_mb": float("nan")}, "--max-mb must be finite and above 0, got nan"),
        ({"port": 70000}, "--port must be from 1 to 65535, got 70000"),
        ({"temp": Path("none")}, "--temp none is no folder"),
        ({"host": "256.0.0.1"}, "--host 256.0.0.1 --port 7860 cannot be served"),
    ],
)
def test_settings_that_cannot_be(
    settings: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recipes.demo.__main__.find_spec", lambda name: name)
    given = {} if not settings else {"checkpoint": (Path("run"),)}
    with pytest.raises(ValueError, match=message):
        check(Config(**(given | settings)))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipes.demo.__main__.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"gradio is not installed: pip install -e '\.\[demo\]'"):
        check(Config(checkpoint=(Path("run"),)))


def test_classes_of_any_name_are_read(tmp_path: Path) -> None:
    """`start` and `end` are columns of the table too."""
    (tmp_path / "classes.csv").write_text("start,end,end,start\n0.0,2.0,0.75,0.25\n")
    read = Classes.read(tmp_path / "classes.csv")
    assert read.spans == [(0.0, 2.0)] and read.names == ["end", "start"]
    assert read.values.tolist() == [[0.75, 0.25]]
