"""Models and settings of the study of fusion methods, see `recipes.study.zoo`."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from recipes.common.model import SMALL, Model
from recipes.engine.ranges import check_ranges
from recipes.engine.run import Folder

BASE = replace(SMALL, dim=64, heads=2)
MODELS: dict[str, Model] = {
    "none": replace(BASE, depth=6, fusion_layers="none"),
    "token": replace(BASE, depth=5, fusion="token", mlp_ratio=2.0),
    "dense": replace(BASE, depth=5, fusion="dense", mlp_ratio=2.0),
    "factorized": BASE,
    "cavmae": replace(BASE, depth=6, fusion="joint", decoder_depth=4),
    "bottleneck": replace(
        BASE, depth=6, fusion="bottleneck", fusion_layers=(4, 5), num_tokens=(4, 0, 0)
    ),
}
"""Parameters are equal within 10%: an encoder with smaller fusion blocks has more ViT blocks."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of the study."""

    run: Folder = field(default_factory=Folder)
    """Folder of all the runs."""

    seeds: int = 3
    """Number of seeds, from 0."""

    out: Path = Path("docs/results")
    """Folder of `zoo.json`, which has a list with one entry per seed for each value."""

    scenes: tuple[int, int] = (240, 480)
    """Numbers of scenes for training and for testing."""

    pretrain_epochs: int = 30
    """Epochs of each pre-training."""

    probe_epochs: int = 60
    """Epochs of each linear probe."""

    finetune_epochs: int = 10
    """Epochs of each fine-tuning."""

    base_lr: float = 16e-3
    """Learning rate of pre-training and fine-tuning for 256 samples an update."""

    def __post_init__(self) -> None:
        check_ranges(self, {"at least 1": ("seeds",)})
