"""`kill -9` at random moments of a run, its start and its saves included."""

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from avblocks.checkpoint import saves as _saves
from recipes.engine.folder import checkpoints
from tests.reliability.runs import Bench, newest, same_run, start, train, until, wait

_PLAN = ("--run.accumulate", "2", "--epochs", "1000")
_STARTUP = 8.0  # seconds that a run's start may take


def kill(bench: Bench, *, kills: int = 20, steps: int = 400, seed: int = 0) -> dict[str, int]:
    """Kill a run again and again, go on each time, and compare its end with an unbroken run's.

    Of five kills one comes at a random moment of the start, two at a random moment of the
    training, and two at the next save after such a moment.

    Args:
        bench: What to read.
        kills: How often.
        steps: Of the whole run.
        seed: Of the moments.

    Returns:
        `kills` that came, those `survived`: the newest checkpoint was whole, no older than before,
        and gone on with; those that came while `saving`, and whether the end is `identical`.
    """
    words = ("--data.root", bench.clips, *_PLAN, "--run.max-steps", steps)
    whole, folder = bench.folder / "kill-whole", bench.folder / "kill"
    train(whole, *map(str, words))
    rng, count, survived, saving, before = random.Random(seed), 0, 0, 0, -1
    for number in range(kills):
        process = start(folder, *map(str, words), "--run.save-every", "1", *_again(folder))
        moment = _moment(number, folder, before, rng)
        if not moment(process):
            break  # it came to its end before its time
        process.send_signal(signal.SIGKILL)
        came_on = newest(folder) > before
        if wait(process).code != -signal.SIGKILL:
            break
        count += 1
        saving += bool(list(checkpoints(folder).glob(".*.tmp")))
        step = _whole_step(folder)
        survived += step >= before and (came_on or number % 5 == 0 or step == -1)
        before = step
    train(folder, *map(str, words), *_again(folder))
    return {
        "kills": count,
        "survived": survived,
        "saving": saving,
        "identical": int(same_run(whole, folder)),
    }


def _again(folder: Path) -> tuple[str, ...]:
    return ("--run.resume",) if _saves.exists(checkpoints(folder)) else ()


def _whole_step(folder: Path) -> int:
    """Step of the newest whole checkpoint, read to its end; -1 if there is none."""
    damaged: list[str] = []
    path = _saves.latest(checkpoints(folder), report=damaged.append)
    if path is None or damaged:
        return -1
    return int(_saves.load(path)["run"]["step"])


def _moment(number: int, folder: Path, before: int, rng: random.Random) -> Callable[..., bool]:
    """Return what waits for the moment of a kill, and says whether it came."""
    delay = rng.uniform(0, _STARTUP if number % 5 == 0 else 0.4)
    since = time.monotonic()

    def passed() -> bool:
        return time.monotonic() - since > delay

    def saving() -> bool:
        with suppress(FileNotFoundError):  # it looks at a folder that changes
            return any(checkpoints(folder).glob(".*.ckpt.*.tmp"))
        return False

    def moment(process) -> bool:
        nonlocal since
        if number % 5 == 0:
            return until(passed, process)
        come = until(lambda: newest(folder) > before, process)
        since = time.monotonic()
        return come and until(passed, process) and (number % 5 > 2 or until(saving, process))

    return moment
