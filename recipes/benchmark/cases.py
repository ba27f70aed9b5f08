"""`Case`: one measurement, and the lists of cases of each kind of device."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from typing import Literal

Task = Literal["pretrain", "backward", "encode", "finetune", "recipe"]
Fusion = Literal["token", "dense", "factorized"]
Mode = Literal["eager", "compiled", "blocks", "graphs"]
"""How the model runs: compiled as a whole, each block by itself, or as a whole into CUDA graphs."""
DEVICES = ("cpu", "cuda")
FUSIONS: tuple[Fusion, ...] = ("token", "dense", "factorized")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table.

    >>> Case(task="pretrain", mode="compiled", checkpointing=True).name
    'pretrain factorized b4 float32 compiled checkpointing'
    """

    task: Task  # see `python -m recipes.benchmark --help`
    fusion: Fusion = "factorized"
    batch: int = 4  # samples per step
    precision: Literal["float32", "bfloat16"] = "float32"  # of matrix products, not of weights
    mode: Mode = "eager"
    decoder: Literal["full", "reading"] = "full"
    predict: float = 1.0  # share of the masked patches that a reading decoder predicts
    checkpointing: bool = False  # recompute blocks in the backward pass
    plain: bool = False  # also measure the naive implementation, in turn
    tiny: bool = False  # a toy model instead of ViT-B
    device: str = "cpu"

    @property
    def name(self) -> str:
        """Name of the case in the table."""
        words = [self.task, self.fusion, f"b{self.batch}", self.precision, self.mode]
        words += [self.decoder] * (self.decoder != "full")
        words += [f"{self.predict:.0%}"] * (self.predict < 1)
        return " ".join(words + ["checkpointing"] * self.checkpointing + ["tiny"] * self.tiny)


def cases(device: str, *, tiny: bool = False) -> list[Case]:
    """List the cases of "cpu", which fit twenty minutes of two cores, or "cuda"."""
    found = _tiny() if tiny else _gpu() if device == "cuda" else _cpu()
    return [replace(case, device=device, tiny=tiny) for case in found]


def matching(
    names: Iterable[str], patterns: Sequence[str], *, option: str = "--cases"
) -> list[str]:
    """Select the names that match a pattern; each pattern must match one."""
    listed = list(names)
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in listed):
            raise ValueError(f"{option} {pattern!r} fits none of: {'; '.join(listed)}")
    return [name for name in listed if any(fnmatch(name, pattern) for pattern in patterns)]


def _cpu() -> list[Case]:
    step = Case(task="pretrain")
    return [
        *(Case(task="backward", fusion=fusion, plain=True) for fusion in FUSIONS),
        *(Case(task="encode", fusion=fusion, plain=True) for fusion in FUSIONS),
        *(replace(step, fusion=fusion) for fusion in FUSIONS),
        *(replace(step, batch=batch) for batch in (1, 16)),
        replace(step, precision="bfloat16"),
        replace(step, checkpointing=True),
        Case(task="encode", precision="bfloat16"),
        Case(task="finetune"),
        Case(task="recipe"),
        # Last, since their compilation takes minutes.
        *(replace(step, fusion=fusion, mode="compiled") for fusion in FUSIONS),
        replace(step, precision="bfloat16", mode="compiled"),
        Case(task="encode", mode="compiled"),
        Case(task="finetune", mode="compiled"),
    ]


def _gpu() -> list[Case]:
    step = Case(task="pretrain", batch=64, precision="bfloat16")
    fast, whole = replace(step, mode="compiled"), replace(step, task="encode")
    return [
        *(replace(step, fusion=fusion) for fusion in FUSIONS),
        *(replace(fast, fusion=fusion) for fusion in FUSIONS),
        *(replace(step, precision="float32", mode=mode) for mode in ("eager", "compiled")),
        replace(step, mode="graphs"),
        *(replace(fast, batch=batch) for batch in (16, 256, 512)),
        replace(fast, batch=256, checkpointing=True),
        *(replace(whole, fusion=fusion, plain=True) for fusion in FUSIONS),
        replace(whole, mode="compiled"),
        *(replace(step, task="backward", fusion=fusion, plain=True) for fusion in FUSIONS),
        replace(step, task="finetune", batch=32),
        replace(fast, task="finetune", batch=32),
        replace(step, task="recipe"),
        replace(fast, task="recipe", batch=256),
    ]


def _tiny() -> list[Case]:
    return [
        Case(task="backward", fusion="dense", plain=True),
        Case(task="pretrain", checkpointing=True),
        Case(task="encode", fusion="token", precision="bfloat16"),
        Case(task="finetune", batch=2),
        Case(task="recipe", batch=2),
    ]
