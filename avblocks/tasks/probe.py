"""Nearest-neighbor probe: leave-one-out 1-NN accuracy of the features, without training."""

import torch
from torch import Tensor

from avblocks.data import AVBatch
from avblocks.distributed import gather
from avblocks.metrics import leave_one_out, mean_average_precision
from avblocks.tasks.evaluate import Scores, Task, joined

STREAMS = ("image", "audio", "fusion")


class ProbeScorer:
    """Leave-one-out 1-NN accuracy: each clip gets the labels of the most similar other clip.

    Features are the means of the tokens of a stream, compared by cosine similarity (reference:
    `util/knn_probe.py`). `all` adds the similarities of all streams that have tokens.

    Args:
        task: A task whose encoder is probed.
        multilabel: Whether a clip may have several classes. The score is then the mean average
            precision over classes, with the labels of the neighbor times its similarity as scores.
    """

    def __init__(self, task: Task, *, multilabel: bool = False) -> None:
        self.task, self.multilabel = task, multilabel
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.rows: dict[str, list[Tensor]] = {name: [] for name in (*STREAMS, "target")}

    def update(self, batch: AVBatch) -> None:
        """Keep the features and the classes of a batch."""
        tokens = self.task.encode(batch)
        for name in STREAMS:
            if (stream := getattr(tokens, name)).shape[1] > 0:
                self.rows[name].append(stream.mean(dim=1).float())
        self.rows["target"].append(batch.target)

    def compute(self) -> Scores:
        """Return `nn_STREAM` of each stream in percent, if there are at least two clips."""
        whole = {name: torch.cat(gather(joined(rows))) for name, rows in self.rows.items()}
        target = whole.pop("target")
        whole = {name: x for name, x in whole.items() if len(x) == len(target)}
        if len(target) < 2:
            return {}
        views = {name: [x] for name, x in whole.items()} | {"all": list(whole.values())}
        score = _mean_average_precision if self.multilabel else _accuracy
        neighbors = {name: leave_one_out(*features) for name, features in views.items()}
        return {"nn": {f"nn_{n}": 100 * score(target, *found) for n, found in neighbors.items()}}


def _accuracy(target: Tensor, index: Tensor, similarity: Tensor) -> float:
    return (target[index].argmax(1) == target.argmax(1)).float().mean().item()


def _mean_average_precision(target: Tensor, index: Tensor, similarity: Tensor) -> float:
    return mean_average_precision(target[index] * similarity[:, None], target)
