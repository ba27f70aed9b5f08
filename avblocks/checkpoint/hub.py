"""Encoders on the Hugging Face Hub; needs its library, which the extra ``hub`` installs."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, snapshot_download

from avblocks.checkpoint import _folder
from avblocks.checkpoint._numbers import numbers_of
from avblocks.checkpoint.pretrained import check_can_save, from_pretrained, save_pretrained
from avblocks.encoder import AVEncoder


class HubEncoder(ModelHubMixin, library_name="avblocks", tags=["audio-visual"]):
    """An encoder with the three methods that all models of the Hub have.

    ``save_pretrained`` and ``push_to_hub`` write the folder that the function `save_pretrained`
    writes, and a short model card if there is none; ``from_pretrained`` takes such a folder, or the
    name of a repository, whose two files it downloads in one revision.

    Args:
        encoder: the encoder, built by `av_vit`.

    Raises:
        ValueError: if `av_vit` builds no such encoder.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from avblocks import av_vit
        >>> encoder = av_vit(8, depth=1, num_heads=2, patch=4, image_size=8, audio_size=(8, 12))
        >>> with TemporaryDirectory() as folder:
        ...     _ = HubEncoder(encoder).save_pretrained(folder)
        ...     again = HubEncoder.from_pretrained(folder).encoder
        >>> again.fusion_tokens.equal(encoder.fusion_tokens)
        True
    """

    def __init__(self, encoder: AVEncoder) -> None:
        numbers_of(encoder)  # refused here, before the library's methods touch a folder
        self.encoder = encoder

    def save_pretrained(self, save_directory: str | Path, **others: Any) -> str | None:
        """Save as the function `save_pretrained` does; `ModelHubMixin` has the other arguments.

        Raises:
            ValueError: as there.
            OSError: as there.
        """
        # Here, since the library removes a `config.json` before its hook is called.
        check_can_save(self.encoder, save_directory)
        config = Path(save_directory) / _folder.CONFIG
        before = config.read_bytes() if config.is_file() else None
        try:
            return super().save_pretrained(save_directory, **others)
        finally:
            if before is not None and not config.exists():
                config.write_bytes(before)

    def _save_pretrained(self, save_directory: Path) -> None:
        save_pretrained(self.encoder, save_directory)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **others: Any,
    ) -> "HubEncoder":
        if unknown := others.keys() - {"proxies", "resume_download"}:  # those of older versions
            raise TypeError(f"from_pretrained takes no {sorted(unknown)}")
        folder = Path(model_id)
        if not folder.is_dir():
            folder = snapshot_download(
                model_id,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
                allow_patterns=[_folder.CONFIG, _folder.WEIGHTS],
            )
        return cls(from_pretrained(folder))
