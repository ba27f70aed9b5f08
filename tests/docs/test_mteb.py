"""The example of an MTEB model, on toy tasks of mteb and against the encoder itself.

mteb is no dependency: the tests are skipped where it is absent.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from avblocks import AVEncoder, av_vit
from avblocks.data import AVBatch, ClipFormat, FrontEnd

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
FORMAT = ClipFormat(seconds=0.5, rate=16000, size=16, mels=16, hop=1000)
pytestmark = pytest.mark.filterwarnings("ignore")  # of other packages


def encoder() -> AVEncoder:
    torch.manual_seed(0)
    sizes = {"image_size": 16, "audio_size": FORMAT.audio_size, "patch": 8}
    return av_vit(16, depth=1, num_heads=2, num_tokens=(2, 1, 1), **sizes).eval()


@pytest.fixture
def model_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class of the example."""
    pytest.importorskip("mteb", reason="mteb is not installed")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import mteb_encoder

    return mteb_encoder.AVEncoderForMTEB


class Clip:
    """Frames as the decoder of torchcodec gives them."""

    def __init__(self, frames: torch.Tensor) -> None:
        self.frames, self.metadata = frames, SimpleNamespace(num_frames=len(frames))

    def get_frames_at(self, indices: list[int]) -> SimpleNamespace:
        return SimpleNamespace(data=self.frames[indices])


KINDS = (0, 1) * 8


def decoded(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Dark clips with a low tone and bright clips with a high one, by their numbers."""
    random = np.random.default_rng(0)
    tones = [np.sin(np.arange(16000) * (0.1 + kind)).astype(np.float32) for kind in (0, 1)]

    def video(number: int) -> Clip:
        frames = random.integers(0, 20, (6, 3, 20, 24), dtype=np.uint8) + 200 * (number % 2)
        return Clip(torch.from_numpy(frames.astype(np.uint8)))

    def audio(number: int) -> dict[str, Any]:
        noise = random.normal(size=16000).astype(np.float32)
        return {"array": tones[number % 2] + 0.01 * noise, "sampling_rate": 16000}

    make: dict[str, Any] = {"video": video, "audio": audio}
    return {
        name: [make[name](one) for one in some] if name in make else some
        for name, some in columns.items()
    }


def toy_task(*names: str) -> Any:
    """Clusters of clips of two kinds; videos are decoded without torchcodec."""
    from datasets import Dataset, DatasetDict
    from mteb.abstasks.clustering import AbsTaskClustering
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.mocks.mock_tasks.clustering import general_args

    about = {**general_args, "modalities": list(names), "category": CATEGORIES[names]}
    columns = {name: list(range(len(KINDS))) for name in names} | {"labels": list(KINDS)}

    class Toy(AbsTaskClustering):
        metadata = TaskMetadata(
            type="VideoClustering" if "video" in names else "AudioClustering",
            name="Toy" + "".join(names),
            main_score="v_measure",
            **about,
        )
        input_column_name = names
        label_column_name = "labels"
        max_document_to_embed = None
        max_fraction_of_documents_to_embed = None

        def load_data(self, **_: Any) -> None:
            self.dataset = DatasetDict(test=Dataset.from_dict(columns).with_transform(decoded))
            self.data_loaded = True

    return Toy()


CATEGORIES = {("video", "audio"): "va2c", ("video",): "v2c", ("audio",): "a2c"}


@pytest.mark.parametrize("names", CATEGORIES)
def test_a_task_of_mteb(model_of: Any, names: tuple[str, ...]) -> None:
    import mteb

    model = model_of(encoder(), FrontEnd(FORMAT), name="test/encoder")
    found = mteb.evaluate(model, toy_task(*names), cache=None, co2_tracker=False)
    assert found.model_name == "test/encoder"
    (result,) = found.task_results
    assert result.scores["test"][0]["v_measure"] == pytest.approx(1)


def rows_of(model: Any, rows: list[dict[str, Any]]) -> torch.Tensor:
    loader = DataLoader(rows, batch_size=2, collate_fn=list)  # type: ignore[arg-type]
    names = dict.fromkeys(("task_metadata", "hf_split", "hf_subset"))
    return torch.from_numpy(model.encode(loader, **names))


def test_rows_are_those_of_the_encoder(model_of: Any) -> None:
    """One window: the middle frame and the middle half second of a clip of one second."""
    random = np.random.default_rng(0)
    frames = torch.from_numpy(random.integers(0, 255, (5, 3, 16, 16), dtype=np.uint8))
    wave = random.normal(size=16000).astype(np.float32) * 0.1
    inner, front_end = encoder(), FrontEnd(FORMAT)
    model = model_of(inner, front_end, name="test/encoder", windows=1)
    audio = {"array": wave, "sampling_rate": 16000}
    given = [{"video": Clip(frames), "audio": audio}, {"video": Clip(frames), "audio": None}]
    both, video, alone = rows_of(model, [*given, {"video": None, "audio": audio}])
    batch = AVBatch(
        image=frames[2:3],
        audio=torch.from_numpy(wave[4000:12000])[None],
        flip=torch.zeros(1, dtype=torch.bool),
        gain=torch.zeros(1),
        target=torch.zeros(1, 0),
        seeds=(0,),
        paths=("clip",),
    )
    image, spectrogram = front_end(batch)
    for row, parts in (
        (both, {"image": image, "audio": spectrogram}),
        (video, {"image": image, "audio": None}),
        (alone, {"image": None, "audio": spectrogram}),
    ):
        with torch.no_grad():
            tokens = inner(**parts)
        streams = [x for x in (tokens.image, tokens.audio, tokens.fusion) if x is not None]
        mean = sum(F.normalize(x.mean(1)[0], dim=0) for x in streams)
        torch.testing.assert_close(row.cpu(), F.normalize(mean, dim=0), rtol=0, atol=1e-5)


def test_windows_are_at_the_frames(model_of: Any) -> None:
    model = model_of(encoder(), FrontEnd(FORMAT), name="test/encoder", windows=2)
    wave = torch.arange(32000.0)
    assert model._waves(wave)[:, 4000].tolist() == [8000, 24000]  # a quarter and three
    short = model._waves(wave[:3000])
    assert torch.equal(short[0], short[1]) and short[0, 2999:3001].tolist() == [2999, 2999]


def test_text_is_refused(model_of: Any) -> None:
    model = model_of(encoder(), FrontEnd(FORMAT), name="test/encoder")
    with pytest.raises(ValueError, match=r"\['text'\] cannot be encoded"):
        rows_of(model, [{"text": "a dog", "audio": None, "video": None}])
    with pytest.raises(ValueError, match="neither video nor audio"):
        rows_of(model, [{"audio": None, "video": None}])
    video = ClipFormat(seconds=0.5, size=16, mels=16, hop=1000, frames=4)
    with pytest.raises(ValueError, match="several frames"):
        model_of(encoder(), FrontEnd(video), name="test/encoder")
