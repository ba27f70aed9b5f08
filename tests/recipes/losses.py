"""The losses and scores of every recipe's toy run, to be compared before and after a refactoring.

`python tests/recipes/losses.py --write` records those of this machine in
`tests/golden/losses.json`, and `tests/recipes/test_losses.py` compares. On the processor and
versions they were recorded with, they are equal to the bit; elsewhere kernels add up in another
order, and they are close.
"""

import json
import platform
import sys
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from toy_runs import RECIPES, make_root, toy_config

from recipes.engine.log import read_rows

GOLDEN = Path(__file__).parents[1] / "golden" / "losses.json"
STEPS = 20
_NOISE = ("samples_per_s", "cpu_s")


def machine() -> dict[str, str]:
    """What the last bits of a loss depend on."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return {
        "cpu": names[0] if names else platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        **{name: version(name) for name in ("torch", "torchvision", "torchaudio", "av")},
    }


def toy_run(name: str, root: Path, folder: Path) -> dict[str, Any]:
    """Run a recipe for 20 steps with its evaluations and its final test, on one thread."""
    config = toy_config(name, root, folder, max_steps=STEPS)
    RECIPES[name][0].main(replace(config, epochs=STEPS // 2, evaluate_every=5))
    rows = read_rows(folder / "metrics.csv")
    steps = [{k: v for k, v in row.items() if k not in _NOISE} for row in rows]
    scores = folder / "scores.json"
    final = json.loads(scores.read_text(encoding="utf-8"))["scores"] if scores.is_file() else {}
    return {"rows": steps, "scores": final}


def all_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """Run every recipe."""
    root = make_root(folder / "scenes")
    return {name: toy_run(name, root, folder / name) for name in RECIPES}


def main() -> None:
    """Record what the runs of this machine come to."""
    if sys.argv[1:] != ["--write"]:
        sys.exit(f"usage: python {Path(__file__).name} --write")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = {"machine": machine(), "runs": all_runs(Path(folder))}
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"written: {GOLDEN}")


if __name__ == "__main__":
    main()
