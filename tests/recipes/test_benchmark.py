"""The speed test: figures that fit together, an honest plain formula, errors that end nothing."""

import json
import operator
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from avblocks import DenseFusion, RandomMask, av_mae, av_vit
from recipes.benchmark import __main__ as benchmark
from recipes.benchmark import plain, table
from recipes.benchmark import recipe as whole_file
from recipes.benchmark.cases import FUSIONS, Case, cases, matching
from recipes.benchmark.cost import cost
from recipes.benchmark.measure import guarded, in_process, measured, peak_mb
from recipes.benchmark.plain import plain_encode, plain_loss
from recipes.benchmark.scaling import Point, _along, draw, kept_bytes, line
from recipes.benchmark.work import prepare

each = pytest.mark.parametrize("fusion", FUSIONS)
TINY = Case(task="backward", tiny=True)


@each
@pytest.mark.parametrize("layers", ["all", [1], "none"], ids=str)
def test_the_plain_formula_is_the_same_model(fusion: str, layers: object) -> None:
    sizes = {"image_size": 16, "audio_size": (16, 24), "patch": 4, "num_tokens": (2, 1, 1)}
    encoder = av_vit(16, depth=2, num_heads=2, fusion=fusion, fusion_layers=layers, **sizes)
    model = av_mae(encoder, dim=8, depth=2, num_heads=2).double()
    given = {"image": torch.randn(2, 3, 16, 16), "audio": torch.randn(2, 1, 16, 24)}
    given = {name: x.double() for name, x in given.items()}
    masks = {
        "image_mask": RandomMask(0.75)((4, 4), batch=2),
        "audio_mask": RandomMask(0.8)((4, 6), batch=2),
    }
    losses = model(**given, **masks).loss, plain_loss(model, **given, **masks)
    assert_close(losses[0], losses[1], rtol=0, atol=1e-10)
    pairs = [torch.autograd.grad(x, list(model.parameters()), allow_unused=True) for x in losses]
    for mine, theirs in zip(*pairs, strict=True):
        none = torch.zeros(())
        assert_close(none if mine is None else mine, none if theirs is None else theirs)
    assert_close(plain_encode(encoder, **given), encoder(**given), rtol=0, atol=1e-10)


def test_the_plain_formula_keeps_the_precision_around_it() -> None:
    q = torch.randn(1, 2, 5, 8)
    with plain.AttentionWrittenOut(), torch.autocast("cpu", torch.bfloat16):
        written = F.scaled_dot_product_attention(q, q, q, scale=0.5)
    assert written.dtype == torch.bfloat16
    fused = F.scaled_dot_product_attention(q, q, q, scale=0.5)
    assert_close(written.float(), fused, rtol=0.05, atol=0.05)


@each
@pytest.mark.parametrize("task", ["backward", "encode"])
def test_useful_operations_are_those_torch_counts(task: str, fusion: str) -> None:
    work = prepare(replace(TINY, task=task, fusion=fusion, batch=3))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work.step()
    assert counter.get_total_flops() == 3 * work.flops


@pytest.mark.parametrize("predict", [1.0, 1 / 3])
def test_a_reading_decoder_costs_what_it_predicts(predict: float) -> None:
    case = replace(TINY, batch=3, decoder="reading", predict=predict)
    work = prepare(case)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work.step()
    assert counter.get_total_flops() == 3 * work.flops
    assert ("33%" in case.name) == (predict < 1)


def test_blocks_are_compiled_one_by_one() -> None:
    model = prepare(replace(TINY, mode="blocks")).step.args[1]
    compiled = {n for n, m in model.named_modules() if m._compiled_call_impl is not None}
    parents = ("encoder.image", "encoder.audio", "image_decoder", "audio_decoder")
    depths = (2, 2, 1, 1)
    wanted = {f"{p}.blocks.{n}" for p, d in zip(parents, depths, strict=True) for n in range(d)}
    assert compiled == wanted | {f"encoder.fusion_blocks.{n}" for n in range(2)}


def test_fine_tuning_counts_all_but_the_head() -> None:
    work = prepare(replace(TINY, task="finetune", batch=1))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work.step()
    head = 3 * 3 * 2 * 32 * 309
    assert counter.get_total_flops() == work.flops + head


@pytest.mark.parametrize("task", ["pretrain", "finetune"])
def test_a_step_trains(task: str) -> None:
    step = prepare(replace(TINY, task=task)).step
    model = step.args[1]
    before = [p.detach().clone() for p in model.parameters()]
    step()
    pairs = zip(before, model.parameters(), strict=True)
    changed = [not torch.equal(old, new) for old, new in pairs]
    assert sum(changed) > len(changed) / 2
    assert all(p.grad is None for p in model.parameters())


def test_figures_of_a_row_fit_together() -> None:
    case = replace(TINY, fusion="dense", batch=2, plain=True)
    row = measured(case, 0.01)
    assert row["samples_per_s"] == pytest.approx(2e3 / row["ms"], rel=1e-3)
    low, high = row["ms_range"]
    assert 0 < low <= row["ms"] <= high and row["repeats"] >= 3
    speed = row["gflop_per_sample"] * row["samples_per_s"]
    assert row["share_of_peak"] == pytest.approx(speed / row["peak_gflops"], rel=5e-3)
    low, high = row["times_plain_range"]
    assert 0 < low <= row["times_plain"] <= high
    assert {"machine", "load_before", "python", "torch", "memory_mb"} <= set(row)


def test_memory_is_the_peak() -> None:
    many = torch.ones(100_000_000)
    with_it = peak_mb("cpu")
    del many
    assert with_it > 400 and peak_mb("cpu") == pytest.approx(with_it, rel=0.01)
    alone = in_process(measured, replace(TINY, batch=1), 0.01)["memory_mb"]
    assert 100 < alone < with_it


def test_an_error_is_a_row_and_not_the_end() -> None:
    assert guarded(operator.truediv, 1, 0) == {"error": "ZeroDivisionError: division by zero"}
    assert "killed" in in_process(os._exit, 1)["error"]
    line = table.printed("a case", {"error": "ValueError: x"})
    assert line == "a case  ValueError: x"


def test_smoke(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "results" / "performance.json"
    preset = replace(benchmark.PRESETS["smoke"][1], out=out)
    known = {"cases": {"cuda": {"a": {"error": "kept"}}}}
    out.parent.mkdir()
    out.write_text(json.dumps(known))
    benchmark.main(replace(preset, cases=("encode*",), scaling=False))
    monkeypatch.setattr(benchmark, "in_process", guarded)  # once is enough
    benchmark.main(replace(preset, cases=("finetune*",), scaling=False))
    found = json.loads(out.read_text())
    names = ["encode token b4 bfloat16 eager tiny", "finetune factorized b2 float32 eager tiny"]
    assert list(found["cases"]["cpu"]) == names == list(found["tables"]["cpu"])[-2:]
    assert found["tables"]["cuda"]["a"]["samples/s"] == "kept"
    for device in ("cpu", "cuda"):
        for case in cases(device):
            assert found["tables"][device][case.name]["samples/s"] == "not measured"
    assert found["cases"]["cuda"] == {"a": {"error": "kept"}}
    row = found["cases"]["cpu"][names[0]]
    assert (row["precision"], row["device"], row["batch"]) == ("bfloat16", "cpu", 4)
    assert set(found["machines"]["cpu"]) == {"machine", "python", "torch"}
    assert all(len(cells) == len(table.HEAD) for cells in found["tables"]["cpu"].values())
    benchmark.main(replace(preset, cases=("encode*",), scaling=False, profile=True, out=None))
    printed = capsys.readouterr().out.splitlines()
    assert any("aten::addmm" in line for line in printed)
    assert "of the peak" in printed[0] and printed[1].startswith(names[0])


def test_what_is_no_file_of_figures_is_refused_at_once(tmp_path: Path) -> None:
    smoke, out = benchmark.PRESETS["smoke"][1], tmp_path / "x.json"
    for text in ("{", "[]", '{"cases": null}'):
        out.write_text(text)
        with pytest.raises(ValueError, match=r"x\.json.*not a file of figures"):
            benchmark.main(replace(smoke, out=out))
        assert out.read_text() == text
    with pytest.raises(ValueError, match="not a file of figures"):
        benchmark.main(replace(smoke, out=tmp_path))
    for wrong in ({"seconds": float("inf")}, {"device": "cuda"}):
        if not (torch.cuda.is_available() and "device" in wrong):
            with pytest.raises(ValueError, match=r"--seconds must be|finds no GPU"):
                benchmark.main(replace(smoke, **wrong))


def test_an_error_takes_no_figure_away(tmp_path: Path) -> None:
    whole_row = dict.fromkeys(("samples_per_s", "memory_mb", "gflop_per_sample"), 1.0)
    whole_row |= {"ms": 1.0, "ms_range": [1.0, 1.0], "share_of_peak": 0.5}
    for row in (whole_row, {"error": "x"}):
        table.write(tmp_path / "x.json", device="cpu", rows={"a": row}, growth=None)
    assert json.loads((tmp_path / "x.json").read_text())["cases"]["cpu"]["a"]["ms"] == 1.0


def test_every_case_has_a_name_of_its_own() -> None:
    for device in ("cpu", "cuda"):
        listed = cases(device)
        assert len({case.name for case in listed}) == len(listed)
        assert {case.device for case in listed} == {device}
        for what in ("pretrain", "encode", "finetune", "float32", "bfloat16", "compiled"):
            assert any(what in case.name for case in listed)
        assert {case.fusion for case in listed if case.task == "pretrain"} == set(FUSIONS)
        assert any(case.checkpointing for case in listed)
    assert set(table.REFERENCE) <= {case.name for case in cases("cpu")}


def test_cases_are_chosen_by_pattern() -> None:
    listed = [case.name for case in cases("cpu")]
    assert matching(listed, ("*",)) == listed and matching(listed, ()) == []
    assert {name.partition(" ")[0] for name in matching(listed, ("encode*", "finetune*"))} == {
        "encode",
        "finetune",
    }
    with pytest.raises(ValueError, match="'nothing' fits none of: backward token"):
        matching(listed, ("nothing",))
    with pytest.raises(ValueError, match="--seconds must be above 0"):
        benchmark.main(benchmark.Config(seconds=0))


def test_the_reference_is_for_the_same_case_alone() -> None:
    case = Case(task="backward")
    assert table.against_reference(case, {"samples_per_s": 2.3})["times_reference"] == 2.0
    for other in (replace(case, device="cuda"), replace(case, tiny=True), replace(case, batch=8)):
        assert "times_reference" not in table.against_reference(other, {"samples_per_s": 2.3})


def test_cost_is_that_of_the_fastest_step() -> None:
    rows = {
        name: {"samples_per_s": speed, "gflop_per_sample": 108.0}
        for name, speed in (
            ("pretrain factorized b64 bfloat16 compiled", 1000.0),
            ("pretrain factorized b64 bfloat16 eager", 500.0),
            ("pretrain factorized b64 bfloat16 compiled checkpointing", 9000.0),
            ("pretrain dense b64 bfloat16 compiled", 9000.0),
        )
    }
    rows["pretrain factorized b64 bfloat16 graphs"] = {"error": "x"}
    found = cost(rows)
    hours = 184_000 * 200 / 1000 / 3600
    assert found["VGGSound"]["GPU-hours measured"] == pytest.approx(hours, abs=0.1)
    larger = found["AudioSet-2M"]["GFLOP a sample"] / found["VGGSound"]["GFLOP a sample"]
    assert 1 < larger < 2
    more = 2_041_789 / 184_000 * larger
    assert found["AudioSet-2M"]["GPU-hours measured"] == pytest.approx(hours * more, rel=0.02)
    on_paper = hours * 1000 * 108e9 / (0.45 * 790e12)
    assert found["VGGSound"]["GPU-hours on paper"] == pytest.approx(on_paper, abs=0.1)
    assert found["VGGSound"]["videos, GB"] == 184 and found["VGGSound"]["shards, GB"] == 92
    reading = 184_000 * 200 / (3600 * on_paper / 8)
    assert found["VGGSound"]["clips/s of 8 GPUs, on paper"] == pytest.approx(reading, rel=0.01)
    assert 3 < found["VGGSound"]["weights and optimizer, GB a GPU"] < 6
    assert cost({})["VGGSound"]["GPU-hours measured"] == "not measured"


def test_memory_of_dense_fusion_is_linear_in_image_plus_audio_tokens() -> None:
    fuse = DenseFusion(16, num_heads=2)

    def kept(n_v: int, n_a: int) -> int:
        image, audio, tokens = (torch.randn(2, n, 16).requires_grad_() for n in (n_v, n_a, 4))
        return kept_bytes(lambda: fuse(tokens, image=image, audio=audio).sum(), fuse)

    step = kept(128, 64) - kept(64, 64)
    assert step > 0
    assert kept(64, 128) - kept(64, 64) == step == kept(192, 320) - kept(128, 320)


def test_growth_is_measured_fitted_and_drawn(tmp_path: Path) -> None:
    start = Point(fusion="dense", dim=32, depth=1, image_size=32, audio_seconds=0.5)
    found = _along(start, {"image_size": (32, 64), "batch": (1, 2, 3), "fusion_tokens": (4, 8)})
    assert found["image_size"]["x"] == [4, 16] and found["batch"]["x"] == [1, 2, 3]
    assert found["batch"]["mb_line"]["r2"] == 1.0
    one, two, _ = found["batch"]["gflop"]
    assert two == pytest.approx(2 * one, rel=1e-3)
    growth = {"dense": found, "token": {"error": "x"}}
    draw(growth, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 1000
    assert set(table.lines(growth)) == {
        f"dense, {a}" for a in ("image size", "batch", "fusion tokens")
    }
    assert line([1, 2, 3], [5, 7, 9]) == {"at_0": 3.0, "by_1": 2.0, "r2": 1.0}
    assert line([1, 2, 3], [1, 4, 1])["r2"] < 0.1


def test_the_recipe_is_as_fast_as_all_its_steps_together() -> None:
    """A median would pass over the steps that wait for clips."""
    bare = {"ms": 100.0, "samples_per_s": 20.0, "gflop_per_sample": 2.0, "peak_gflops": 80.0}
    bare |= {"machine": "m", "load_before": 0.0, "python": "3", "torch": "2"}
    asked = []

    def known(function: object, case: Case, count: float) -> dict[str, object]:
        asked.append(count)
        if function is measured:
            return bare
        speeds = [1.0] * (int(count) - 3) + [20.0, 20.0, 5.0]
        return {"samples_per_s": speeds, "memory_mb": 7}

    row = whole_file.whole(Case(task="recipe", batch=2), 0.3, call=known)
    assert row["samples_per_s"] == 10.0 and row["share_of_bare"] == 0.5
    assert row["ms_range"] == [100.0, 400.0] and row["repeats"] == 3
    assert row["share_of_peak"] == 0.25 and row["memory_mb"] == 7
    assert asked == [0.3, 3 + whole_file._warm(), 0.3] and row["bare_ms"] == [100.0, 100.0]


@pytest.mark.slow
def test_the_whole_recipe_is_measured_beside_its_step() -> None:
    row = whole_file.whole(Case(task="recipe", tiny=True, batch=2), 0.05)
    assert row["repeats"] >= 3 and row["share_of_bare"] > 0
    assert table.cells(row)["beside others"].endswith("% of the model-only step")


@pytest.mark.slow
def test_a_compiled_step_is_measured() -> None:
    row = in_process(measured, replace(TINY, task="pretrain", mode="compiled"), 0.1)
    assert "error" not in row and row["samples_per_s"] > 0
