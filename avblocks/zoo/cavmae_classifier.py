"""Fine-tuned CAV-MAE, for both modalities or for one."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avblocks.encoder import Audio, AVEncoder, Image
from avblocks.nn.norm import layer_norm
from avblocks.zoo.cavmae import first_joint, run_layers
from avblocks.zoo.joint import JointLayer, JointNorm


class CAVMAEClassifier(nn.Module):
    """Fine-tuned CAV-MAE: the mean of all tokens, a norm and a linear layer.

    Args:
        encoder: encoder from `cavmae_encoder`.
        num_classes: number of classes.
    """

    def __init__(self, encoder: AVEncoder, *, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.norm = layer_norm(encoder.dim, norm_eps=1e-5)
        self.linear = nn.Linear(encoder.dim, num_classes)

    def forward(
        self, *, image: Image, audio: Audio, trained_on_both: bool = False
    ) -> Float[Tensor, "b classes"]:
        """Logits from both modalities or from one.

        Args:
            image: images, ``None`` if the batch has none.
            audio: spectrograms, ``None`` if the batch has none.
            trained_on_both: for one modality, whether the model was fine-tuned on both: features
                with the norms of both and of one modality are then averaged.
        """
        tokens = self.encoder(image=image, audio=audio)
        given = [x for x in (tokens.image, tokens.audio) if x is not None]
        pooled = torch.cat(given, dim=1).mean(dim=1)
        if trained_on_both and len(given) == 1:
            pooled = (pooled + self._as_both(image, audio)) / 2
        return self.linear(self.norm(pooled))

    def _as_both(self, image: Image, audio: Audio) -> Float[Tensor, "b d"]:
        encoder, joint = self.encoder, first_joint(self.encoder)
        tokens = encoder.embed(image=image, audio=audio)
        tokens = run_layers(encoder, tokens, range(joint))
        x = tokens.audio if tokens.image is None else tokens.image
        assert x is not None
        for layer in encoder.fusion_blocks.values():
            assert isinstance(layer, JointLayer | JointNorm)
            x = layer.run(x, "both")
        return x.mean(dim=1)
