#!/usr/bin/env bash
# decord: AVReader returns images with the audio of another time unless the first image is at 0 s.
#
# decord 0.6.0 (files by PyAV 18.1.0). `AVReader(path)[a:b]` returns images and the audio of each. Times of images are
# counted from the first image, times of audio from 0 s: audio that begins late is padded with silence. One would
# guess one clock for both, as padding is there to align them. If the images begin at 0.5 s, each comes with audio
# 0.5 s older. If a file begins at 3 s, as one that was cut from a recording without encoding, images come with the
# silence of 3 s before the file, and its last 3 s of audio are never returned. There is no warning. Files whose images
# begin at 0 s are right, also if their audio begins late.
# Seen: "images with a click, by time and by AVReader: both from 0 s 20 35 50, 20 35 50; audio from 0.5 s 20 35 50, 20
# 35 50; images from 0.5 s 5 20 35, 20 35 50; both from 3 s 20 35 50, none"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check decord==0.6.0 av==18.1.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
from fractions import Fraction

import av
import numpy as np
from decord import AVReader

RATE, FPS, SECONDS, BASE = 48000, 30, 2, 12000
CLICKS = [(image + 0.4) / FPS for image in (20, 35, 50)]  # seconds after the start of the file


def loud(samples):
    return np.flatnonzero(np.abs(samples[0]) > 0.4)


def written(name, images, audio):
    """Path of images and audio that begin at these times, and the images that are shown at each click.

    The gray level of an image is 4 times its number.
    """
    first = min(images, audio)
    samples = np.zeros(round((first + SECONDS + 1 - audio) * RATE), np.float32)
    for click in CLICKS:
        at = round((first + click - audio) * RATE)
        samples[at : at + 48] = 0.8
    path = f"{sys.argv[1]}/{name}.mp4"
    with av.open(path, "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"qp": "10", "bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, BASE)
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        for number in range(FPS * SECONDS):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round((images + number / FPS) * BASE), Fraction(1, BASE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, round(audio * RATE), Fraction(1, RATE)
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with av.open(path) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    with av.open(path) as container:
        heard = np.concatenate([frame.time + loud(frame.to_ndarray()) / RATE for frame in container.decode(audio=0)])
    return path, np.unique(np.searchsorted(shown, heard, side="right") - 1).tolist()


def paired(path):
    """Numbers of the images that AVReader returns with a click."""
    audio, images = AVReader(path, sample_rate=RATE)[0 : FPS * SECONDS]
    assert [round(float(image.mean()) / 4) for image in images.asnumpy()] == list(range(FPS * SECONDS))
    return [k for k, part in enumerate(audio) if len(loud(part.asnumpy()))]


files = {
    "both from 0 s": written("zero", 0, 0),
    "audio from 0.5 s": written("audio", 0, 0.5),
    "images from 0.5 s": written("images", 0.5, 0),
    "both from 3 s": written("both", 3, 3),
}
found = {name: (right, paired(path)) for name, (path, right) in files.items()}
listed = "; ".join(
    f"{name} {' '.join(map(str, right))}, {' '.join(map(str, pair)) or 'none'}" for name, (right, pair) in found.items()
)
print(f"images with a click, by time and by AVReader: {listed}")
for name in ("both from 0 s", "audio from 0.5 s"):
    right, pair = found[name]
    assert right == pair == [20, 35, 50], name
assert found["images from 0.5 s"] == ([5, 20, 35], [20, 35, 50])
assert found["both from 3 s"] == ([20, 35, 50], [])
PY
