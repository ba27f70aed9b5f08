"""Settings of the study of probes, see `recipes.study.probes`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from avblocks.tasks.evaluate import Given
from recipes.common.data_settings import SCENES_DATA, Data
from recipes.engine.run import Folder

Head = Literal["linear", "attentive"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Encoders, clips and heads."""

    checkpoint: tuple[Path, ...] = ()
    """Run folders, checkpoints in them, folders of recipes.export, published files."""

    data: Data
    """Data set; the clip format is that of each encoder."""

    run: Folder = field(default_factory=Folder)
    """Folder of the results."""

    heads: tuple[Head, ...] = ("linear", "attentive")
    """Kinds of heads: the mean of the tokens, or a learned query that attends to them."""

    given: tuple[Given, ...] = ("both", "image", "audio")
    """Input modalities, of those that an encoder has."""

    random: bool = True
    """Probe also encoders of the same sizes at their initialization."""

    epochs: int = 60
    """Epochs of a head."""

    warmup: int = 6
    """Warm-up epochs."""

    batch: int = 64
    """Clips per batch."""

    lr: float | None = None
    """Learning rate of AdamW, with a cosine schedule: 0.05 for linear and 0.01 for attentive heads,
    if not given."""

    weight_decay: float = 0.01
    """Weight decay of AdamW."""

    seed: int = 0
    """Seed of the random encoders, the heads and the order of the clips."""


SETS = ("vggsound", "vggsound_music", "vggsounder", "audioset_balanced", "audioset")
PRESETS = {
    "scenes": ("synthetic scenes", Config(data=SCENES_DATA)),
    "folder": (
        "your own videos, a sub-folder for each class; a fifth is held out",
        Config(data=Data(name="class_folder")),
    ),
    **{
        name: (f"{name}, see recipes.paper_linear_probe", Config(data=Data(name=name)))
        for name in SETS
    },
}
