"""The tasks, small: what they leave, exact resume, mismatched audio and images."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_model import TINY
from toy_runs import short_filters

from avblocks.data import AUDIO, mismatched_pairs, with_audio
from avblocks.data.datasets import vggss
from avblocks.data.scenes import scene_mismatched
from avblocks.data.scenes.classes import PARTS, TIMBRES_OF_LOOK
from recipes import paper_localize, paper_segment, paper_separate
from recipes.common.loaders import test_loader as loader_of
from recipes.common.run_files import find
from recipes.engine.log import read_rows
from recipes.engine.run import Run

MODULES = {"localize": paper_localize, "segment": paper_segment, "separate": paper_separate}
LEAVES = {
    "localize": "maps.png",
    "segment": "segmentation.png",
    "separate": "separation.png",
}
ROWS = {
    "localize": {
        "matched",
        "mismatched",
        "silenced",
        "noise",
        "fusion_attention",
        "center_box",
        "whole_image",
    },
    "segment": {"matched", "mismatched", "silenced", "center_box"},
    "separate": {"matched", "mismatched", "blank", "ideal"},
}


RESUMED = ("localize", "segment", "separate")
"""One of each kind; their variants go the same way."""


@pytest.fixture
def root(toy_scenes: Path) -> Path:
    return toy_scenes


@pytest.fixture(params=[*RESUMED, "semantic", "three", "binary", "pixels"])
def task(
    request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Callable[..., Path]]:
    kinds = {"semantic": "segment", **dict.fromkeys(("three", "binary", "pixels"), "separate")}
    name = kinds.get(request.param, request.param)
    module = MODULES[name]
    small = {"seconds": 0.5, "size": 16, "mels": 32, "workers": 0}
    layouts = {
        "localize": ("vggss", root),
        "segment": ("avsbench_avss", root / "avsbench"),
        "separate": ("scenes", tmp_path_factory.mktemp("default")),
        "three": ("vggsound", root),
        "binary": ("vggsound", root),
        "pixels": ("vggsound", root),
    }
    options = {
        "localize": {"dim_out": 16},
        "segment": {"width": 8},
        "semantic": {"width": 8, "semantic": True},
        "separate": {},
        "three": {"sources": 3},
        "binary": {"masks": "binary"},
        "pixels": {"protocol": "sound-of-pixels"},
    }[request.param]

    def run(folder: Path, **settings: object) -> Path:
        preset, (layout, place) = module.SCENES, layouts.get(request.param, layouts[name])
        data = replace(preset.data, name=layout, root=place, scenes=(8, 8), **small)
        config = replace(preset, data=data, model=TINY, checkpoint=None, batch=4, **options)
        with short_filters():
            module.main(replace(config, epochs=2, warmup=1, run=Run(dir=folder, **settings)))
        return folder

    return name, run


def losses(folder: Path) -> list[tuple[float, ...]]:
    names = ("step", "loss", "lr", "grad_norm")
    return [tuple(r[n] for n in names) for r in read_rows(folder / "metrics.csv") if "loss" in r]


def test_leaves_scores_and_pictures_and_resumes_exactly(
    task: tuple[str, Callable[..., Path]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    name, run = task
    whole = run(tmp_path / "whole")
    scores = json.loads((whole / "scores.json").read_text())["scores"]
    kind = request.node.callspec.params["task"]
    box = {"center_box"} if kind == "semantic" else set()  # the baseline has no classes
    assert set(scores) == ROWS[name] - box
    assert (whole / LEAVES[name]).stat().st_size > 5000
    assert name != "separate" or len(list((whole / "wavs").glob("*-matched.wav"))) > 1
    if kind not in RESUMED:
        return
    run(tmp_path / "parts", max_steps=1)
    assert not (tmp_path / "parts/scores.json").exists()
    parts = run(tmp_path / "parts", resume=True)
    assert len(losses(whole)) > 2 and losses(whole) == losses(parts)
    assert scores == json.loads((parts / "scores.json").read_text())["scores"]
    states = [torch.load(find(f), weights_only=True)["state_dict"] for f in (whole, parts)]
    assert all(torch.equal(value, states[1][n]) for n, value in states[0].items())


def test_mismatched_audio_is_that_of_another_class(root: Path) -> None:
    clips = vggss(root)
    pairs = mismatched_pairs(clips, scene_mismatched(clips))
    data = replace(paper_localize.SCENES.data, root=root, seconds=0.5, size=16, mels=32, workers=0)
    batch = next(iter(loader_of(clips, data, batch=4, whole=True, groups=pairs)))
    matched, mismatched, silenced = (with_audio(batch, name) for name in AUDIO)
    assert torch.equal(matched.image, mismatched.image) and matched.paths == mismatched.paths
    assert torch.equal(matched.audio, batch.audio[0::2]) and not silenced.audio.any()
    for row, (first, second) in enumerate(pairs.places[:4]):
        assert matched.paths[row] == clips.items[first].path
        alone = next(iter(loader_of(clips, data, batch=1, groups=type(pairs)(((second, first),)))))
        assert torch.equal(mismatched.audio[row], alone.audio[0])
        (label,), (other,) = clips.items[first].labels, clips.items[second].labels
        assert PARTS[other][0] not in TIMBRES_OF_LOOK[PARTS[label][1]]
    assert mismatched_pairs(clips).places[0] == (0, 1)


@pytest.mark.slow
def test_a_finished_run_of_two_processes_gives_its_scores_again(root: Path, tmp_path: Path) -> None:
    words = "--checkpoint None --epochs 2 --warmup 0 --batch 4 --run.devices 2 --width 8"
    sizes = "--data.seconds 0.5 --data.size 16 --data.mels 32 --data.workers 0"
    place = ["--data.name", "avsbench_avss", "--data.root", str(root / "avsbench")]
    command = [sys.executable, "-m", "recipes.paper_segment", *words.split(), *sizes.split()]

    def run(*more: str) -> dict[str, dict[str, float]]:
        whole = [*command, *place, "--run.dir", str(tmp_path / "run"), *more]
        subprocess.run(whole, check=True, capture_output=True, timeout=300)
        return json.loads((tmp_path / "run/scores.json").read_text())["scores"]

    before = run()
    (tmp_path / "run/scores.json").unlink()
    after = run("--run.resume")  # one process adds up in another order
    assert after == {sound: pytest.approx(row, rel=1e-5) for sound, row in before.items()}
