"""Encoders on the Hugging Face Hub. Needs huggingface_hub (extra ``avblocks[hub]``)."""

from pathlib import Path
from typing import Any

from avblocks.checkpoint.folder import CONFIG, WEIGHTS
from avblocks.checkpoint.pretrained import from_pretrained, save_pretrained
from avblocks.data import FrontEnd
from avblocks.encoder import AVEncoder
from avblocks.extras import extra

with extra("hub"):
    from huggingface_hub import ModelHubMixin, snapshot_download


class HubEncoder(ModelHubMixin, library_name="avblocks", tags=["audio-visual"]):
    """An encoder with the three standard methods of models on the Hub.

    ``save_pretrained`` and ``push_to_hub`` write a folder in the format of the function
    `save_pretrained`, and a short model card if there is none. ``from_pretrained`` loads such a
    folder, or a repository, of which it downloads the two files in one revision. It ignores a head
    in the folder, which the function `from_pretrained` loads.

    Args:
        encoder: the encoder, built by `av_vit`.
        front_end: the front end of the encoder, to save it too.

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
        self.encoder, self.front_end = encoder, front_end

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **others: Any,
    ) -> str | None:
        """Save as the function `save_pretrained` does; see `ModelHubMixin` for other arguments.

        Raises:
            ValueError: as the function.
            OSError: as the function.
        """
        # Overrides the method of the library, which removes `config.json` before it calls a hook.
        folder = Path(save_directory)
        save_pretrained(self.encoder, folder, front_end=self.front_end)
        if not (folder / "README.md").exists():
            self.generate_model_card(**(model_card_kwargs or {})).save(folder / "README.md")
        return self.push_to_hub(repo_id or folder.name, **others) if push_to_hub else None

    @classmethod
    def _from_pretrained(
        cls, *, model_id: str, encoder: object = None, **where: Any
    ) -> "HubEncoder":  # the library passes a section of our configuration on as `encoder`
        folder = Path(model_id)
        if not folder.is_dir():
            folder = snapshot_download(model_id, allow_patterns=[CONFIG, WEIGHTS], **where)
        found = from_pretrained(folder)
        return cls(found.encoder, front_end=found.front_end)
