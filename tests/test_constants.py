"""Modules with constants that are in no state dict: built on "meta", emptied, copied, loaded."""

import copy
import pickle
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from avblocks import av_vit
from avblocks.audio import LogMel, MelMasking
from avblocks.data import AVBatch, ClipFormat, FrontEnd, Normalize
from avblocks.heads import classifier
from avblocks.log_frequency import LogFrequency, LogFrequencyMasking
from avblocks.tasks import Classification

CLIPS = ClipFormat(seconds=0.5, size=16, mels=16)
AUDIO = torch.rand(2, CLIPS.samples, generator=torch.Generator().manual_seed(0)) - 0.5
BATCH = AVBatch(
    image=torch.arange(2 * 3 * 256, dtype=torch.int64).view(2, 3, 16, 16).to(torch.uint8),
    audio=AUDIO,
    flip=torch.zeros(2, dtype=torch.bool),
    gain=torch.zeros(2),
    target=torch.eye(2),
    seeds=(1, 2),
    paths=("a.mp4", "b.mp4"),
)
FREQUENCY = torch.tensor([0.9, 0.1])


def task() -> nn.Module:
    sizes = {"image_size": 16, "audio_size": CLIPS.audio_size, "patch": 16}
    encoder = av_vit(16, depth=1, num_heads=2, **sizes)
    parts = {"front_end": FrontEnd(CLIPS), "frequency": FREQUENCY}
    return Classification(encoder, classifier(16, num_classes=2), **parts).eval()


MASK = torch.rand(2, 1, 16, 32, generator=torch.Generator().manual_seed(1))
CASES: Mapping[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], Tensor]]] = {
    "Normalize": (Normalize, lambda m: m(BATCH.image)),
    "LogMel": (lambda: LogMel(n_mels=16), lambda m: m(AUDIO)),
    "MelMasking": (lambda: MelMasking(n_mels=16), lambda m: m(AUDIO, mask=MASK)),
    "LogFrequency": (lambda: LogFrequency(bins=16, hop=250), lambda m: m(AUDIO)),
    "LogFrequencyMasking": (
        lambda: LogFrequencyMasking(bins=16, hop=250, threshold=None),
        lambda m: m(AUDIO, mask=MASK),
    ),
    "FrontEnd": (lambda: FrontEnd(CLIPS), lambda m: torch.cat([x.flatten() for x in m(BATCH)])),
    "task": (task, lambda m: m(BATCH)["loss"]),
}
each = pytest.mark.parametrize("name", CASES)


def emptied(module: nn.Module) -> nn.Module:
    module = module.to_empty(device="cpu")
    for buffer in module.buffers():
        buffer.fill_(7)  # whatever the memory held
    return module


@each
@pytest.mark.parametrize("how", ["assign", "to_empty", "moved to meta"])
def test_weights_are_loaded(name: str, how: str) -> None:
    build, call = CASES[name]
    whole = build()
    with torch.device("meta"):
        empty = build().eval()
    if how == "to_empty":
        empty = emptied(empty)
    elif how == "moved to meta":
        empty = empty.to("meta")
    empty.load_state_dict(whole.state_dict(), assign=how != "to_empty")
    assert torch.equal(call(empty), call(whole))


@pytest.mark.parametrize("name", [name for name in CASES if name != "task"])  # torch warns
def test_values_are_copied_into_what_was_moved_to_meta(name: str) -> None:
    build, _ = CASES[name]
    empty = build().to("meta")
    empty.load_state_dict(build().state_dict())
    assert not any(buffer.is_meta for buffer in empty.buffers())


@pytest.mark.parametrize("name", [name for name in CASES if name != "task"])  # which draws weights
def test_parameters_are_reset(name: str) -> None:
    build, call = CASES[name]
    with torch.device("meta"):
        empty = build().eval()
    empty = emptied(empty)
    for module in empty.modules():
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()
    assert torch.equal(call(empty), call(build()))


@each
def test_copies_fill_themselves(name: str) -> None:
    build, call = CASES[name]
    whole = build()
    wanted = call(whole)
    for twin in (copy.deepcopy(whole), pickle.loads(pickle.dumps(whole))):
        emptied(twin).load_state_dict(whole.state_dict())
        assert torch.equal(call(twin), wanted)
    assert torch.equal(call(whole), wanted)


def test_frequencies_of_classes_are_set_later() -> None:
    given, later = task(), task()
    later.load_state_dict(given.state_dict())
    given.frequency = None
    assert given.frequency is None and not torch.equal(given(BATCH)["loss"], later(BATCH)["loss"])
    given.frequency = FREQUENCY
    assert given.frequency is not None and torch.equal(given.frequency, FREQUENCY)
    assert torch.equal(given(BATCH)["loss"], later(BATCH)["loss"])
    with pytest.raises(ValueError, match="on the device meta"):
        given.frequency = FREQUENCY.to("meta")


def test_names_in_state_dicts_stay() -> None:
    assert [*FrontEnd(CLIPS).state_dict()] == [
        "log_mel.mel.spectrogram.window",
        "log_mel.mel.mel_scale.fb",
    ]
    assert not MelMasking().state_dict() and not LogFrequency().state_dict()
