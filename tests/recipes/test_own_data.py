"""Your own clips, with the test, boxes and masks that you say; the clips that figures show."""

import re
import shutil
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tiny_model import TINY
from toy_runs import SMALL

from avblocks.csvlog import write_csv
from avblocks.data.datasets import Item, avsbench_avss, vggss
from recipes import paper_localize, paper_segment
from recipes.check_data import __main__ as check_data
from recipes.common.cli import run_cli
from recipes.common.data import Data, train_test_sets
from recipes.common.data import train_set as clips_to_train_on
from recipes.common.examples import different_clips
from recipes.common.loaders import example_loader, mismatched
from recipes.engine.run import Run


@pytest.fixture(scope="module")
def boxed(toy_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy scenes as videos with ``boxes.csv``."""
    root = tmp_path_factory.mktemp("boxed")
    shutil.copytree(toy_scenes / "clips", root / "any")
    rows = [
        [Path(item.path).relative_to(toy_scenes / "clips"), *box]
        for item in vggss(toy_scenes).items
        for box in item.boxes or ()
    ]
    rows = [[f"any/{name}", *box] for name, *box in rows]
    write_csv(root / "boxes.csv", ("file", "left", "top", "right", "bottom"), rows)
    return root


@pytest.fixture(scope="module")
def masked(toy_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy scenes as frames with masks and audio."""
    root = tmp_path_factory.mktemp("masked")
    for part in ("train", "test"):
        for item in avsbench_avss(toy_scenes / "avsbench", split=part).items:
            image, folder = item.images[0], root / part
            for name, file in (
                (f"frames/{item.id}.jpg", image.path),
                (f"masks/{item.id}.png", image.mask),
                (f"audio/{item.id}.wav", item.path),
            ):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, folder / name)
    return root


@pytest.mark.parametrize("name", ["localize", "segment"])
def test_recipes_train_on_own_boxes_and_masks(
    boxed: Path, masked: Path, tmp_path: Path, name: str
) -> None:
    modules: dict[str, tuple[Any, Path, dict[str, Any]]] = {
        "localize": (paper_localize, boxed, {"dim_out": 16}),
        "segment": (paper_segment, masked, {"width": 8}),
    }
    module, root, options = modules[name]
    _, preset = module.PRESETS["folder"]
    module.main(
        replace(
            preset,
            data=replace(preset.data, root=root, **SMALL),
            model=TINY,
            checkpoint=None,
            batch=4,
            epochs=1,
            warmup=0,
            run=Run(dir=tmp_path / "run"),
            **options,
        )
    )
    assert (tmp_path / "run" / "scores.json").is_file()


def test_check_data_reads_own_boxes_and_masks(
    boxed: Path, masked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "masked"
    shutil.copytree(masked, broken)
    mask = next((broken / "test/masks").iterdir())
    mask.write_bytes(mask.read_bytes()[:50])
    check = partial(run_cli, check_data.main, presets=check_data.PRESETS, doc=check_data.__doc__)
    for name, root in (("box_folder", boxed), ("mask_folder", broken)):
        out = ["--run.dir", str(tmp_path / name), "--data.workers", "1", "--data.root", str(root)]
        with pytest.raises(SystemExit) if root is broken else nullcontext():
            check(args=[name, *out])
        said = capsys.readouterr().out
        assert re.search(r"[ /]train: 8 clips", said) and re.search(r"[ /]test: \d clips", said)
    assert mask.name in (tmp_path / "mask_folder" / "health.csv").read_text(encoding="utf-8")


def test_check_data_takes_a_list_of_the_test_clips(
    masked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [path.stem for path in sorted((masked / "train/frames").iterdir())]
    (tmp_path / "test.csv").write_text("\n".join(names[:3]))
    check = partial(run_cli, check_data.main, presets=check_data.PRESETS, doc=check_data.__doc__)
    words = ["--data.test-list", str(tmp_path / "test.csv"), "--run.dir", str(tmp_path / "run")]
    check(args=["mask_folder", "--data.root", str(masked / "train"), *words])
    said = capsys.readouterr().out
    assert " train: 5 clips" in said and " test: 3 clips" in said
    against = ["--against", "mask_folder:test", "--no-fingerprints", "--data.split", "train"]
    check(args=["mask_folder", "--data.root", str(masked / "train"), *words, *against])
    assert "mask_folder:test" in capsys.readouterr().out
    other = [*against]
    other[1] = f"folder={masked / 'train'}"  # the same folder as another data set has no list
    with pytest.raises(SystemExit):
        check(args=["mask_folder", "--data.root", str(masked / "train"), *words, *other])
    assert "no video file at any depth" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        check(args=["folder", "--data.root", str(masked), *words])
    assert "goes with box_folder or mask_folder" in capsys.readouterr().err


def test_own_masks_without_classes_are_binary(masked: Path) -> None:
    config = replace(
        paper_segment.PRESETS["folder"][1],
        data=Data(name="mask_folder", root=masked, **SMALL),
        model=TINY,
        semantic=True,
        run=Run(dir=masked / "run"),
    )
    with pytest.raises(ValueError, match=r"--semantic needs the names of the classes, in classes"):
        paper_segment.main(config)


def test_a_test_list_keeps_clips_out_of_every_training(boxed: Path, tmp_path: Path) -> None:
    """Pre-training and fine-tuning read the same test list."""
    videos = sorted((boxed / "any").rglob("*.mp4"))
    ids = [path.relative_to(boxed / "any").as_posix() for path in videos]
    table = tmp_path / "test.csv"
    table.write_text(f"{ids[0]}\n{ids[-1]}\n")
    plain = Data(name="folder", root=boxed / "any", test_list=table)
    assert [item.id for item in clips_to_train_on(plain).items] == ids[1:-1]


def test_figures_show_different_files_and_classes() -> None:
    """Thirty images of ten files and five classes: the first six are not of one file."""
    items = [Item(id=f"{n}", path=f"{n // 3}.wav", labels=(n // 6,)) for n in range(30)]
    chosen = [items[n] for n in different_clips(items, count=5)]
    assert len({item.labels for item in chosen}) == 5
    six = different_clips(items, count=6)
    assert len({items[n].path for n in six}) == 6 and all(n % 3 == 1 for n in six)
    assert len(different_clips(items, count=40)) == 10
    assert different_clips(items[:1], count=4) == [0]


@pytest.mark.parametrize(("name", "folder"), [("vggss", "."), ("avsbench_avss", "avsbench")])
def test_figures_show_different_scenes(toy_scenes: Path, name: Any, folder: str) -> None:
    """Each with the audio of another file as the mismatched one."""
    data = Data(name=name, root=toy_scenes / folder, **SMALL)
    _, test = train_test_sets(data, needs="boxes" if name == "vggss" else "masks")
    loader = example_loader(test, data, count=3, whole=True, groups=mismatched(test, data))
    (batch,) = list(loader)
    assert len(batch) == 6 and len(set(batch.paths[::2])) == 3
    assert all(a != b for a, b in zip(batch.paths[::2], batch.paths[1::2], strict=True))


def test_scenes_with_silent_objects_come_first(tmp_path: Path) -> None:
    for number in range(8):
        note = tmp_path / "annotations" / f"test-{number:06d}.json"
        note.parent.mkdir(exist_ok=True)
        silent = '["cat"]' if number == 5 else "[]"
        note.write_text(f'{{"class": ["dog"], "boxes": [], "silent": {silent}, "bytes": 1}}')
    items = [
        Item(id=f"test-{n:06d}_000000", path=str(tmp_path / "clips" / "dog" / f"{n}.mp4"))
        for n in range(8)
    ]
    chosen = different_clips(items, count=4)
    assert chosen[0] == 5 and len(set(chosen)) == 4


def test_a_split_without_clips_says_so(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    data = Data(name="box_folder", root=tmp_path)
    table = tmp_path / "boxes.csv"
    table.write_text("file,left,top,right,bottom\na.mp4,0,0,1,1\nb.mp4,0,0,1,1\n")
    with pytest.raises(ValueError, match=r"no clip is left for folder .* train$"):
        train_test_sets(data, needs="boxes")
    table.write_text("file,left,top,right,bottom\nc.mp4,0,0,1,1\n")
    with pytest.raises(ValueError, match=r"none of the clips that folder .* test lists is on disk"):
        train_test_sets(data, needs="boxes")
