"""The nearest-neighbour probe: how much of the classes lies in the features, without training."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from avblocks import AVTokens
from avblocks.data import AVBatch
from avblocks.distributed import gather
from avblocks.metrics import leave_one_out

STREAMS = ("image", "audio", "fusion")


def nearest_neighbour(
    encode: Callable[[AVBatch], AVTokens],
    loader: DataLoader[AVBatch],
    *,
    on_batch: Callable[[AVBatch], object],
    multilabel: bool,
) -> dict[str, float]:
    """Give each clip the labels of the clip most similar to it, all others being candidates.

    Features are the means of a stream's tokens, compared by cosine similarity (reference,
    `util/knn_probe.py`). `all` adds the similarities of the three streams.

    Args:
        encode: From a batch, on the host, to tokens.
        loader: Held-out clips, each process its share.
        on_batch: Called with each batch, for instance to count skipped files.
        multilabel: Whether a clip may have several classes.

    Returns:
        Nothing if fewer than two clips can be used, else `nn_STREAM` of each stream in percent:
        accuracy, or with several classes a clip the mean over classes of the average precision of
        the neighbour's labels times its similarity.
    """
    rows: dict[str, list[Tensor]] = {name: [] for name in (*STREAMS, "target")}
    for batch in loader:
        on_batch(batch)
        if not len(batch):
            continue
        tokens = encode(batch)
        for name in STREAMS:
            rows[name].append(getattr(tokens, name).mean(dim=1).float())
        rows["target"].append(batch.target)
    # A process may have no clip; joining skips an empty tensor of one axis.
    parts = {name: torch.cat(part) if part else torch.zeros(0) for name, part in rows.items()}
    whole = {name: torch.cat(gather(part)) for name, part in parts.items()}
    if len(whole["target"]) < 2:
        return {}
    target = whole.pop("target")
    views = {name: [features] for name, features in whole.items()} | {"all": list(whole.values())}
    score = _mean_average_precision if multilabel else _accuracy
    return {
        f"nn_{name}": 100 * score(target, *leave_one_out(*features))
        for name, features in views.items()
    }


def _accuracy(target: Tensor, index: Tensor, similarity: Tensor) -> float:
    return (target[index].argmax(1) == target.argmax(1)).float().mean().item()


def _mean_average_precision(target: Tensor, index: Tensor, similarity: Tensor) -> float:
    # Imported here because it takes two seconds, which only data of several labels should cost.
    from torchmetrics.functional.classification import multilabel_average_precision

    seen = target.sum(0) > 0
    scores = (target[index] * similarity[:, None])[:, seen]
    return multilabel_average_precision(
        scores, target[:, seen].int(), num_labels=int(seen.sum()), thresholds=None
    ).item()
