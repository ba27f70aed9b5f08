"""How far a batch travels: the files and calls of ours behind a recipe's training and test.

`python tests/trace.py paper_localize` runs the recipe's toy configuration under `sys.setprofile`
and prints the files that one training batch and the final test enter, their moves (calls from one
file into another), the functions between `main` and the metric, and the files loaded in all. It
needs the recipe's `main(config)`, the calls of the model's `forward` and the optimizer's steps.
With `TRACE_FILES=1` it lists the files too.
"""

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# The script's folder would make this file the standard library's `trace`.
sys.path[:] = [str(ROOT), str(ROOT / "tests" / "recipes")] + [
    path for path in sys.path if Path(path).resolve() != ROOT / "tests"
]

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook  # noqa: E402

EPOCHS, STEPS_AN_EPOCH = 5, 2
_INLINE = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<module>")


@dataclass
class Span:
    """A stretch of a run: the files that take part, and the calls from one into another."""

    files: set[str] = field(default_factory=set)
    moves: int = 0

    def add(self, caller: str | None, callee: str) -> None:
        """Count a call of one of our functions, and the nearest of our files that it came from."""
        self.files |= {callee} | ({caller} if caller else set())
        self.moves += caller is not None and caller != callee

    def __str__(self) -> str:
        recipes = sum(file.startswith("recipes") for file in self.files)
        return f"{len(self.files)} files ({recipes} in recipes), {self.moves:,} moves"


class Tracer:
    """Watches our functions: give `profile` to `sys.setprofile` and call the recipe's `main`."""

    def __init__(self) -> None:
        self.stack: list[tuple[str, str, int]] = []
        """File, function and number of each frame of ours."""
        self.model: nn.Module | None = None
        """The model in training."""
        self.span = Span()
        self.batches: list[Span] = []
        """From each call of the model in training to the next one."""
        self.test = Span()
        """All that follows the last step of the optimizer."""
        self.ways: dict[int, list[list[str]]] = {}
        """The frames between `main` and each metric of the test, by the last frame in recipes."""
        self._calls = 0
        self._files: dict[CodeType, str | None] = {}

    def profile(self, frame: FrameType, event: str, arg: object) -> None:
        """Follow calls and returns."""
        if event not in ("call", "return") or (file := self._file(frame.f_code)) is None:
            return
        if event == "return":
            if self.stack:
                self.stack.pop()
            return
        if self._is_training_call(frame):
            self.batches.append(self.span)
            self.span = Span()
        caller = self.stack[-1][0] if self.stack else None
        for span in (self.span, self.test):
            span.add(caller, file)
        if file.startswith("avblocks/metrics/"):
            way = [f"{file} {name}" for file, name, _ in self.stack[1:] if name not in _INLINE]
            last = [number for file, _, number in self.stack if file.startswith("recipes/")][-1]
            self.ways.setdefault(last, []).append(way)
        self._calls += 1
        self.stack.append((file, frame.f_code.co_name, self._calls))

    def stepped(self, optimizer: Optimizer, args: object, kwargs: object) -> None:
        """Begin the test anew after each step of the model in training."""
        stepped = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if self.model is not None and any(id(p) in stepped for p in self.model.parameters()):
            self.test, self.ways = Span(), {}

    def _file(self, code: CodeType) -> str | None:
        if code not in self._files:
            path = Path(code.co_filename)
            ours = path.is_relative_to(ROOT / "avblocks") or path.is_relative_to(ROOT / "recipes")
            self._files[code] = path.relative_to(ROOT).as_posix() if ours else None
        return self._files[code]

    def _is_training_call(self, frame: FrameType) -> bool:
        """Whether this is the outermost `forward` of a module that learns."""
        if frame.f_code.co_name != "forward" or any(name == "forward" for _, name, _ in self.stack):
            return False
        module = frame.f_locals.get("self")
        if not isinstance(module, nn.Module) or not module.training or not torch.is_grad_enabled():
            return False
        if self.model is None and any(p.requires_grad for p in module.parameters()):
            self.model = module
        return module is self.model


def traced(main: Any, config: Any) -> Tracer:
    """Run a recipe under a tracer."""
    tracer = Tracer()
    hook = register_optimizer_step_post_hook(tracer.stepped)
    sys.setprofile(tracer.profile)
    try:
        with redirect_stdout(sys.stderr):
            main(config)
    finally:
        sys.setprofile(None)
        hook.remove()
    return tracer


def report(tracer: Tracer) -> Sequence[str]:
    """The lines to print: of the batches the one in the middle, by moves."""
    batches = sorted(tracer.batches[1:], key=lambda span: span.moves)
    middle = batches[len(batches) // 2] if batches else "none"
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    ours = [path for path in loaded if path and Path(path).is_relative_to(ROOT)]
    ours = [path for path in ours if not Path(path).is_relative_to(ROOT / "tests")]
    recipes = sum(Path(path).is_relative_to(ROOT / "recipes") for path in ours)
    # The test measures more often than an evaluation or a figure.
    way = max(tracer.ways.values(), key=len, default=[None])[0]
    lines = [
        f"training batch: {middle}",
        f"final test: {tracer.test}",
        f"hand-overs from main to the metric: {'no metric' if way is None else len(way)}",
        *(f"    {step}" for step in way or ()),
        f"files loaded: {len(ours)} ({recipes} in recipes)",
    ]
    return lines


def run_pickled(path: Path) -> None:
    """Trace the recipe and configuration of a file, in a process that loads nothing else."""
    torch.set_num_threads(1)
    name, pickled = pickle.loads(path.read_bytes())
    recipe = import_module(name)
    tracer = traced(recipe.main, pickle.loads(pickled))
    print(*report(tracer), sep="\n")
    if os.environ.get("TRACE_FILES"):
        middle = sorted(tracer.batches[1:], key=lambda span: span.moves)[len(tracer.batches) // 2]
        print("in a training batch:", *sorted(middle.files), sep="\n    ")
        print("in the final test:", *sorted(tracer.test.files), sep="\n    ")


def main() -> None:
    """Make the toy configuration of a recipe, and trace it in a process of its own."""
    from toy_runs import RECIPES, make_root, toy_config

    modules = {
        module.__name__.removeprefix("recipes."): key for key, (module, *_) in RECIPES.items()
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("recipe", choices=sorted(modules))
    name = parser.parse_args().recipe
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        root = make_root(folder / "scenes")
        config = toy_config(modules[name], root, folder / "run", max_steps=EPOCHS * STEPS_AN_EPOCH)
        pickled = pickle.dumps(replace(config, epochs=EPOCHS))
        (folder / "job").write_bytes(pickle.dumps((f"recipes.{name}", pickled)))
        subprocess.run([sys.executable, __file__, "--pickled", folder / "job"], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--pickled"]:
        run_pickled(Path(sys.argv[2]))
    else:
        main()
