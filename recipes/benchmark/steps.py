"""Take pre-training steps on request, with any build of avblocks.

`recipes.benchmark.against` runs `main` in a separate process, also in the worktree of another
commit, so it only uses code that all builds have. It reads a line of JSON with the case, then a
line for each step to take, with the number of the build, and answers each with its wall and CPU
seconds; at the end, it prints the peak memory of the steps after the first in MB.
"""

import json
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.optim import AdamW

from avblocks import RandomMask, av_mae, av_vit

SMALL = {
    "dim": 32,
    "depth": 2,
    "num_heads": 2,
    "image_size": 32,
    "audio_size": (32, 32),
    "patch": 8,
}
BASE = {"dim": 768, "depth": 12, "num_heads": 12}


def main() -> None:
    """Take steps until the input ends."""
    case: dict[str, Any] = json.loads(sys.stdin.readline())
    torch.set_num_threads(case["threads"])
    builds = [_of_tree(tree, case | {"options": o}) for tree, o in case["builds"]]
    for number, line in enumerate(sys.stdin):
        if number == 1:  # reset the peak after building and warm-up
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        start, used = time.perf_counter(), time.process_time()
        builds[int(line)]()
        times = time.perf_counter() - start, time.process_time() - used
        print(json.dumps(times), flush=True)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(int(x.split()[1]) / 1e3 for x in status.splitlines() if x.startswith("VmHWM"))
    print(json.dumps(peak), flush=True)


def _of_tree(tree: str, case: dict[str, Any]) -> Callable[[], None]:
    """Import the build of a worktree beside those that are imported already."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "avblocks"]:
        del sys.modules[name]
    sys.path.insert(0, tree)
    try:
        step: Callable[[], None] = runpy.run_path(__file__)["stepper"](case)
    finally:
        sys.path.remove(tree)
    found = Path(str(sys.modules["avblocks"].__file__))
    if not found.is_relative_to(tree):
        raise RuntimeError(f"{found} was imported in place of the build in {tree}")
    return step


def stepper(case: dict[str, Any]) -> Callable[[], None]:
    """Build the model of a case; return a function that takes a step."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = dict(SMALL if case["tiny"] else BASE)
    encoder = av_vit(sizes.pop("dim"), fusion=case["fusion"], **sizes)
    decoder: dict[str, Any] = {"dim": 16, "depth": 2, "num_heads": 2} if case["tiny"] else {}
    model = av_mae(encoder, **decoder, **case["options"]).train()
    optimizer = AdamW(model.parameters(), lr=1e-4, fused=True)
    batch = case["batch"]
    image = torch.randn(batch, 3, *(2 * [32] if case["tiny"] else [224, 224]))
    audio = torch.randn(batch, 1, *([32, 32] if case["tiny"] else [128, 192]))
    grids = (encoder.image.grid(image), encoder.audio.grid(audio))

    def step() -> None:
        masks = [
            RandomMask(share)(g, batch=batch) for share, g in zip((0.75, 0.8), grids, strict=True)
        ]
        model(image=image, audio=audio, image_mask=masks[0], audio_mask=masks[1]).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step
