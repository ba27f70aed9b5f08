"""Pre-training as one module, the weights it may start from, and its picture."""

from collections.abc import Collection, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from avblocks import AVMAE, AVTokens, Mask, RandomMask, reconstruct
from avblocks.checkpoint import from_audiomae, from_mae, load_weights, read_state
from avblocks.data import AVBatch, FrontEnd
from avblocks.seed import key
from avblocks.viz import panel, save_figure


class Pretraining(nn.Module):
    """From a batch to its losses: front end, masks keyed by sample, masked autoencoder."""

    def __init__(
        self, mae: AVMAE, *, front_end: FrontEnd, image_mask: float, audio_mask: float
    ) -> None:
        super().__init__()
        self.mae = mae
        self.front_end = front_end
        self.image_mask, self.audio_mask = RandomMask(image_mask), RandomMask(audio_mask)

    def masks(self, batch: AVBatch, *, image: Tensor, audio: Tensor) -> dict[str, Mask]:
        """Draw each sample's masks from its own seed, whatever batch it is in."""
        encoder, count = self.mae.encoder, len(batch)
        random = [torch.Generator().manual_seed(key(seed, "masks")) for seed in batch.seeds]
        drawn = {
            "image_mask": self.image_mask(encoder.image.grid(image), batch=count, generator=random),
            "audio_mask": self.audio_mask(encoder.audio.grid(audio), batch=count, generator=random),
        }
        if image.is_cuda:  # from other memory the host waits for each copy
            drawn = {name: mask.pin_memory() for name, mask in drawn.items()}
        return {name: mask.to(image.device, non_blocking=True) for name, mask in drawn.items()}

    def encode(self, batch: AVBatch) -> AVTokens:
        """Encode whole clips."""
        image, audio = self.front_end(batch.to(self.mae.encoder.fusion_tokens.device))
        return self.mae.encoder(image=image, audio=audio)

    def forward(self, batch: AVBatch) -> dict[str, Tensor]:
        """Return the losses of a batch."""
        image, audio = self.front_end(batch)
        out = self.mae(image=image, audio=audio, **self.masks(batch, image=image, audio=audio))
        return {"loss": out.loss, "loss_image": out.loss_image, "loss_audio": out.loss_audio}


def load_pretrained(
    model: Pretraining, *, image: Path | None, audio: Path | None
) -> Collection[str]:
    """Start the ViTs from published weights where given, and print what became of them.

    Returns:
        The names in the model that the files filled.

    Raises:
        ValueError: If a file is damaged or of another model; a final norm may be missing, as it is
            in fine-tuned files.
    """
    names: list[str] = []
    for modality, path, convert in (("image", image, from_mae), ("audio", audio, from_audiomae)):
        if path is None:
            continue
        vit = model.mae.encoder.get_submodule(modality)
        report = load_weights(vit, convert(read_state(path)))
        print(f"{path}\n{report}", flush=True)
        strange = [*report.unused, *(n for n in report.missing if not n.startswith("norm."))]
        if strange:
            raise ValueError(f"{path}: weights of another model, see {', '.join(strange[:4])} ...")
        names += report.prefixed(f"mae.encoder.{modality}.").loaded
    return names


@torch.no_grad()
def reconstruction_picture(model: Pretraining, loader: Iterable[AVBatch], path: Path) -> None:
    """Draw input, what is left of it after masking, and what the model makes of that.

    The clips are those of the first batch that has any.
    """
    batch = next((batch for batch in loader if len(batch)), None)
    if batch is None:
        print("no reconstruction drawn: none of the clips can be used", flush=True)
        return
    batch = batch.to(model.mae.encoder.fusion_tokens.device)
    image, audio = model.front_end(batch)
    masks = model.masks(batch, image=image, audio=audio)
    out = model.eval().mae(image=image, audio=audio, **masks)
    columns, encoder = {}, model.mae.encoder
    for name, vit, x, pred in (
        ("image", encoder.image, image, out.pred_image),
        ("audio", encoder.audio, audio, out.pred_audio),
    ):
        made = reconstruct(
            x,
            pred.float(),
            mask=masks[f"{name}_mask"],
            patch=vit.patch,
            normalized=model.mae.normalize_targets,
        )
        views = {"": x, ", masked": made.masked, ", reconstructed": made.reconstructed}
        columns |= {
            name + title: view if name == "audio" else model.front_end.normalize.undo(view)
            for title, view in views.items()
        }
    save_figure(panel(columns), path)
