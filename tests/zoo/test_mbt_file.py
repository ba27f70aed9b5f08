"""What files of MBT may have beyond those of the golden tensors."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv3d
from torch.testing import assert_close

from avblocks.zoo import from_mbt, mbt, mbt_sizes

DIM, HEADS, MELS = 8, 2, 32


def block(name: str) -> dict[str, Tensor]:
    wide = (DIM, HEADS, DIM // HEADS)
    shapes = {
        f"MultiHeadDotProductAttention_0/{part}/kernel": wide for part in ("query", "key", "value")
    }
    shapes |= {f"{n.removesuffix('kernel')}bias": wide[1:] for n in shapes}
    shapes |= {
        "MultiHeadDotProductAttention_0/out/kernel": (*wide[1:], DIM),
        "MultiHeadDotProductAttention_0/out/bias": (DIM,),
        "MlpBlock_0/Dense_0/kernel": (DIM, 16),
        "MlpBlock_0/Dense_0/bias": (16,),
        "MlpBlock_0/Dense_1/kernel": (16, DIM),
        "MlpBlock_0/Dense_1/bias": (DIM,),
    }
    shapes |= {f"LayerNorm_{i}/{kind}": (DIM,) for i in range(2) for kind in ("scale", "bias")}
    return {f"Transformer/{name}/{part}": torch.randn(shape) for part, shape in shapes.items()}


def tubelet_file() -> dict[str, Tensor]:
    """Mean pooling, cross-attention, and a kernel over two frames (``3d_conv``), with slashes."""
    rest = {
        "embedding/kernel": (2, 16, 16, 3, DIM),
        "embedding/bias": (DIM,),
        "embedding_spectrogram/kernel": (16, 16, 1, DIM),
        "embedding_spectrogram/bias": (DIM,),
        "Transformer/posembed_input/pos_embedding": (1, 8, DIM),
        "Transformer/posembed_input_spectrogram/pos_embedding": (1, 6, DIM),
        "Transformer/encoder_norm/scale": (DIM,),
        "Transformer/encoder_norm/bias": (DIM,),
        "output_projection/kernel": (DIM, 5),
        "output_projection/bias": (5,),
    }
    blocks = block("encoderblock_0") | block("encoderblock_0_spectrogram")
    return blocks | {name: torch.randn(shape) for name, shape in rest.items()}


def test_tubelets_and_slashes() -> None:
    file = tubelet_file()
    sizes = mbt_sizes(file, image_size=32, mels=MELS, fusion_layer=0)
    assert sizes["patch"] == (2, 16, 16) and sizes["num_heads"] == HEADS
    assert sizes["image_size"] == (4, 32, 32) and sizes["audio_size"] == (MELS, 48)
    model = mbt(**sizes)
    model.load_state_dict(from_mbt(file, mels=MELS))
    video = torch.randn(1, 3, 4, 32, 32)
    kernel = torch.einsum("tpqcd->dctpq", file["embedding/kernel"])
    wanted = conv3d(video, kernel, file["embedding/bias"], stride=(2, 16, 16))
    table = file["Transformer/posembed_input/pos_embedding"]
    assert_close(
        model.encoder.image.embed(video),
        wanted.flatten(2).transpose(1, 2) + table,
        rtol=1e-4,
        atol=1e-4,
    )


def test_what_does_not_fit_is_refused() -> None:
    file = tubelet_file()
    with pytest.raises(ValueError, match="positions must be a multiple of 8 patches"):
        from_mbt(file)
    with pytest.raises(ValueError, match="positions must be a multiple of 196 patches"):
        mbt_sizes(file, mels=MELS)
    with pytest.raises(ValueError, match="pre_logits"):
        from_mbt(file | {"pre_logits/kernel": torch.zeros(DIM, DIM)}, mels=MELS)
    with pytest.raises(ValueError, match="fusion_layer must be from 0 to the depth 2"):
        mbt(DIM, depth=2, num_heads=HEADS, fusion_layer=3)
