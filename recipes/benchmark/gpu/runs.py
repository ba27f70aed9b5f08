"""Whole recipes: predictions on minutes of video, and a complete pre-training."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av

from avblocks.data.scenes import SceneSpec, scenes, scenes_as_vggss
from recipes.benchmark.cases import Case
from recipes.benchmark.footage import write_footage
from recipes.benchmark.measure import short
from recipes.benchmark.recipe import workers
from recipes.benchmark.work import sizes
from recipes.engine.log import read_rows
from recipes.engine.run import Run

_TURNS = 30  # repetitions of the same footage
_SCORE = "eval/"


def predicted(device: str, tiny: bool) -> dict[str, Any]:
    """Measure `recipes.predict` on a video, with a classifier and a localizer of ViT-B.

    Returns:
        Length of the video, and time of the predictions of each task, from opening the run to the
        last file, in seconds.
    """
    from recipes.predict import __main__ as predict  # here, as it can be run while this is imported

    with _quiet_folder() as folder:
        video = _video(folder, seconds=1.0 if tiny else 10.0, height=120 if tiny else 360)
        found: dict[str, Any] = {"video_s": short(_seconds_of(video))}
        for task, run in _trained(folder, Case(task="finetune", tiny=tiny, device=device)).items():
            start = time.perf_counter()
            config = predict.Config(files=(video,), checkpoint=(run,), out=folder / "out")
            predict.main(config)
            found[task] = short(time.perf_counter() - start)
        return found


def _video(folder: Path, *, seconds: float, height: int) -> Path:
    """Make a video that repeats some footage, which is encoded once."""
    part, path = folder / "part.mp4", folder / "video.mp4"
    write_footage(part, number=0, seconds=seconds, height=height, keys=50)
    with av.open(str(part)) as first, av.open(str(path), "w", format="mp4") as video:
        copies = [video.add_stream_from_template(stream) for stream in first.streams]
        lengths = [_length(part, index) for index in range(len(copies))]
        for turn in range(_TURNS):
            for index, packet in _packets(part):
                packet.pts = (packet.pts or 0) + turn * lengths[index]
                packet.dts = (packet.dts or 0) + turn * lengths[index]
                packet.stream = copies[index]
                video.mux(packet)
    return path


def _length(video: Path, index: int) -> int:
    """Ticks from a stream's first packet to the end of its last."""
    times = [(p.dts or 0, p.duration or 0) for number, p in _packets(video) if number == index]
    return max(start + length for start, length in times) - min(start for start, _ in times)


def _packets(video: Path) -> Iterator[tuple[int, av.Packet]]:
    with av.open(str(video)) as container:
        for packet in container.demux():
            if packet.dts is not None:
                yield packet.stream_index, packet


def _seconds_of(video: Path) -> float:
    with av.open(str(video)) as container:
        return (container.duration or 0) / av.time_base


def _trained(folder: Path, case: Case) -> dict[str, Path]:
    """Train a classifier and a localizer for a step, since predictions need a run."""
    from recipes import paper_finetune, paper_localize

    spec = SceneSpec(size=64, seconds=1.0) if case.tiny else SceneSpec()
    for split in ("train", "test"):
        scenes(folder / "scenes", split=split, num_clips=8, spec=spec, workers=workers())
    scenes_as_vggss(folder / "scenes")
    model, data = sizes(case)
    shared: dict[str, Any] = {"model": model, "checkpoint": None, "batch": 4}
    for name, layout, recipe, preset in (
        ("classification", "vggsound", paper_finetune, paper_finetune.VGGSOUND),
        ("localization", "vggss", paper_localize, paper_localize.VGGSS),
    ):
        clips = replace(data, name=layout, root=folder / "scenes", workers=2)
        run = Run(dir=folder / name, max_steps=1, devices=1)
        recipe.main(replace(preset, data=clips, run=run, **shared))
    return {name: folder / name for name in ("classification", "localization")}


def pretrained(device: str, tiny: bool) -> dict[str, Any]:
    """Run `recipes.paper_pretrain` on scenes to its end.

    Returns:
        Its time in seconds (with existing scenes), its steps, and its last loss and scores.
    """
    from recipes import paper_pretrain

    with _quiet_folder() as folder:
        config = paper_pretrain.SCENES
        data = replace(config.data, root=folder / "scenes", workers=min(8, workers()))
        if tiny:
            data = replace(data, scenes=(32, 16))
            config = replace(config, epochs=2, warmup=1)
        for split, count in zip(("train", "test"), data.scenes, strict=True):
            scenes(data.root or folder, split=split, num_clips=count, workers=workers())
        start = time.perf_counter()
        paper_pretrain.main(replace(config, data=data, run=Run(dir=folder / "run", devices=1)))
        seconds = time.perf_counter() - start
        rows = read_rows(folder / "run" / "metrics.csv")
    scores = next(row for row in reversed(rows) if any(key.startswith(_SCORE) for key in row))
    return {
        "seconds": short(seconds),
        "steps": int(rows[-1]["step"]),
        "loss": short(next(row["loss"] for row in reversed(rows) if "loss" in row)),
        "scores": {k.removeprefix(_SCORE): v for k, v in scores.items() if k.startswith(_SCORE)},
    }


@contextmanager
def _quiet_folder() -> Iterator[Path]:
    """Yield a temporary folder, and suppress the output of recipes, which refers to it."""
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        yield Path(folder)


def predicted_line(row: dict[str, Any]) -> str:
    """Format the times of the predictions as a line."""
    tasks = (f"{name} {row[name]} s" for name in ("classification", "localization"))
    return f"{row['video_s']:.0f} s of video: {', '.join(tasks)}"


def pretrained_line(row: dict[str, Any]) -> str:
    """Format the time, loss and scores of the pre-training as a line."""
    scores = ", ".join(f"{name} {value:.1f}" for name, value in row["scores"].items())
    return f"{row['steps']} steps in {row['seconds']:.0f} s, loss {row['loss']}; {scores}"
