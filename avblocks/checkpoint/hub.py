"""Encoders on the Hugging Face Hub; needs its library, which the extra ``hub`` installs."""

from pathlib import Path
from typing import Any

from avblocks.checkpoint.folder import CONFIG, WEIGHTS, check_free, write
from avblocks.checkpoint.pretrained import contents, from_pretrained
from avblocks.data import FrontEnd
from avblocks.encoder import AVEncoder
from avblocks.extras import extra

with extra("hub"):
    from huggingface_hub import ModelHubMixin, snapshot_download


class HubEncoder(ModelHubMixin, library_name="avblocks", tags=["audio-visual"]):
    """An encoder with the three methods that all models of the Hub have.

    ``save_pretrained`` and ``push_to_hub`` write the folder that the function `save_pretrained`
    writes, and a short model card if there is none; ``from_pretrained`` takes such a folder, or the
    name of a repository, whose two files it downloads in one revision. A head in the folder is
    left out: the function `from_pretrained` loads it.

    Args:
        encoder: the encoder, built by `av_vit`.
        front_end: makes the encoder's inputs, if it is to be saved too.

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

    def __init__(self, encoder: AVEncoder, front_end: FrontEnd | None = None) -> None:
        contents(encoder, front_end=front_end)  # refused before the library touches a folder
        self.encoder, self.front_end = encoder, front_end

    def save_pretrained(self, save_directory: str | Path, **others: Any) -> str | None:
        """Save as the function `save_pretrained` does; `ModelHubMixin` has the other arguments.

        Raises:
            ValueError: as there.
            OSError: as there.
        """
        # Here, since the library removes a `config.json` before its hook is called.
        check_free(Path(save_directory))
        contents(self.encoder, front_end=self.front_end)
        config = Path(save_directory) / CONFIG
        before = config.read_bytes() if config.is_file() else None
        try:
            return super().save_pretrained(save_directory, **others)
        finally:
            if before is not None and not config.exists():
                config.write_bytes(before)

    def _save_pretrained(self, save_directory: Path) -> None:
        sections, state = contents(self.encoder, front_end=self.front_end)
        write(save_directory, state=state, sections=sections)

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
        # Those of older versions, and a section of our configuration that the library passes on.
        if unknown := others.keys() - {"proxies", "resume_download", "encoder"}:
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
                allow_patterns=[CONFIG, WEIGHTS],
            )
        found = from_pretrained(folder)
        return cls(found.encoder, front_end=found.front_end)
