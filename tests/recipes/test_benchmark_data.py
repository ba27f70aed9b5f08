"""The speed test: it runs, and writes its figures only where it is told to."""

import json
import mmap
import random
from dataclasses import replace
from pathlib import Path

import pytest

from avblocks.data import read_clip
from recipes.benchmark import data as benchmark_data
from recipes.benchmark.data import PRESETS, _growth, _Reads
from recipes.benchmark.footage import write_footage

SMALL = replace(
    PRESETS["default"][1], clips=2, seconds=1.0, height=64, rounds=3, turn=0.02, reads=10
)


def test_figures_are_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(SMALL, cache=tmp_path / "cache")
    benchmark_data.main(config)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    benchmark_data.main(replace(config, out=tmp_path / "results" / "data.json"))
    figures = json.loads((tmp_path / "results" / "data.json").read_text())
    rates = figures["clips_per_second_per_core"]
    assert set(rates) == {"mp4", "mp4_keyframed", "shards"}
    assert figures["frames_decoded_per_second_per_core"] > 0
    for kind, rate in rates.items():
        low, high = figures["spread"][kind]
        assert 0 < low <= rate <= high
    assert abs(figures["rss_growth_mb"]) < 50
    assert figures["settings"]["reads"] == 10
    assert {"cpu", "cores", "load_before", "python", "av", "torch"} <= set(figures["machine"])
    assert "clips/s/core" in capsys.readouterr().out


def test_footage_repeats_itself_and_moves(tmp_path: Path) -> None:
    paths = [tmp_path / f"{copy}.mp4" for copy in range(3)]
    for number, path in zip((0, 0, 1), paths, strict=True):
        write_footage(path, number=number, seconds=1.0, height=64, keys=16)
    first, second, other = (path.read_bytes() for path in paths)
    assert first == second != other
    early, late = (read_clip(str(paths[0]), seconds=0.9, frame=frame) for frame in (0.0, 1.0))
    assert early.image.shape == (3, 64, 112)
    assert (early.image.int() - late.image.int()).abs().float().mean() > 5


def test_impossible_numbers() -> None:
    with pytest.raises(ValueError, match="clips >= 1"):
        benchmark_data.main(replace(SMALL, clips=0))


def test_a_leak_is_measured() -> None:
    kept: list[mmap.mmap] = []

    def leaks(_: random.Random) -> int:
        kept.append(mmap.mmap(-1, 1_000_000))  # new pages, whatever this process has to spare
        kept[-1].write(bytes(1_000_000))
        return 1

    assert 50 < _growth(_Reads(leaks, 100)) < 70
    assert not kept  # it was another process
    assert abs(_growth(_Reads(lambda _: 1, 100))) < 10
