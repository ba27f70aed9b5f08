r"""Try trained models in the browser: drop or record a video, and see and hear what they find.

Commands:
    python -m recipes.demo --checkpoint RUN...
    python -m recipes.demo --checkpoint RUN... --folder DIR        (also finds the nearest clips)

    RUN is the run folder of paper_finetune, paper_linear_probe, paper_localize, paper_separate or
    paper_segment, a checkpoint in one, or a folder of recipes.export; several of different tasks
    may be given. DIR is a folder of videos, which are embedded at the start.

Needs pip install -e '.[demo]'. Prints the address of the page, which is only for this machine
unless --host is given, and serves it until Ctrl-C. The page shows what `python -m recipes.predict`
writes: classes over time, videos with heat maps or masks and their audio, separated audio to play;
and it can mute the audio, or take that of another file, to show whether a model listens. Visitors
wait in a queue for the models, and each has a folder of their own.

Files are temporary: those of a visitor are deleted when they leave the page, and all of them at the
end. The page loads nothing from other hosts, and nothing is reported to anyone.

Try:
    --max-seconds 20 --max-mb 30      (smaller videos)
    --host 0.0.0.0                    (for the network; anybody in it can use the page)
"""

import os
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import tyro

from recipes.common.cli import run_options
from recipes.demo.address import check_port
from recipes.demo.analysis import Analyst
from recipes.demo.nearest import NearestClips
from recipes.demo.visitors import Visitors
from recipes.engine.ranges import check_ranges
from recipes.predict.trained import Precision, check_precision, find_device, load_all, origin


@dataclass(frozen=True, kw_only=True)
class Config:
    """Models, address, and bounds."""

    checkpoint: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN...")] = ()
    """Run folders, checkpoints in them, or folders of recipes.export."""

    folder: Path | None = None
    """Folder of videos, at any depth, in which the nearest clips of a video are searched."""

    encoder: Path | None = None
    """Run or export whose encoder compares videos with those of --folder, for example of
    paper_pretrain; the first --checkpoint if not given."""

    nearest: int = 3
    """Clips of --folder that are shown."""

    host: str = "127.0.0.1"
    """Address to serve; by default, only this machine can open the page."""

    port: int = 7860
    """Port to serve."""

    max_mb: float = 100.0
    """Largest file, in MiB."""

    max_seconds: float = 60.0
    """Longest part of a video that is read, from its start, in seconds."""

    max_minutes: float = 10.0
    """Longest time of a run of all models on one video, in minutes."""

    max_waiting: int = 10
    """Largest number of runs that wait in the queue."""

    temp: Path | None = None
    """Folder for temporary files; that of the system if not given."""

    batch: int = 8
    """Windows in a batch."""

    device: str | None = None
    """Device: cpu, cuda or cuda:N; by default a GPU if there is one."""

    precision: Precision = "32-true"
    """Precision of the models."""


def main(config: Config) -> None:
    """Load the models, and serve the page until a stop signal."""
    check(config)
    check_precision(config.precision, find_device(config.device))
    with tempfile.TemporaryDirectory(prefix="avblocks-demo-", dir=config.temp) as root:
        visitors = Visitors(Path(root))
        try:
            start(config, load(config, Path(root)), visitors)
        finally:
            visitors.close()


def check(config: Config) -> None:
    """Raise a ValueError for impossible settings, before any model is loaded."""
    if find_spec("gradio") is None:
        raise ValueError("gradio is not installed: pip install -e '.[demo]'")
    if not config.checkpoint:
        raise ValueError("give at least one --checkpoint RUN")
    if config.encoder is not None and config.folder is None:
        raise ValueError(f"--encoder {config.encoder} compares clips of a folder: give --folder")
    if config.temp is not None and not config.temp.is_dir():
        raise ValueError(f"--temp {config.temp} is no folder: make it first")
    bounds = ("max_mb", "max_seconds", "max_minutes", "max_waiting", "nearest", "batch")
    check_ranges(config, {"finite and above 0": bounds})
    check_port(config.host, config.port)


def load(config: Config, root: Path) -> Analyst:
    """Load the models, and embed the videos of the folder."""
    models = load_all(config.checkpoint, device=config.device)
    for one in models:
        print(f"{one.name}: {origin(one)}", flush=True)
    nearest = None
    if config.folder is not None:
        nearest = NearestClips(
            config.encoder or config.checkpoint[0],
            config.folder,
            cache=root,
            count=config.nearest,
            batch=config.batch,
            max_seconds=config.max_seconds,
            device=config.device,
        )
        print(f"{config.folder}: {len(nearest.paths)} clips", flush=True)
    return Analyst(
        models=models,
        nearest=nearest,
        max_seconds=config.max_seconds,
        batch=config.batch,
        precision=config.precision,
    )


def start(config: Config, analyst: Analyst, visitors: Visitors) -> None:
    """Serve the page."""
    # gradio reads them when it is imported: its folder of uploads, and no reports to anyone.
    os.environ["GRADIO_TEMP_DIR"] = str(visitors.uploads)
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
    from recipes.demo.runner import Limits, Runner
    from recipes.demo.serve import make_app, serve

    limits = Limits(
        max_mb=config.max_mb,
        max_seconds=config.max_seconds,
        max_minutes=config.max_minutes,
        max_waiting=config.max_waiting,
    )
    runner = Runner(analyst=analyst, visitors=visitors, limits=limits)
    app = make_app(runner, clips=visitors.root / "clips")
    host = f"[{config.host}]" if ":" in config.host else config.host
    print(f"open http://{host}:{config.port} (Ctrl-C ends it)", flush=True)
    serve(app, host=config.host, port=config.port)


if __name__ == "__main__":
    run_options(main, Config, doc=__doc__)
