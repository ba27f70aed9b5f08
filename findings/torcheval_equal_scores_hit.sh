#!/usr/bin/env bash
# torcheval: equal scores count as hits, so a model of constant scores is perfect, and bfloat16 improves retrieval.
#
# torcheval 0.0.7 (torch 2.14.1). `hit_rate` looks for the right class "among the top predicted classes", so one would
# guess that no more than k classes are among the top k, as in `topk`. It, `reciprocal_rank` and `multiclass_accuracy`
# with k > 1 count the classes of greater scores only: those of an equal score do not count against the right one. A
# model that gives one score to all classes, as after a collapse of its embeddings, has 100% of hits among 1000 classes
# in place of 0.1%, and a reciprocal rank of 1. Rounding makes scores equal, too: cosines around 0.9, of embeddings with
# a common part, have more hits in bfloat16, which tells fewer classes apart, than in float32. With equal scores in
# random order they have fewer. `HitRate`, `ReciprocalRank` and `MulticlassAccuracy` agree with the functions.
# Seen: "hits among 1 and 5 of 1000, top-5 accuracy, reciprocal rank; hits with equal scores in random order: float32
# 90.7% 98.3% 98.3% 0.939; 90.7% 98.3%. bfloat16 93.7% 99.1% 99.1% 0.960; 88.4% 97.7%. constant 100.0% 100.0% 100.0%
# 1.000; 0.1% 0.5%"
#
# Installs torch (several GB).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.14.1 torcheval==0.0.7 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PY'
import torch
from torch.nn.functional import normalize
from torcheval.metrics import HitRate, MulticlassAccuracy, ReciprocalRank
from torcheval.metrics.functional import hit_rate, multiclass_accuracy, reciprocal_rank

COUNT, WIDTH, TOP = 1000, 128, 5
torch.manual_seed(0)
images = normalize(torch.randn(COUNT, WIDTH), dim=1)
audio = normalize(images + 0.21 * torch.randn(COUNT, WIDTH), dim=1)
SCORES, MATCH = 0.9 + 0.1 * images @ audio.T, torch.arange(COUNT)


def percent(values):
    return 100 * values.float().mean().item()


def measured(scores):
    """Percent of hits among 1 and 5, of top-5 accuracy, and of the mean reciprocal rank."""
    functional = (
        percent(hit_rate(scores, MATCH, k=1)),
        percent(hit_rate(scores, MATCH, k=TOP)),
        percent(multiclass_accuracy(scores, MATCH, k=TOP, num_classes=COUNT, average="micro")),
        percent(reciprocal_rank(scores, MATCH)),
    )
    metrics = HitRate(k=1), HitRate(k=TOP), MulticlassAccuracy(k=TOP, num_classes=COUNT), ReciprocalRank()
    assert all(abs(percent(m.update(scores, MATCH).compute()) - v) < 1e-3 for m, v in zip(metrics, functional))
    return functional


def expected(scores):
    """Hits if equal scores are in random order: the probability that the match is among the first."""
    match = scores[MATCH, MATCH][:, None]
    before, equal = (scores > match).sum(1), (scores == match).sum(1)
    return [percent(((k - before) / equal).clamp(0, 1)) for k in (1, TOP)]


table = {"float32": SCORES, "bfloat16": SCORES.bfloat16(), "constant": torch.full_like(SCORES, 0.5)}
found = {name: (measured(scores), expected(scores)) for name, scores in table.items()}
print(
    f"hits among 1 and {TOP} of {COUNT}, top-{TOP} accuracy, reciprocal rank; hits with equal scores in random order:",
    ". ".join(
        f"{name} {one:.1f}% {five:.1f}% {accuracy:.1f}% {rank / 100:.3f}; {fair[0]:.1f}% {fair[1]:.1f}%"
        for name, ((one, five, accuracy, rank), fair) in found.items()
    ),
)
(exact, fair), (rounded, lower), (constant, chance) = found.values()
assert abs(exact[0] - fair[0]) < 0.2 and abs(exact[1] - fair[1]) < 0.2
assert rounded[0] > exact[0] + 1 and lower[0] < exact[0] - 1
assert all(value == 100 for value in constant) and abs(chance[0] - 100 / COUNT) < 1e-3
PY
