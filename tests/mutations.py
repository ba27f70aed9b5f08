"""Proof that the tests guard what they claim to: lines broken one at a time, each to be noticed.

Commands, from the repository's root:
    python tests/mutations.py                       all of them
    python tests/mutations.py mask-inverted cli     some of them, by the beginning of their names
    python tests/mutations.py --list                only what there is, each found in the tree
    python tests/mutations.py --save after          put the result into docs/results/mutations.json
    python tests/mutations.py --commit REVISION     an older state, by its own tests

A row of `TABLE` is a name, a piece of the source, what it becomes, and the tests that are to
notice. The piece is looked for by its text in all of `avblocks` and `recipes`, wherever files have
moved, and must be there once; if it has been reworded, say so and write the new words into the row.
Tests are named by the ends of their paths below `tests`, with `::name` of a function if the rest
of the file would take long.

The tree is never touched: what is committed is copied to a temporary folder, and broken and
restored there. A tree with changes that are not committed is refused, since they would not be in
the copy. First the tests run on the unbroken copy, where all must pass (`--trust` leaves that out).
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results" / "mutations.json"
SOURCES = ("avblocks", "recipes")
HEAVY = ("torch", "torchaudio", "einops", "av")
CAUGHT, MISSED = "caught", "missed"


@dataclass(frozen=True)
class Mutation:
    """A line of the source, broken."""

    name: str
    find: str
    replace: str
    tests: tuple[str, ...]


def row(name: str, find: str, replace: str, *tests: str) -> Mutation:
    return Mutation(name, find, replace, tests)


TABLE = (
    # nn
    row(
        "attention-scale",
        "factor = q.shape[-1] ** -0.5 if scale is None else scale",
        "factor = q.shape[-1] ** 0.5 if scale is None else scale",
        "fusion/test_attention.py",
    ),
    row(
        "mask-inverted",
        "return self.ids_restore >= self.ids_keep.shape[1]",
        "return self.ids_restore < self.ids_keep.shape[1]",
        "nn/test_mask.py",
    ),
    row(
        "mask-ratio",
        "kept = int(n * (1 - ratio))",
        "kept = int(n * ratio)",
        "nn/test_maskers.py",
    ),
    row(
        "position-axes",
        "parts = _sincos(dim // 2, column), _sincos(dim // 2, row)",
        "parts = _sincos(dim // 2, row), _sincos(dim // 2, column)",
        "nn/test_position.py",
    ),
    # fusion
    row(
        "dense-scale",
        "self.scale = (dim // num_heads) ** -0.5",
        "self.scale = (attn_dim // num_heads) ** -0.5",
        "fusion/test_dense.py",
    ),
    row(
        "aggregates-place",
        "to_image = _through(weights.image, own, above=0, below=n_audio)",
        "to_image = _through(weights.image, own, above=n_audio, below=0)",
        "fusion/test_attention.py",
    ),
    # Photographs
    row(
        "photo-masked-seen",
        "return x.masked_fill(~pixels, 0.0)",
        "return x.masked_fill(~pixels & False, 0.0)",
        "nn/test_patch_conv.py",
    ),
    row(
        "photo-kernels-not-centered",
        "return ((kernels - mean) * scale).view_as(self.weight)",
        "return (kernels * scale).view_as(self.weight)",
        "nn/test_conv.py",
    ),
    row(
        "norm-unseen-variance",
        "variance = (centered.square() * inside)",
        "variance = centered.square()",
        "nn/test_norm.py",
    ),
    row(
        "norm-unseen-kept",
        "return (y * inside[:, 0]).to(x.dtype)",
        "return y.to(x.dtype)",
        "nn/test_norm.py",
    ),
    row(
        "stem-without-valid",
        "options = given(valid=valid) if padded else {}",
        "options = {}",
        "nn/test_patch_conv.py",
    ),
    row(
        "pickle-for-checkpoint",
        "if start.startswith(_PICKLE) and _TORCH not in start:",
        "if False:",
        "checkpoint/test_content.py",
    ),
    row(
        "torchscript-for-checkpoint",
        'if "constants.pkl" in inside:',
        "if False:",
        "checkpoint/test_content.py",
    ),
    row(
        "whitening-precision",
        "self.mean, self.covariance = self.mean.double(), self.covariance.double()",
        "self.mean = self.mean.double()",
        "heads/test_audio_statistics.py",
    ),
    row(
        "photo-share-of-the-drawn-box",
        "return image, mixed, blend(target, own, partner)",
        "return image, mixed, blend(target, own.round(), partner)",
        "data/test_mixup.py",
    ),
    row(
        "photo-pasted-not-weighed",
        "shares = torch.diag(own) + torch.diag(1 - own).flip(1)",
        "shares = torch.diag(own)",
        "heads/test_contrast.py",
    ),
    row(
        "photo-negatives-of-a-class",
        "other = (chance >= share / 2) & (chance < share) & ~like & (place != place.flip(0))",
        "other = (chance >= share / 2) & (chance < share) & (place != place.flip(0))",
        "data/test_mismatch.py",
    ),
    row(
        "photo-negative-with-mask",
        "truth = truth * own[:, None, None]",
        "truth = truth * own[:, None, None].clamp(min=True)",
        "tasks/test_segment.py",
    ),
    row(
        "photo-fusion-not-asked",
        "parts.append((self.fusion, masked, None))",
        "parts.append((self.fusion, tokens.fusion, None))",
        "heads/test_audio_statistics.py",
    ),
    row(
        "death-behind-an-error",
        "found = None if found.__suppress_context__ else found.__context__",
        "found = None",
        "recipes/test_workers.py::test_a_death_is_told_when_cleaning_up_fails_too",
    ),
    row(
        "photo-least-components",
        "kept = slice(len(self.mean) - self.components, None)",
        "kept = slice(0, self.components)",
        "heads/test_audio_statistics.py",
    ),
    row(
        "photo-soft-maximum",
        "return (cosines / self.temperature).logsumexp(dim=1) - math.log(tokens.shape[1])",
        "return (cosines / self.temperature).mean(dim=1)",
        "heads/test_audio_statistics.py",
    ),
    row(
        "photo-statistics",
        "torch.cat((bins.mean(dim=2), bins.std(dim=2, correction=0)), dim=1)",
        "torch.cat((bins.mean(dim=2), bins.amax(dim=2)), dim=1)",
        "heads/test_audio_statistics.py",
    ),
    row(
        "photo-left-out-both",
        "image, audio = drawn >= left_out / 2, drawn < 1 - left_out / 2",
        "image, audio = drawn >= left_out / 2, drawn >= left_out / 2",
        "tasks/test_left_out.py",
    ),
    row(
        "photo-left-out-in-test",
        "share = self.left_out if self.training else 0.0\n        given",
        "share = self.left_out\n        given",
        "tasks/test_left_out.py",
    ),
    row(
        "photo-loss-of-absent",
        "else self._loss(scores.masked_fill(~has[:, None], _NEVER), target * has[:, None])",
        "else self._loss(scores.masked_fill(~has[:, None], _NEVER), target)",
        "tasks/test_left_out.py",
    ),
    row(
        "photo-colors-in-test",
        "if not (self.training and self.color):",
        "if not self.color:",
        "data/test_frontend.py",
    ),
    row(
        "photo-center-box",
        "score = center_box(size=(truth.shape[1], truth.shape[2])).to(truth.device)",
        "score = truth[0].float()",
        "tasks/test_segment.py",
    ),
    # zoo
    row(
        "zoo-antialias",
        "pos_embed=LearnedPosition(dim, grid=grid, antialias=registers > 0),",
        "pos_embed=LearnedPosition(dim, grid=grid),",
        "tests/test_zoo_parity.py",
    ),
    row(
        "zoo-key-before-value",
        'joined[f"{stem[:-1]}kv.{kind}"] = torch.cat((keys, value))',
        'joined[f"{stem[:-1]}kv.{kind}"] = torch.cat((value, keys))',
        "tests/test_zoo_parity.py",
    ),
    row(
        "zoo-token-positions",
        'return vit_encoder(named, "cls_token", "dist_token", with_position=2)',
        'return vit_encoder(named, "dist_token", "cls_token", with_position=2)',
        "tests/test_zoo_parity.py",
    ),
    row(
        "zoo-frames-of-eat",
        "kept[kernel].transpose(2, 3).contiguous()}",
        "kept[kernel].contiguous()}",
        "zoo/test_eat.py",
    ),
    row(
        "zoo-colors",
        "colors = patches.unflatten(-1, (-1, video.shape[1]))",
        "colors = patches.unflatten(-1, (video.shape[1], -1))",
        "tests/test_zoo_parity.py",
    ),
    row(
        "zoo-tanh",
        'act=nn.GELU("tanh")',
        "act=nn.GELU()",
        "tests/test_zoo_parity.py",
    ),
    row(
        "zoo-bottleneck-mean",
        "mean = torch.stack(fusion).sum(dim=0) / total.clamp(min=1)",
        "mean = fusion[0]",
        "tests/test_zoo_parity.py",
        "fusion/test_exchange.py",
    ),
    row(
        "zoo-used-up-valid",
        "joined = torch.cat((source_valid, own), dim=1)  # a context has no padding",
        "joined = torch.cat((torch.ones_like(source_valid), own), dim=1)",
        "fusion/test_exchange.py",
    ),
    # encoder, mae, decoder, build, flops
    row(
        "modalities-swapped",
        'both = {"image": tokens.image, "audio": tokens.audio}',
        'both = {"image": tokens.audio, "audio": tokens.image}',
        "tests/test_encoder.py",
    ),
    row(
        "mae-loss-sign",
        "return sum(losses[1:], start=losses[0])",
        "return sum(losses[1:], start=-losses[0])",
        "tests/test_mae.py",
    ),
    row(
        "patch-mean-sign",
        "pred = pred * deviation + mean",
        "pred = pred * deviation - mean",
        "tests/test_mae.py",
    ),
    row(
        "decoder-position",
        "masked = self.mask_token + position[mask.ids_masked]",
        "masked = self.mask_token + 0 * position[mask.ids_masked]",
        "tests/test_decoder.py",
    ),
    row(
        "fusion-layers",
        "isinstance(i, int) and 0 <= i < depth for i in",
        "isinstance(i, int) and 0 < i < depth for i in",
        "tests/test_build.py",
    ),
    row(
        "flops-of-pixels",
        "return 2 * embed + 3 * layers if training else embed + layers",
        "return 3 * embed + 3 * layers if training else embed + layers",
        "tests/test_flops.py",
    ),
    # audio, viz, diagram
    row(
        "log-of-mel",
        "return (mel + 1e-7).log10().unsqueeze(1)",
        "return (mel + 1e-7).log().unsqueeze(1)",
        "tests/test_audio.py",
    ),
    row(
        "colour-of-class",
        "(mask.cpu().long() - 1) % 20",
        "mask.cpu().long() % 20",
        "tests/test_viz.py",
    ),
    row(
        "diagram-decoders",
        'counts["decoders"] = _count(model) - _count(encoder)',
        'counts["decoders"] = _count(model)',
        "diagram/test_architecture.py",
    ),
    # heads
    row(
        "ratio-mask",
        "return (power / (power + _exp10(mixture) + 1e-5)).to(source.dtype)",
        "return (power / (_exp10(mixture) + 1e-5)).to(source.dtype)",
        "heads/test_separate.py",
    ),
    row(
        "contrast-one-way",
        "return (F.cross_entropy(logits, own) + F.cross_entropy(logits[:, :count].T, own)) / 2",
        "return (F.cross_entropy(logits, own) + F.cross_entropy(logits[:, :count], own)) / 2",
        "heads/test_localize.py",
    ),
    row(
        "segment-binary-target",
        "sounds = (target > 0).to(logits.dtype)",
        "sounds = (target == 0).to(logits.dtype)",
        "heads/test_segment.py",
    ),
    row(
        "dice-background",
        "found = scores.softmax(dim=1)[:, 1:]",
        "found = scores.softmax(dim=1)[:, :-1]",
        "heads/test_segment.py",
    ),
    row(
        "dice-empty-images",
        "shown = torch.ones_like(loss) if binary else",
        "shown = truth.any(dim=(2, 3)).to(loss.dtype) if binary else",
        "heads/test_segment.py",
    ),
    row(
        "mask-threshold",
        "kept = mask if self.threshold is None else mask > self.threshold",
        "kept = mask if self.threshold is None else mask * (mask > self.threshold)",
        "tests/test_audio.py",
    ),
    row(
        "separate-ideal",
        "return self._masked(mixed.audio, mask=self._target(mixed)[1])",
        "return self._masked(batch.audio, mask=self._target(mixed)[1])",
        "tasks/test_separate.py",
    ),
    row(
        "balance-weight",
        "inverse = torch.where(absent, 0.0, 1 / frequency)",
        "inverse = torch.where(absent, 0.0, frequency)",
        "test_balance.py",
    ),
    # metrics
    row(
        "bss-interference",
        "sir=_decibels(source, every - source)",
        "sir=_decibels(source, whole - source)",
        "metrics/test_separate.py",
    ),
    row(
        "ciou-outside",
        "return torch.where(total > 0, inside / (total + outside), torch.nan)",
        "return torch.where(total > 0, inside / total, torch.nan)",
        "metrics/test_localize.py",
    ),
    row("f-beta", "_BETA2 = 0.3", "_BETA2 = 1.0", "metrics/test_segment.py"),
    row(
        "precision-step",
        "(found.diff() * found[1:] / passed[1:]).sum()",
        "(found.diff() * found[:-1] / passed[1:]).sum()",
        "metrics/test_classify.py",
    ),
    # optim
    row(
        "lars-ratio",
        "ratio = trust * weight.norm() / gradient.norm()",
        "ratio = trust * gradient.norm() / weight.norm()",
        "optim/test_lars.py",
    ),
    row(
        "cosine-warmup",
        "progress = min((epoch - warmup) / (epochs - warmup), 1.0)",
        "progress = min(epoch / epochs, 1.0)",
        "optim/test_schedule.py",
    ),
    row(
        "decay-of-vectors",
        "decay = weight_decay if parameter.ndim > 1 else 0.0",
        "decay = weight_decay if parameter.ndim > 0 else 0.0",
        "optim/test_groups.py",
    ),
    # data
    row(
        "rank-share",
        "[self.rank :: self.world_size]",
        "[:: self.world_size]",
        "test_keyed.py",
    ),
    row(
        "crop-weights",
        "weights * ((low < pixels) & (pixels < high[:, None, None]))",
        "weights * ((low < pixels) | (pixels < high[:, None, None]))",
        "data/test_crop.py",
    ),
    row(
        "mixup-share",
        "return x * share + other * (1 - share)",
        "return x * (1 - share) + other * share",
        "test_mixup.py",
    ),
    row(
        "gain-centre",
        "_GAIN * (2 * gain - 1)",
        "_GAIN * (2 * gain)",
        "data/test_dataset.py",
    ),
    row(
        "frame-before-time",
        "until = floor(Fraction(time + TIE) / scale) if scale else inf",
        "until = floor(Fraction(time - TIE) / scale) - 1 if scale else inf",
        "data/test_frames.py::test_usual_files_take_the_quick_way",
        "data/test_frames.py::test_pictures_are_those_of_a_whole_decode",
    ),
    row(
        "sound-margin",
        "lead = margin * native // rate",
        "lead = margin * rate // native",
        "data/test_read.py::test_every_rate_and_layout_gives_the_same_sound",
    ),
    row(
        "tar-end",
        "return -(-end // HEADER) * HEADER",
        "return (end // HEADER + 1) * HEADER",
        "data/test_shards.py",
    ),
    row(
        "lost-boxes",
        "if isinstance(box, list) and _MISSING_EDGE in box:",
        "if isinstance(box, list) and _MISSING_EDGE not in box:",
        "data/test_vggss.py",
    ),
    row(
        "scenes-told-apart",
        "return 1 not in self.matches(first, second)",
        "return 2 not in self.matches(first, second)",
        "data/test_scene_pairs.py",
    ),
    # files, checkpoint, distributed
    row(
        "damage-unseen",
        "return None if wanted == fingerprint(path) else",
        "return None if wanted else",
        "test_saves.py",
    ),
    row(
        "saves-kept",
        "for old in _paths(folder)[keep:]:",
        "for old in _paths(folder)[keep + 1 :]:",
        "test_saves.py",
    ),
    row(
        "half-left-behind",
        "    finally:\n        half.unlink(missing_ok=True)\n",
        "    finally:\n        pass\n",
        "data/test_write.py",
    ),
    row(
        "class-token-position",
        "kept[_TABLE] = value.flatten(0, -2)[_extra_positions(state, prefix) :]",
        "kept[_TABLE] = value.flatten(0, -2)[: -_extra_positions(state, prefix)]",
        "checkpoint/test_from_vit.py",
    ),
    row(
        "rows-order",
        "places = [rank + len(parts) * torch.arange(len(part))",
        "places = [len(parts) + rank * torch.arange(len(part))",
        "tests/test_distributed.py",
    ),
    # tasks, video
    row(
        "windows-counted",
        "for name in row}, count + so_far",
        "for name in row}, count",
        "recipes/test_classification.py::test_leaves_scores_predictions_and_pictures",
    ),
    row(
        "ratio-doubled",
        "mask = (2 * mask).clamp(max=1)",
        "mask = mask.clamp(max=1)",
        "tasks/test_separate.py",
    ),
    row(
        "overlap-weights",
        "return (self.sums / self.weights).float()",
        "return (self.sums / self.weights.max()).float()",
        "video/test_overlap.py",
    ),
    row(
        "window-middle",
        " + (start + end) / 2 for start, end in ",
        " + start for start, end in ",
        "video/test_windows.py",
    ),
    # recipes
    row(
        "plan-total",
        "return math.ceil(self.epochs * self.batches / self.accumulate)",
        "return math.floor(self.epochs * self.batches / self.accumulate)",
        "recipes/test_engine.py::test_plan",
    ),
    row(
        "rows-after-resume",
        'rows = [row for row in rows if row["step"] <= start]',
        'rows = [row for row in rows if row["step"] <= start + 1]',
        "recipes/test_engine.py::test_crash_goes_back_to_the_last_save",
    ),
    row(
        "peak-rate",
        "config.batch * config.run.batches_per_step, samples",
        "config.batch, samples",
        "recipes/test_optimizer.py",
    ),
    row(
        "turns",
        "if n == 0 or best[n] != best[n - 1]]",
        "if n == 0 or best[n] == best[n - 1]]",
        "recipes/test_predict.py::test_many_turns_are_summed_up",
    ),
    row(
        "late-worker",
        "or now - worker.since > limit]",
        "or now - worker.since < limit]",
        "data/test_pool.py::test_a_process_that_dies_or_hangs_costs_its_own_file_alone",
    ),
    row(
        "reasons-summed",
        "if len(kinds) > _REASONS:",
        "if len(kinds) < _REASONS:",
        "recipes/test_check_data.py::test_reasons_that_differ_in_numbers_are_one_line",
    ),
    row(
        "cost-speed",
        "hours = work / max(speeds) if speeds else None",
        "hours = work / min(speeds) if speeds else None",
        "recipes/test_benchmark.py::test_cost_is_that_of_the_fastest_step",
    ),
    row(
        "study-order",
        "earlier = started.get(run.after) if run.after else None",
        "earlier = None",
        "recipes/test_study.py",
    ),
    row(
        "shards-of-test",
        "if clips is not None},",
        'if clips is not None and split == "train"},',
        "recipes/test_make_shards.py::test_all_clips_of_both_splits_are_there",
    ),
    row(
        "new-reading-positions",
        "tokens = self.mask_token + position[mask.to_predict]",
        "tokens = self.mask_token + 0 * position[mask.to_predict]",
        "tests/test_reading.py",
    ),
    row(
        "new-reading-drawn",
        "chosen = noise.to(self.ids_masked.device).argsort(dim=1)[:, :count]",
        "chosen = noise.to(self.ids_masked.device).long()[:, :count] + torch.arange(count)",
        "tests/test_reading.py",
    ),
    row(
        "new-reading-padding",
        "keys = F.pad(valid.gather(1, mask.ids_keep), (fusion.shape[1], 0), value=True)",
        "keys = None",
        "tests/test_reading.py",
    ),
    row(
        "new-contrast-directions",
        'pairs = {"image_to_audio": (to_audio, match_), "audio_to_image": (to_image, match_)}',
        'pairs = {"image_to_audio": (to_image, match_), "audio_to_image": (to_audio, match_)}',
        "tests/heads/test_contrast.py",
    ),
    row(
        "new-contrast-gradient",
        "        distributed.all_reduce(grad)\n        return grad",
        "        return grad",
        "tests/heads/test_contrast.py",
    ),
    row(
        "new-retrieval-ties",
        "return 1 + greater + ties / 2",
        "return 1 + greater + ties",
        "tests/metrics/test_retrieval.py",
    ),
    row(
        "new-frames-places",
        "return [(number + frame) / frames for number in range(frames)]",
        "return [number / frames for number in range(frames)]",
        "tests/data/test_several_frames.py",
    ),
    row(
        "new-frames-flip",
        "flip = flip.repeat_interleave(frames)",
        "flip = flip.repeat(frames)",
        "tests/data/test_several_frames.py",
    ),
    row(
        "new-front-end-part",
        "self.log_mel = LogMel(**self.format.mel_settings) if log_mel is None else log_mel",
        "self.log_mel = LogMel(**self.format.mel_settings)",
        "tests/data/test_frontend_parts.py",
    ),
    row(
        "new-features-once",
        'return getattr(model, "frozen", False) and not data.augment',
        "return False",
        "tests/recipes/test_features.py",
    ),
    row(
        "new-features-row",
        "part = self.table[[self.rows[index] for _, index in pairs]]",
        "part = self.table[[self.rows[0] for _, index in pairs]]",
        "tests/recipes/test_features.py",
    ),
    row(
        "new-groups",
        "first = batch[0::group]",
        "first = batch[0::1]",
        "tests/data/test_mismatch.py",
    ),
    row(
        "new-embed-part",
        "return replace(clips, items=clips.items[number::count])",
        "return clips",
        "tests/recipes/test_embed.py",
    ),
    row(
        "new-epoch-rate",
        'f"{harmonic_mean(self._rates):.3g} samples/s',
        'f"{self._rates[-1]:.3g} samples/s',
        "tests/recipes/test_log.py",
    ),
    row(
        "new-lock-lost",
        "return not os.path.samestat(self.path.stat(), self._locked)",
        "return not self.path.exists()",
        "tests/recipes/test_lock.py",
    ),
    row(
        "new-learned-start",
        "self.table.copy_(self.start(self.dim, self.grid))",
        "self.table.zero_()",
        "tests/checkpoint/test_from_deepavfusion.py",
        "tests/test_mae.py",
        "tests/test_decoder.py",
    ),
    row(
        "new-tube",
        "return TubeMask(RandomMask(image)), RandomMask(audio)",
        "return RandomMask(image), RandomMask(audio)",
        "tests/recipes/test_video_frames.py",
    ),
    row(
        "last-forked",
        "    os.register_at_fork(after_in_child=gc.freeze)",
        "    pass",
        "data/test_forked.py",
    ),
    row(
        "last-gathered",
        "args = tuple(value for _, value in args[0])",
        "args = tuple(args[0])",
        "tests/test_idioms.py::test_data_parallel_gathers_records",
    ),
    row(
        "last-distilled",
        "if channels == 3:  # DeiT",
        "if channels == 4:  # DeiT",
        "zoo/test_door.py",
    ),
    row(
        "last-turned",
        "_ANCHOR: kernel.transpose(2, 3).contiguous()",
        "_ANCHOR: kernel.contiguous()",
        "checkpoint/test_from_vit.py",
    ),
    row(
        "last-workers",
        "return min(cores, 8) if cores > 1 else 0",
        "return min(cores, 8)",
        "recipes/test_workers.py",
    ),
    row(
        "last-star",
        '    "valid_until",\n',
        "",
        "test_imports.py",
    ),
    row(
        "last-heartbeat",
        "missed = missed + 1 if heard == last else 0",
        "missed = 0",
        "recipes/test_heartbeat.py",
    ),
    row(
        "last-duet",
        "box = [left, top, left + width, top + height]",
        "box = [left, top, width, height]",
        "data/test_music_duet.py",
    ),
    row(
        "last-contrast",
        "loss_contrast=self.contrast_weight * info_nce(v, a, **contrast)",
        "loss_contrast=info_nce(v, a, **contrast)",
        "recipes/test_cavmae_pretrain.py",
    ),
    row(
        "last-kaldi",
        "return ((mel - self.mean) / self.divisor).unsqueeze(1)",
        "return ((mel - self.mean) * self.divisor).unsqueeze(1)",
        "zoo/test_front_end.py",
    ),
    row(
        "last-valid",
        "kept = whole if mask is None else whole.gather(1, mask.ids_keep)",
        "kept = whole",
        "test_padding.py",
    ),
    row(
        "last-csv",
        "self._file.truncate(_whole(path.read_bytes()))",
        "self._file.truncate(len(path.read_bytes()))",
        "test_files.py",
    ),
    row(
        "last-fscore",
        "return curves.masked_fill(size == 0, torch.nan)",
        "return curves",
        "metrics/test_segment.py",
    ),
    row(
        "last-exported",
        "register_dataclass(record, serialized_type_name=name)",
        "register_dataclass(record)",
        "tests/test_idioms.py::test_exports_for_any_batch",
    ),
    row(
        "last-without-source",
        "            return torch.zeros_like(x)\n        k, v = self.kv",
        "            return x\n        k, v = self.kv",
        "tests/test_padding.py",
    ),
    row(
        "last-builder-type",
        "model = model if dtype is None else model.to(dtype)",
        "model = model",
        "tests/test_builder.py",
    ),
    row(
        "export-rate",
        'drop_path = config.get("drop_path", 0.0)',
        "drop_path = 0.0",
        "recipes/test_export.py",
    ),
    row(
        "worker-errors",
        'text = re.split(r"^[\\w.]+: ", text, flags=re.MULTILINE)[-1]',
        'text = re.split(r"^[\\w.]+: ", text, flags=re.MULTILINE)[0]',
        "recipes/test_run.py::test_user_errors_are_one_line",
    ),
    row(
        "local-patch-alone",
        "alone = whole.flatten(0, 1)[:, None]",
        "alone = whole.repeat_interleave(whole.shape[1], dim=0)[:, :1]",
        "heads/test_local_tokens.py",
    ),
    row(
        "average-audio",
        "average = (sounds.mean(dim=0) + negatives.mean(dim=0)) / 2",
        "average = sounds.mean(dim=0)",
        "heads/test_localize.py",
    ),
    row(
        "undecided-pairs",
        "known = logits[:, :count].masked_fill(relations == 0, -torch.inf)",
        "known = logits[:, :count]",
        "heads/test_localize.py",
    ),
    row(
        "mutual-neighbors",
        "edges = (edges * edges.T).fill_diagonal_(1.0)",
        "edges = (edges + edges.T).clamp(max=1).fill_diagonal_(1.0)",
        "heads/test_positives.py",
    ),
    row(
        "silent-quarter",
        "waves[:silent] = 0",
        "waves[:silent] *= 1",
        "tasks/test_localize.py",
    ),
    row(
        "codes-needed",
        "if self.positives and codes is None:",
        "if self.positives and codes is not None and False:",
        "tasks/test_localize.py",
    ),
    row(
        "worst-start",
        "self.losses.nan_to_num(torch.inf).argmin()",
        "self.losses.nan_to_num(-torch.inf).argmax()",
        "heads/test_starts.py",
    ),
    row(
        "equal-variances",
        "return F.normalize(scores[:, :components][:, kept], dim=1)",
        "return F.normalize((scores * variances)[:, :components][:, kept], dim=1)",
        "heads/test_positives.py",
    ),
    row(
        "universal-quantile",
        "highest.double().quantile(quantile)",
        "highest.double().quantile(quantile, interpolation='lower')",
        "metrics/test_localize_universal.py",
    ),
    row(
        "average-decay",
        "keep = min(self.decay, (1 + step) / (10 + step))",
        "keep = self.decay",
        "recipes/test_best.py",
    ),
    row(
        "average-resumed",
        "value.copy_(sharded_like(weights[name].to(value.device), value))",
        "del weights[name]",
        "recipes/test_best.py",
    ),
    row(
        "stop-counts",
        "scores = {step: row for step, row in found.items() if self.plan.regular(step)}",
        "scores = dict(found)",
        "recipes/test_best.py",
    ),
    row(
        "sizes-typed",
        'data = {n: x for n, x in known.data.items() if f"data.{n}" not in typed}',
        "data = dict(known.data)",
        "recipes/test_sizes.py",
    ),
    row(
        "bars-logged",
        'if "\\r" in text or "\\x1b" in text:',
        'if "\\x1b" in text:',
        "recipes/test_console.py",
    ),
    row(
        "part-of-audio",
        "planes = planes[:, : max(round(seconds * rate) + offset - position, 0)]",
        "pass",
        "recipes/test_predict_part.py",
    ),
    row(
        "mirror-back",
        'self._map(features["mirrored"], features["audio"], grid).flip(-1)',
        'self._map(features["mirrored"], features["audio"], grid)',
        "tasks/test_localize.py",
    ),
    row(
        "mirror-drawn",
        'if self.training and self.mirror and "mirrored" in features:',
        "if False:",
        "tasks/test_localize.py",
    ),
    row(
        "frequency-kept",
        'return {"value": self._given[0].clone()}',
        'return {"value": self._given[0].flip(0)}',
        "test_constants.py",
    ),
    row(
        "two-of-a-name",
        "if before != str(path) and Path(before).parent == path.parent:",
        "if False:",
        "data/test_stills.py",
    ),
    row(
        "two-recordings",
        "if len(audio) > 1:",
        "if len(audio) > 9:",
        "data/test_ingredients.py",
    ),
)


def place_of(mutation: Mutation, root: Path) -> Path:
    """The one file that holds what a mutation breaks."""
    files = sorted(path for part in SOURCES for path in (root / part).rglob("*.py"))
    counts = {path: path.read_text(encoding="utf-8").count(mutation.find) for path in files}
    found = [path for path, count in counts.items() for _ in range(count)]
    if len(found) != 1:
        raise SystemExit(
            f"{mutation.name}: {mutation.find!r} is {len(found)} times in the tree, expected once "
            f"({', '.join(str(path.relative_to(root)) for path in found)}): amend its row"
        )
    return found[0]


def chosen_tests(mutation: Mutation, root: Path) -> list[str]:
    """Tests by the ends of their paths, as pytest takes them."""
    words = []
    for asked in mutation.tests:
        end, *name = asked.split("::")
        files = [p for p in (root / "tests").rglob(Path(end).name) if f"/{p}".endswith(f"/{end}")]
        if len(files) != 1:
            raise SystemExit(f"{mutation.name}: {len(files)} files end with {end}: amend its row")
        words.append("::".join([str(files[0].relative_to(root)), *name]))
    return words


@contextmanager
def broken(mutation: Mutation, root: Path) -> Iterator[Path]:
    """Break a line in the copy, and restore it whatever happens."""
    path = place_of(mutation, root)
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(text.replace(mutation.find, mutation.replace), encoding="utf-8")
        yield path
    finally:
        path.write_text(text, encoding="utf-8")


def run(tests: list[str], root: Path) -> tuple[int, str]:
    """Run tests in the copy, in a fork of this process, and give pytest's exit code and last line.

    The fork has what takes long to import, and nothing of ours.
    """
    for name in HEAVY:
        import_module(name)
    log = root.with_name("log.txt")
    child = os.fork()
    if not child:
        _run(["-q", "-x", "-p", "no:cacheprovider", *tests], root, log)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return code, (failed or lines or ["no output"])[-1]


def _run(words: list[str], root: Path, log: Path) -> NoReturn:
    code = 3
    try:
        os.chdir(root)
        os.environ["PYTHONPATH"] = sys.path[0] = str(root)
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        code = int(import_module("pytest").main(words))
        sys.stdout.flush()
    finally:
        os._exit(code)


def git(*words: str) -> bytes:
    """What git says in this repository."""
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=True).stdout


def copied(commit: str, folder: Path) -> None:
    """Copy what is committed to a folder."""
    if commit == "HEAD" and (changed := git("status", "--porcelain").decode()):
        raise SystemExit(f"commit what has changed first:\n{changed}")
    packed = git("archive", commit)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


def save(name: str, rows: dict[str, str], *, commit: str, seconds: float) -> None:
    """Put a result under a name into the file of results; rows of others stay."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    rows = known.get(name, {}).get("mutations", {}) | rows
    known[name] = {
        "commit": git("rev-parse", "--short=12", commit).decode().strip(),
        "caught": sum(found == CAUGHT for found in rows.values()),
        "of": len(rows),
        "seconds": round(seconds),
        "mutations": rows,
    }
    RESULTS.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


def measured(chosen: list[Mutation], *, commit: str, trust: bool) -> dict[str, str]:
    """Break one after another in a copy, and say which were caught."""
    rows = {}
    with tempfile.TemporaryDirectory(prefix="mutations") as folder:
        root = Path(folder) / "copy"
        copied(commit, root)
        places = {m.name: place_of(m, root).relative_to(root) for m in chosen}
        words = {m.name: chosen_tests(m, root) for m in chosen}
        if not trust:
            code, line = run(sorted({word for some in words.values() for word in some}), root)
            print(f"unbroken: {line}", flush=True)
            if code:
                raise SystemExit("the tests fail before anything is broken")
        for mutation in chosen:
            name, begun = mutation.name, time.monotonic()
            with broken(mutation, root):
                code, line = run(words[name], root)
            if code not in (0, 1, 2):
                raise SystemExit(f"{name}: pytest ended with {code}: {line}")
            rows[name] = CAUGHT if code else MISSED
            took = time.monotonic() - begun
            print(f"{name:24}{rows[name]:8}{took:5.0f} s  {places[name]}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of names; all if none is given")
    parser.add_argument("--list", action="store_true", help="list them, and run nothing")
    parser.add_argument("--trust", action="store_true", help="leave out the unbroken run")
    parser.add_argument("--save", metavar="NAME", help="key of the result, before or after")
    parser.add_argument("--commit", default="HEAD", help="which state is copied and broken")
    given = parser.parse_args()
    names = tuple(given.names)
    chosen = [m for m in TABLE if not names or m.name.startswith(names)]
    if given.list:
        for mutation in chosen:
            tests = " ".join(chosen_tests(mutation, ROOT))
            print(f"{mutation.name:24}{place_of(mutation, ROOT).relative_to(ROOT)}  {tests}")
        return
    start = time.monotonic()
    rows = measured(chosen, commit=given.commit, trust=given.trust)
    count, seconds = sum(found == CAUGHT for found in rows.values()), time.monotonic() - start
    print(f"{count} of {len(rows)} caught in {seconds:.0f} s")
    if given.save:
        save(given.save, rows, commit=given.commit, seconds=seconds)
    sys.exit(count < len(rows))


if __name__ == "__main__":
    main()
