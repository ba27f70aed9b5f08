"""An encoder of avblocks as a model of MTEB, for its tasks on video, audio, or both (MVEB).

Run it with the packages ``mteb`` (tested with 2.26) and ``torchcodec``:

    import mteb
    from avblocks.checkpoint import from_pretrained
    from mteb_encoder import AVEncoderForMTEB

    found = from_pretrained("encoder")           # a folder of python -m recipes.export
    model = AVEncoderForMTEB(found.encoder, found.front_end, name="me/encoder")
    tasks = mteb.get_tasks(tasks=["RAVDESSAVClustering", "RAVDESSVideoClustering"])
    print(mteb.evaluate(model, tasks))

Tasks with text are refused: there is no text encoder.
"""

import numpy as np
import torch
import torch.nn.functional as F
from mteb.models import ModelMeta
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.modality_collators import VideoCollator
from torch import Tensor

from avblocks import AVEncoder
from avblocks.audio import pad_repeat
from avblocks.data import FrontEnd
from avblocks.video import WindowBatch


class AVEncoderForMTEB(AbsEncoder):
    """Embeds each clip by the mean over evenly spaced windows and over the streams of tokens.

    The tokens of a stream (image, audio, fusion) are averaged and normalized to length 1 before,
    so that clips with one modality and with both have embeddings of one width.

    Args:
        encoder: Encoder of both modalities.
        front_end: Its front end.
        name: Name of the model in the results, as "organization/model".
        windows: Number of windows of a clip.
    """

    def __init__(
        self, encoder: AVEncoder, front_end: FrontEnd, *, name: str, windows: int = 3
    ) -> None:
        if front_end.format.frames > 1:
            raise ValueError("an encoder of several frames needs a wrapper of its own")
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.encoder = encoder.to(self.device).eval()
        self.front_end = front_end.to(self.device)
        self.windows = windows
        self.mteb_model_meta = ModelMeta.create_empty(
            {"name": name, "revision": "local", "modalities": ["video", "audio"]}
        )

    def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **kwargs):
        """Return one row for each clip of a loader of mteb."""
        rate, between = self.front_end.format.rate, 2 * self.windows
        # Frames at 0, 1/(2w), ... of the clip: every second one is at the center of a window.
        inputs.collate_fn = VideoCollator(target_sampling_rate=rate, num_frames=between + 1)
        return np.concatenate([self._encode(batch).cpu().numpy() for batch in inputs])

    @torch.inference_mode()
    def _encode(self, batch) -> Tensor:
        if lost := {"text", "image"} & {name for name in batch if batch[name] is not None}:
            raise ValueError(f"{sorted(lost)} cannot be encoded: only video and audio")
        videos, audios = batch.get("video"), batch.get("audio")
        return torch.stack(
            [
                self._clip(videos and videos[row], audios and audios[row])
                for row in range(len(videos or audios))
            ]
        )

    def _clip(self, video, audio) -> Tensor:
        if video is None and audio is None:
            raise ValueError("a clip has neither video nor audio")
        frames = torch.zeros(self.windows, 3, 8, 8).byte() if video is None else video[1::2]
        batch = WindowBatch(
            path="clip",
            size=self.front_end.format.size,
            starts=tuple(range(self.windows)),
            images=tuple(frames),
            audio=self._waves(None if audio is None else audio["array"]),
        ).to_batch()
        image, spectrogram = self.front_end(batch.to(self.device))
        tokens = self.encoder(
            image=None if video is None else image, audio=None if audio is None else spectrogram
        )
        streams = [tokens.image, tokens.audio, tokens.fusion]
        means = [x.mean(dim=1) for x in streams if x is not None and x.shape[1] > 0]
        whole = torch.stack([F.normalize(x, dim=1) for x in means]).mean(dim=0)
        return F.normalize(whole.mean(dim=0), dim=0)

    def _waves(self, array) -> Tensor:
        """Cut windows whose centers are those of the frames, within the clip."""
        samples = self.front_end.format.samples
        if array is None:
            return torch.zeros(self.windows, samples)
        wave = torch.as_tensor(np.asarray(array), dtype=torch.float32).flatten()
        centers = (2 * torch.arange(self.windows) + 1) / (2 * self.windows) * len(wave)
        last = max(len(wave) - samples, 0)
        starts = (centers - samples / 2).round().long().clamp(0, last)
        return torch.stack([pad_repeat(wave[start : start + samples], samples) for start in starts])
