r"""Compare the speed of ``predict`` of this commit with that of another one.

Commands:
    python -m recipes.benchmark.predict --commit 41bb066 --checkpoint RUN... --seconds 300
    python -m recipes.benchmark.predict ... --out docs/results/predict.json

The footage is synthetic: 360p, 25 frames per second. Both builds run in this environment and read
the same runs; train them with the older build. Use the wall time on an idle machine, and the CPU
time, the sum over all cores, on a shared one.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import tyro

from avblocks.jsonfile import write_json
from recipes.benchmark.footage import write_footage
from recipes.benchmark.measure import in_process
from recipes.benchmark.turns import in_turn
from recipes.common.cli import run_options


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings."""

    commit: str | None = None
    """The other commit."""

    checkpoint: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN...")] = ()
    """Run folders, of different tasks."""

    seconds: float = 300.0
    """Length of the video."""

    repeats: int = 2
    """Pairs of runs."""

    out: Path | None = None
    """JSON file for the results."""


def _footage(video: Path, seconds: float) -> dict[str, Any]:
    write_footage(video, number=0, seconds=seconds, height=360, keys=50)
    return {}


def main(config: Config) -> None:
    """Run both builds in turn, print the results, and write them if `--out` is given."""
    if config.commit is None or not config.checkpoint or config.repeats < 1:
        raise ValueError("give the --commit to compare with, and at least one --checkpoint RUN")
    runs = [str(path.resolve()) for path in config.checkpoint]
    with TemporaryDirectory() as folder:
        video = Path(folder, "video.mp4")
        # The peak memory of a process is that of its children, too.
        in_process(_footage, video, config.seconds)
        found = in_turn(
            config.commit,
            lambda _, out: [
                "recipes.predict",
                *(str(video), "--checkpoint", *runs, "--out", str(out)),
            ],
            repeats=config.repeats,
            amount={"video_s": config.seconds},
        )
    print(json.dumps(found["times_faster"]))
    if config.out is not None:
        write_json(config.out, found | {"models": len(runs)})


if __name__ == "__main__":
    run_options(main, Config, doc=__doc__)
