"""Nearest-neighbor probe: leave-one-out 1-NN accuracy of the features, without training."""

from typing import get_args
from warnings import warn

import torch
from torch import Tensor

from avblocks.data import AVBatch
from avblocks.distributed import gather
from avblocks.metrics import leave_one_out, mean_average_precision
from avblocks.tasks.evaluate import Given, Scores, Task, joined

ROWS = {
    "image_given_both": ("both", "image"),
    "audio_given_both": ("both", "audio"),
    "fusion": ("both", "fusion"),
    "image_alone": ("image", "image"),
    "audio_alone": ("audio", "audio"),
}
"""Rows of the probe: the modalities given to the encoder, and the stream whose tokens are read."""
_OLD = {"nn_image": "nn_image_given_both", "nn_audio": "nn_audio_given_both"}


class ProbeScores(dict[str, float]):
    """Scores by row; the names of the last release, ``nn_image`` and ``nn_audio``, still work."""

    def __missing__(self, key: str) -> float:
        """Look up an old name."""
        if key not in _OLD:
            raise KeyError(key)
        warn(f"{key} is now {_OLD[key]}, or {key}_alone", DeprecationWarning, stacklevel=2)
        return self[_OLD[key]]


class ProbeScorer:
    """Leave-one-out 1-NN accuracy: each clip gets the labels of the most similar other clip.

    Features are the means of the tokens of a stream, compared by cosine similarity (reference:
    `util/knn_probe.py`, which encodes both modalities together). Image and audio tokens then
    depend on the fusion tokens, and so on the other modality: ``nn_audio_given_both`` may exceed
    the accuracy that audio alone allows. ``nn_audio_alone`` is that of an encoder without an image.
    ``nn_all`` adds the similarities of all streams that have tokens, with both modalities given.
    Clips without a class are excluded.

    Args:
        task: A task whose encoder is probed.
        multilabel: Whether a clip may have several classes. The score is then the mean average
            precision over classes, with the labels of the neighbor times its similarity as scores.
    """

    def __init__(self, task: Task, *, multilabel: bool = False) -> None:
        self.task, self.multilabel = task, multilabel
        self.reset()

    def reset(self) -> None:
        """Discard all batches."""
        self.rows: dict[str, list[Tensor]] = {name: [] for name in (*ROWS, "target")}

    def update(self, batch: AVBatch) -> None:
        """Keep the features and the classes of a batch."""
        tokens = {given: self.task.encode(batch, given=given) for given in get_args(Given)}
        for name, (given, stream) in ROWS.items():
            if (found := getattr(tokens[given], stream)).shape[1] > 0:
                self.rows[name].append(found.mean(dim=1).float())
        self.rows["target"].append(batch.target)

    def compute(self) -> Scores:
        """Return `nn_ROW` of each row in percent, if at least two clips have a class."""
        whole = {name: torch.cat(gather(joined(rows))) for name, rows in self.rows.items()}
        target = whole.pop("target")
        if not len(target):
            return {}
        known = target.any(dim=1)
        whole = {name: x[known] for name, x in whole.items() if len(x) == len(target)}
        target = target[known]
        if len(target) < 2:
            return {}
        every = [x for name, x in whole.items() if ROWS[name][0] == "both"]
        views = {name: [x] for name, x in whole.items()} | {"all": every}
        score = _mean_average_precision if self.multilabel else _accuracy
        found = {name: leave_one_out(*features) for name, features in views.items()}
        scores = {f"nn_{name}": 100 * score(target, *near) for name, near in found.items()}
        return {"nn": ProbeScores(scores)}


def _accuracy(target: Tensor, index: Tensor, similarity: Tensor) -> float:
    return (target[index].argmax(1) == target.argmax(1)).float().mean().item()


def _mean_average_precision(target: Tensor, index: Tensor, similarity: Tensor) -> float:
    return mean_average_precision(target[index] * similarity[:, None], target)
