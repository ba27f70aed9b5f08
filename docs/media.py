"""Audio and video of the gallery: of scenes, written at every build, and of trained runs."""

import subprocess
import sys
import wave
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import torch

from avblocks.audio import LogMel, MelMasking
from avblocks.data import write_clip, write_wave
from avblocks.data.scenes import Scene, SceneSpec, render
from avblocks.heads import ratio_mask

RATE, FPS = 16000, 16
TEST_SCENES = (8,)
"""Held-out scenes that trained models are shown on."""
AUDIO = ("mixture", "truth", "matched", "mismatched")
"""Audio of a separation, as `avblocks.tasks.SeparationExamples` names it."""
MIXTURES = ((0, 1), (2, 3))
"""Rows of a separation of which each mixture consists."""


def separated(mixtures: Iterable[tuple[int, ...]]) -> tuple[str, ...]:
    """Name the files of `record_separation`."""
    return tuple(f"{row}-{name}.m4a" for rows in mixtures for row in rows for name in AUDIO)


RECORDED = (
    *(f"{task}-{n}.mp4" for task in ("localization", "segmentation") for n in TEST_SCENES),
    *separated(MIXTURES),
)
"""Files of `record`."""


def draw_media(scenes: Sequence[Scene], folder: Path) -> None:
    """Write each scene as a video, also dark outside its true masks, and a mixture and its sources.

    The mixture is separated by the true masks over its spectrogram, as a perfect prediction would.
    """
    for number, scene in enumerate(scenes, start=1):
        shown = np.where(scene.masks.any(axis=1)[..., None], scene.frames, scene.frames // 4)
        for name, frames in (("scene", scene.frames), ("masks", shown)):
            path = folder / f"{name}_{number}.mp4"
            write_clip(path, frames=frames, audio=scene.audio, fps=FPS, rate=RATE)
    sources = 0.5 * torch.from_numpy(np.stack([scene.audio for scene in scenes]))
    mixture, log_mel = sources.sum(dim=0, keepdim=True).expand_as(sources), LogMel()
    mask = 2 * ratio_mask(log_mel(mixture), log_mel(sources))
    separated = MelMasking()(mixture, mask=mask.clamp(max=1))
    write_wave(folder / "mixture.wav", mixture[0], rate=RATE)
    for number, (source, found) in enumerate(zip(sources, separated, strict=True), start=1):
        write_wave(folder / f"source_{number}.wav", source, rate=RATE)
        write_wave(folder / f"separated_{number}.wav", found, rate=RATE)


def record(runs: Path, folder: Path) -> None:
    """Write what trained runs find in held-out scenes: the files of `RECORDED`."""
    folder.mkdir(exist_ok=True)
    with TemporaryDirectory() as name:
        clips = {str(number): Path(name) / f"{number}.mp4" for number in TEST_SCENES}
        for number, clip in clips.items():
            scene = render(int(number), split="test", spec=SceneSpec(size=192))
            write_clip(clip, frames=scene.frames, audio=scene.audio, fps=FPS, rate=RATE)
        record_maps(runs, clips, folder)
    record_separation(runs, folder, mixtures=MIXTURES)


def record_maps(runs: Path, clips: Mapping[str, Path], folder: Path) -> None:
    """Write the maps and masks of clips, as ``localization-NAME.mp4`` and ``segmentation-...``."""
    models = [str((runs / task).resolve()) for task in ("localize", "segment")]
    with TemporaryDirectory() as out:
        files = [str(clip.resolve()) for clip in clips.values()]
        words = [*files, "--checkpoint", *models, "--out", out, "--hop", "0.25"]
        root = Path(__file__).parents[1]
        subprocess.run([sys.executable, "-m", "recipes.predict", *words], cwd=root, check=True)
        for name, clip in clips.items():
            for task in ("localization", "segmentation"):
                found = Path(out) / clip.stem / f"{task}.mp4"
                (folder / f"{task}-{name}.mp4").write_bytes(found.read_bytes())


def record_separation(
    runs: Path, folder: Path, *, mixtures: Iterable[tuple[int, ...]], prefix: str = ""
) -> None:
    """Write mixtures, their sources and the separated audio: the files that `separated` names."""
    for file in separated(mixtures):
        source = runs / "separate/wavs" / file.replace(".m4a", ".wav")
        compress(source, folder / f"{prefix}{file}")


def compress(source: Path, target: Path) -> None:
    """Write a wav file as AAC, which is a quarter of its size."""
    with wave.open(str(source)) as file:
        rate, content = file.getframerate(), file.readframes(file.getnframes())
    samples = np.frombuffer(content, dtype="<i2")[None].astype(np.float32) / 2**15
    with av.open(str(target), "w", format="ipod") as container:
        track = container.add_stream("aac", rate=rate, layout="mono", bit_rate=48000)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = rate
        container.mux([*track.encode(frame), *track.encode(None)])
