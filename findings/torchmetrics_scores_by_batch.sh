#!/usr/bin/env bash
# torchmetrics: average precision and AUROC of the same scores depend on how they are divided into batches.
#
# torchmetrics 1.9.0, MultilabelAveragePrecision and MultilabelAUROC. Both only rank scores, so one would guess that
# any scores do, such as cosine similarities, and that batches do not matter, as the documentation of `update` and
# `compute` suggests. If a score of an update is outside [0, 1], the sigmoid is applied to all scores of that update,
# and to none otherwise: a similarity of 0.3 is 0.57 beside a negative one, and 0.3 in the next batch. Batches of both
# kinds are then ranked together, without a warning. Scores of one update, or after a sigmoid, are right.
# Seen: "average precision by batch size: 1 0.712, 2 0.701, 4 0.704, 8 0.733, 16 0.758, 400 0.758"
#
# Installs torch (several GB).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.14.1 torchmetrics==1.9.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import torch
from torchmetrics.classification import MultilabelAveragePrecision

generator = torch.Generator().manual_seed(0)
target = torch.randint(0, 2, (400, 3), generator=generator)
cosine = (0.2 * target + 0.25 + 0.2 * torch.randn(400, 3, generator=generator)).clamp(-1, 1)


def measured(scores, size):
    metric = MultilabelAveragePrecision(num_labels=3)
    for start in range(0, len(scores), size):
        metric.update(scores[start : start + size], target[start : start + size])
    return metric.compute().item()


def defined():
    """Mean over the labels of the precision at each positive."""
    values = []
    for label in range(3):
        hits = target[cosine[:, label].argsort(descending=True), label].double()
        precision = hits.cumsum(0) / torch.arange(1, 401)
        values.append((precision * hits).sum() / hits.sum())
    return torch.stack(values).mean().item()


found = {size: measured(cosine, size) for size in (1, 2, 4, 8, 16, 400)}
print("average precision by batch size:", ", ".join(f"{k} {v:.3f}" for k, v in found.items()))
assert abs(found[400] - defined()) < 1e-4 and abs(measured(cosine.sigmoid(), 4) - defined()) < 1e-4
assert found[4] < defined() - 0.04
PY
