"""Task modules out to a folder and in again: the same answers, or refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from avblocks import AVEncoder, av_vit
from avblocks.audio import MelMasking
from avblocks.checkpoint import save_pretrained
from avblocks.data import AVBatch, ClipFormat, FrontEnd
from avblocks.heads import Localizer, Starts, classifier, segmenter, separator
from avblocks.tasks import (
    Classification,
    HeadTask,
    Localization,
    Segmentation,
    Separation,
    load_task,
    save_task,
)

CLIPS = ClipFormat(seconds=0.5, size=16, mels=32)


def encoder() -> AVEncoder:
    return av_vit(
        16,
        depth=2,
        num_heads=2,
        patch=8,
        image_size=CLIPS.image_size,
        audio_size=CLIPS.audio_size,
        num_tokens=(2, 1, 1),
    )


def batch() -> AVBatch:
    return AVBatch(
        image=torch.randint(256, (2, 3, 16, 16), dtype=torch.uint8),
        audio=torch.rand(2, CLIPS.samples) - 0.5,
        flip=torch.zeros(2, dtype=torch.bool),
        gain=torch.zeros(2),
        target=torch.eye(2, 3),
        seeds=(1, 2),
        paths=("a.mp4", "b.mp4"),
    )


def classification() -> Classification:
    head = classifier(16, num_classes=3, batch_norm=False)
    settings = {"frozen": False, "given": "audio", "multilabel": True, "mixup": 0.3}
    return Classification(encoder(), head, front_end=FrontEnd(CLIPS), smoothing=0.1, **settings)


def localization() -> Localization:
    head = Localizer(16, dim_out=8, batch_norm=True, hidden=12)
    front_end = FrontEnd(CLIPS)
    return Localization(encoder(), head, front_end=front_end, frozen=True, temperature=0.07)


def segmentation() -> Segmentation:
    head = segmenter(16, num_classes=3, patch=8, num_layers=2, min_width=4, hidden=4)
    return Segmentation(encoder(), head, front_end=FrontEnd(CLIPS), negatives=0.3)


def separation() -> Separation:
    head = separator(16, patch=8, num_layers=2)
    return Separation(encoder(), head, front_end=FrontEnd(CLIPS), masks="binary", sources=3)


TASKS: dict[str, tuple[Callable[[], HeadTask], Callable[..., Tensor]]] = {
    "classification": (classification, lambda task, clips: task.logits(clips).mean),
    "localization": (localization, lambda task, clips: task.maps(clips)),
    "segmentation": (segmentation, lambda task, clips: task.logits(clips)),
    "separation": (separation, lambda task, clips: task.separate(clips)),
}


@pytest.mark.parametrize("name", TASKS)
def test_the_same_answers_and_settings(tmp_path: Path, name: str) -> None:
    build, answer = TASKS[name]
    task, clips = build().eval(), batch()
    save_task(task, tmp_path, classes=("cat", "dog", "rain"))
    loaded = load_task(tmp_path)
    assert loaded.name == name and loaded.classes == ("cat", "dog", "rain")
    assert loaded.format == CLIPS and loaded.task.settings() == task.settings()
    assert not any(module.training for module in loaded.task.modules())
    assert torch.equal(answer(loaded.task, clips), answer(task, clips))
    assert type(loaded.task) is type(task)


def test_class_frequencies_are_saved(tmp_path: Path) -> None:
    head, frequency = classifier(16, num_classes=3), torch.tensor([0.1, 0.2, 0.7])
    task = Classification(encoder(), head, front_end=FrontEnd(CLIPS), frequency=frequency).eval()
    save_task(task, tmp_path)
    loaded, clips = load_task(tmp_path).task, batch()
    assert isinstance(loaded, Classification) and loaded.frequency is not None
    assert torch.equal(loaded.frequency, frequency)
    assert torch.equal(loaded(clips)["loss"], task(clips)["loss"])
    save_task(task.to(torch.bfloat16), tmp_path)
    assert torch.equal(cast(Any, load_task(tmp_path).task).frequency, frequency)
    for wrong in ([0.5, 1.5], [[1.0]], [float("nan")]):
        with pytest.raises(ValueError, match="frequency must be a number from 0 to 1 for each"):
            task.frequency = torch.tensor(wrong)


def test_a_segmentation_saved_before_it_had_settings(tmp_path: Path) -> None:
    task = segmentation()
    assert task.settings() == {"negatives": 0.3, "dice": 0.0}
    about = {"name": "segmentation", "classes": [], "settings": {}}
    save_pretrained(task.encoder, tmp_path, front_end=task.front_end, head=task.head, task=about)
    assert load_task(tmp_path).task.settings() == {"negatives": 0.0, "dice": 0.0}


def test_another_masking_is_refused_and_the_usual_one_returns(tmp_path: Path) -> None:
    """It is no plain value: the loaded task would separate by another one."""
    parts = {"front_end": FrontEnd(CLIPS), "masks": "dominant"}
    usual, other = (MelMasking(**CLIPS.mel_settings, threshold=x) for x in (0.5, 0.2))
    for masking in (other, MelMasking(rate=16000, n_fft=1000, n_mels=32, threshold=0.5)):
        task = Separation(encoder(), separator(16, patch=8, num_layers=2), masking=masking, **parts)
        with pytest.raises(ValueError, match=r"MelMasking is not the masking that 'dominant' mas"):
            save_task(task, tmp_path)
    task = Separation(encoder(), separator(16, patch=8, num_layers=2), masking=usual, **parts)
    save_task(task.eval(), tmp_path)
    clips = batch()
    assert torch.equal(load_task(tmp_path).task.separate(clips), task.separate(clips))


def test_color_changes_of_training_are_not_saved(tmp_path: Path) -> None:
    head = classifier(16, num_classes=3)
    task = Classification(encoder(), head, front_end=FrontEnd(CLIPS, color=0.3))
    save_task(task, tmp_path)
    assert load_task(tmp_path).task.front_end.color == 0.0


def test_the_best_of_several_starts_is_saved(tmp_path: Path) -> None:
    task, clips = localization().eval(), batch()
    task.head = Starts([task.head, Localizer(16, dim_out=8, batch_norm=True, hidden=12).eval()])
    task.head.track(torch.tensor([2.0, 1.0]))
    save_task(task, tmp_path)
    loaded = load_task(tmp_path).task
    assert isinstance(loaded, Localization) and isinstance(loaded.head, Localizer)
    assert torch.equal(loaded.maps(clips), task.maps(clips))


def test_what_holds_no_task_is_refused(tmp_path: Path) -> None:
    task = localization()
    about = {"name": "localization", "classes": [], "settings": task.settings()}
    parts = {"front_end": task.front_end, "head": task.head, "task": about}
    for change in ({"head": None}, {"front_end": None}, {"task": None}, {"task": {"name": "x"}}):
        save_pretrained(task.encoder, tmp_path, **(parts | change))
        with pytest.raises(ValueError, match=r"an encoder without a task: .*without --encoder-o"):
            load_task(tmp_path)
    other = {"head": classifier(16, num_classes=2)}
    save_pretrained(task.encoder, tmp_path, **(parts | other))
    with pytest.raises(ValueError, match=r"an encoder without a task"):
        load_task(tmp_path)
    wrong = {"task": about | {"settings": {"frozen": True, "size": 3}}}
    save_pretrained(task.encoder, tmp_path, **(parts | wrong))
    with pytest.raises(ValueError, match=r"no such Localization: .*'size'"):
        load_task(tmp_path)


def test_a_task_of_ones_own_is_refused(tmp_path: Path) -> None:
    class Own(Segmentation):
        pass

    own = Own(encoder(), segmentation().head, front_end=FrontEnd(CLIPS))
    with pytest.raises(ValueError, match=r"task must be one of \('classification', .*got a Own"):
        save_task(own, tmp_path)
    assert not list(tmp_path.iterdir())


WRAPPERS = {
    "compiled": lambda task: torch.compile(task, backend="eager"),
    "data parallel": nn.DataParallel,
    "averaged": torch.optim.swa_utils.AveragedModel,
}


@pytest.mark.parametrize("kind", WRAPPERS)
def test_wrapped_tasks(tmp_path: Path, kind: str) -> None:
    task = classification().eval()
    save_task(WRAPPERS[kind](task), tmp_path / "task", classes=("a", "b", "c"))
    again, clips = load_task(tmp_path / "task"), batch()
    assert again.classes == ("a", "b", "c")
    assert torch.equal(again.task.logits(clips).mean, task.logits(clips).mean)


@pytest.mark.usefixtures("unchecked")
def test_a_name_for_each_class(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="classes must be names of the head's 3, got 2"):
        save_task(classification(), tmp_path / "task", classes=("a", "b"))
    assert not (tmp_path / "task").exists()
