"""A stream of another model in an encoder."""

import pytest
import torch

from avblocks import av_vit, vit
from avblocks.zoo import with_stream


@pytest.mark.parametrize("name", ["image", "audio"])
def test_the_other_stream_and_the_fusion_are_kept(name: str) -> None:
    sizes = {"depth": 1, "num_heads": 2, "patch": 4}
    encoder = av_vit(16, image_size=8, audio_size=(8, 12), **sizes).double()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter)
    size, channels = ((8, 8), 3) if name == "image" else ((8, 12), 1)
    stream = vit(16, size=size, channels=channels, **sizes).double()
    whole = with_stream(encoder, name, stream)
    kept = {n: x for n, x in encoder.state_dict().items() if not n.startswith(f"{name}.")}
    own = whole.state_dict()
    assert all(torch.equal(own[n], x) for n, x in kept.items())
    inputs = {"image": torch.rand(1, 3, 8, 8).double(), "audio": torch.rand(1, 1, 8, 12).double()}
    assert whole(**inputs).fusion.dtype == torch.float64
