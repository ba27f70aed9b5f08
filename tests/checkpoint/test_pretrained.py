"""Models out to folders and in again: equal bit for bit, or refused by name."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import avblocks.checkpoint._folder as folders
from avblocks import (
    AVMAE,
    AVEncoder,
    Block,
    FusionBlock,
    RandomMask,
    TokenFusion,
    av_mae,
    av_vit,
    av_vit_base,
    av_vit_huge,
    av_vit_large,
    av_vit_tiny,
    fusion_block,
    vit,
)
from avblocks.checkpoint import (
    from_pretrained,
    load_encoder,
    mae_from_pretrained,
    read_state,
    save_pretrained,
)
from avblocks.checkpoint._numbers import _ratio, numbers_of
from avblocks.nn.position import SinCosPosition

SIZES = {"image_size": (8, 12), "audio_size": (8, 12), "patch": 4, "num_tokens": (2, 1, 1)}


def small(**changes: object) -> AVEncoder:
    torch.manual_seed(0)
    return av_vit(8, **({"depth": 2, "num_heads": 2} | SIZES | changes))


def small_mae(**changes: object) -> AVMAE:
    return av_mae(small(), **({"dim": 8, "depth": 1, "num_heads": 2} | changes))


def outputs(encoder: AVEncoder) -> list[Tensor]:
    """What comes out: of both, of one alone, of other sizes than usual, before the last norms."""
    seeds = torch.Generator().manual_seed(1)
    p, kind = encoder.image.patch[0], encoder.fusion_tokens.dtype
    image = torch.randn(2, 3, 2 * p, 5 * p, generator=seeds).to(kind)
    audio = torch.randn(2, 1, 3 * p, 2 * p, generator=seeds).to(kind)
    size = [side * p for side in encoder.image.pos_embed.grid]
    usual = torch.randn(2, 3, *size, generator=seeds).to(kind)
    with torch.no_grad():
        outs = [
            encoder(image=usual, audio=audio),
            encoder(image=image, audio=None),
            encoder(image=None, audio=audio),
            encoder.intermediates(image=image, audio=audio)[-1],
        ]
    return [t for out in outs for t in vars(out).values() if t is not None]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


@st.composite
def builders(draw: st.DrawFn) -> dict[str, object]:
    heads, wide = draw(st.sampled_from([1, 2, 3])), draw(st.integers(1, 3))
    dim = 4 * heads * wide
    depth = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    side = st.integers(1, 3)
    patch = draw(st.sampled_from([2, 4]))
    # Between two widths: the builders round down.
    ratios = [(heads * draw(st.integers(1, 6)) + 0.3) / dim, draw(st.floats(1 / dim + 1e-6, 4))]
    return {
        "dim": dim,
        "depth": depth,
        "num_heads": heads,
        "image_size": (patch * draw(side), patch * draw(side)),
        "audio_size": (patch * draw(side), patch * draw(side)),
        "patch": patch,
        "fusion": draw(st.sampled_from(["token", "dense", "factorized"])),
        "fusion_layers": draw(
            st.sampled_from(["all", "none"]) | st.sets(st.integers(0, max(depth) - 1)).map(sorted)
        ),
        "num_tokens": draw(st.tuples(side, side, side)),
        "attn_ratio": ratios[0],
        "mlp_ratio": ratios[1],
        "drop_path": draw(st.sampled_from([0.0, 0.1, 0.35])),
    }


@given(builders(), st.sampled_from([torch.float32, torch.bfloat16, torch.float64]))
def test_out_and_in_is_the_same_encoder(numbers: dict, kind: torch.dtype) -> None:
    encoder = av_vit(**numbers).to(kind).eval()
    state = torch.get_rng_state()
    with TemporaryDirectory() as folder:
        save_pretrained(encoder, folder)
        again = from_pretrained(folder)
    assert torch.equal(torch.get_rng_state(), state)
    assert same(outputs(again), outputs(encoder))
    ours, theirs = dict(again.named_parameters()), dict(encoder.named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[n], theirs[n]) and ours[n].dtype == kind for n in ours)
    if numbers["drop_path"]:  # It trains alike too.
        for one in (encoder, again):
            one.train()
        torch.manual_seed(3)
        wanted = outputs(encoder)
        torch.manual_seed(3)
        assert same(outputs(again), wanted)


@given(builders())
def test_numbers_are_those_that_were_given(numbers: dict) -> None:
    numbers |= {"fusion": "factorized", "fusion_layers": (0,)}
    read = numbers_of(av_vit(**numbers))["av_vit"]
    ratios = {name: int(numbers["dim"] * read[name]) for name in ("attn_ratio", "mlp_ratio")}
    assert ratios == {name: int(numbers["dim"] * numbers[name]) for name in ratios}
    assert {n: v for n, v in read.items() if n not in ratios} == {
        n: v for n, v in numbers.items() if n not in ratios
    }


@pytest.mark.parametrize("build", [av_vit_tiny, av_vit_base, av_vit_large, av_vit_huge])
def test_numbers_of_the_named_sizes(build: Callable[..., AVEncoder]) -> None:
    with torch.device("meta"):
        encoder = build(fusion="dense", attn_ratio=1.0, fusion_layers=[1, 3])
        numbers = numbers_of(encoder)["av_vit"]
    assert (numbers["num_tokens"], numbers["fusion_layers"]) == ((16, 8, 8), (1, 3))
    assert (numbers["attn_ratio"], numbers["mlp_ratio"]) == (1.0, 1.0)


def test_a_ratio_for_every_width() -> None:
    pairs = [(width, dim) for dim in range(1, 130) for width in range(1, 4 * dim)]
    assert all(int(dim * _ratio(width, dim)) == width for width, dim in pairs)
    assert any(int(dim * (width / dim)) != width for width, dim in pairs), "then simply divide"


def test_loaded_is_whole_and_ready(tmp_path: Path) -> None:
    encoder = small().requires_grad_(False)
    encoder.checkpointing = True
    save_pretrained(encoder, tmp_path)
    again = from_pretrained(str(tmp_path))
    assert not any(module.training for module in again.modules())
    assert not again.checkpointing and all(p.requires_grad for p in again.parameters())
    shutil.rmtree(tmp_path)  # Nothing of the file is in use any more.
    for tensor in (*again.parameters(), *again.buffers()):
        assert tensor.untyped_storage().nbytes() == tensor.nbytes and tensor.device.type == "cpu"
    assert same(outputs(again), outputs(encoder.eval()))


def test_what_is_in_the_folder(tmp_path: Path) -> None:
    save_pretrained(small(), tmp_path / "new" / "folder")
    assert sorted(p.name for p in (tmp_path / "new/folder").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    config = json.loads((tmp_path / "new/folder/config.json").read_text())
    assert (config["format"], config["format_version"]) == ("avblocks", 1)
    assert config["av_vit"]["image_size"] == [8, 12] and "av_mae" not in config
    assert (
        load_file(tmp_path / "new/folder/model.safetensors").keys() == small().state_dict().keys()
    )


@pytest.mark.parametrize("normalize", [True, False])
def test_an_autoencoder_and_the_encoder_in_it(tmp_path: Path, normalize: bool) -> None:
    model = small_mae(depth=2, normalize_targets=normalize)
    save_pretrained(model, tmp_path)
    seeds = torch.Generator().manual_seed(1)
    image, audio = (
        torch.rand(2, 3, 8, 12, generator=seeds),
        torch.rand(2, 1, 8, 12, generator=seeds),
    )
    masks = [RandomMask(0.5)((2, 3), batch=2, generator=seeds) for _ in range(2)]
    losses = [
        mae(image=image, audio=audio, image_mask=masks[0], audio_mask=masks[1]).loss
        for mae in (model, mae_from_pretrained(tmp_path))
    ]
    assert torch.equal(*losses)
    assert same(outputs(from_pretrained(tmp_path)), outputs(model.encoder))
    save_pretrained(model.encoder, tmp_path)
    with pytest.raises(ValueError, match=r"without decoders: use from_pretrained"):
        mae_from_pretrained(tmp_path)


class Other(AVEncoder):
    pass


class OwnFusion(nn.Module):
    def forward(self, fusion: Tensor, *, image: Tensor, audio: Tensor) -> Tensor:
        return fusion


def composed(kind: type[AVEncoder] = AVEncoder, **changes: object) -> AVEncoder:
    """What av_vit builds, part by part."""
    torch.manual_seed(0)
    parts = {
        "image": vit(8, depth=2, num_heads=2, size=(8, 12), patch=4),
        "audio": vit(8, depth=2, num_heads=2, size=(8, 12), patch=4, channels=1),
        "fusion": [fusion_block(8, num_heads=2, num_tokens=(2, 1, 1)) for _ in range(2)],
        "num_tokens": 4,
    }
    return kind(**(parts | changes))


def stream(**changes: object) -> nn.Module:
    return vit(8, **({"depth": 2, "num_heads": 2, "size": (8, 12), "patch": 4} | changes))


def set_to(name: str, value: object) -> AVEncoder:
    encoder = composed()
    path, _, attribute = name.rpartition(".")
    setattr(encoder.get_submodule(path), attribute, value)
    return encoder


def blocks(changed: nn.Module) -> list[nn.Module]:
    return [fusion_block(8, num_heads=2, num_tokens=(2, 1, 1)), changed]


def tied(name: str) -> AVEncoder:
    encoder = composed()
    path, _, last = name.rpartition(".")
    shared = getattr(encoder.image.get_submodule(path), last)
    setattr(encoder.audio.get_submodule(path), last, shared)
    return encoder


COMPOSED: dict[str, Callable[[], AVEncoder]] = {
    "norm_eps of a ViT": lambda: composed(image=stream(norm_eps=1e-5)),
    "norm_eps of the fusion tokens": lambda: composed(norm_eps=1e-6),
    "norm_eps of a fusion block": lambda: composed(
        fusion=blocks(FusionBlock(8, interaction=TokenFusion(8, num_heads=2), norm_eps=1e-6))
    ),
    "learned positions": lambda: composed(image=stream(learned_position=True)),
    "mlp_ratio of a ViT": lambda: composed(image=stream(mlp_ratio=2.0)),
    "heads of one ViT": lambda: composed(audio=stream(num_heads=4, channels=1)),
    "channels": lambda: composed(image=stream(channels=4)),
    "patch of one ViT": lambda: composed(audio=stream(patch=2, channels=1)),
    "video": lambda: composed(image=stream(size=(2, 8, 8), patch=(1, 4, 4))),
    "no bias": lambda: set_to("image.blocks.1", Block(8, num_heads=2, qkv_bias=False)),
    "another class": lambda: set_to("image.norm", nn.RMSNorm(8)),
    "heads of one block": lambda: set_to("audio.blocks.1.attn.num_heads", 4),
    "heads of a fusion": lambda: set_to("fusion_blocks.1.interaction.pairs.num_heads", 4),
    "heads of an aggregator": lambda: set_to(
        "fusion_blocks.0.interaction.image_aggregator.attn.num_heads", 4
    ),
    "scale of the logits": lambda: set_to("fusion_blocks.0.interaction.pairs.scale", 1.0),
    "drop path of one block": lambda: set_to("image.blocks.1.drop_path.rate", 0.5),
    "no affine norm": lambda: set_to("image.norm", nn.LayerNorm(8, 1e-6, elementwise_affine=False)),
    "fusions of two kinds": lambda: composed(
        fusion=blocks(fusion_block(8, fusion="dense", num_heads=2, num_tokens=(2, 1, 1)))
    ),
    "split of the tokens": lambda: composed(
        fusion=blocks(fusion_block(8, num_heads=2, num_tokens=(1, 2, 1)))
    ),
    "a fusion of one's own": lambda: composed(
        fusion=[None, FusionBlock(8, interaction=OwnFusion())]
    ),
    "tied weights": lambda: tied("norm.weight"),
    "tied blocks": lambda: tied("blocks"),
    "a subclass": lambda: composed(Other),
    "a part more": lambda: set_to("extra", nn.Linear(2, 2)),
    "a number more": lambda: set_to("image.temperature", 2.0),
}


def test_the_parts_of_av_vit_pass(tmp_path: Path) -> None:
    encoder = composed()
    save_pretrained(encoder, tmp_path)
    assert same(outputs(from_pretrained(tmp_path)), outputs(encoder))


@pytest.mark.parametrize("what", COMPOSED)
def test_what_av_vit_does_not_build_is_refused(tmp_path: Path, what: str) -> None:
    encoder = COMPOSED[what]()
    with pytest.raises(ValueError, match=r"build no such model: .*; save one that you composed"):
        save_pretrained(encoder, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_the_remedy_works(tmp_path: Path) -> None:
    encoder = COMPOSED["learned positions"]()
    save_file(encoder.state_dict(), tmp_path / "own.safetensors")
    again = COMPOSED["learned positions"]()
    nn.init.zeros_(again.fusion_tokens)
    assert not load_encoder(again, read_state(tmp_path / "own.safetensors")).missing
    assert same(outputs(again), outputs(encoder))


def test_values_that_are_not_kept_are_refused(tmp_path: Path) -> None:
    encoder = small().bfloat16().float()
    with pytest.raises(ValueError, match=r"image.pos_embed.table is not saved.*reset_parameters"):
        save_pretrained(encoder, tmp_path)
    for module in encoder.modules():
        if isinstance(module, SinCosPosition):
            module.reset_parameters()
    save_pretrained(encoder, tmp_path)
    assert same(outputs(from_pretrained(tmp_path)), outputs(encoder))
    encoder.image.blocks.half()
    with pytest.raises(ValueError, match=r"one number format .*float16.*float32"):
        save_pretrained(encoder, tmp_path)
    with pytest.raises(ValueError, match="on the meta device"):
        save_pretrained(small().to("meta"), tmp_path)


def test_weights_are_saved_however_they_lie_in_memory(tmp_path: Path) -> None:
    encoder = small()
    flat = nn.utils.parameters_to_vector(encoder.parameters()).detach()
    nn.utils.vector_to_parameters(flat, encoder.parameters())
    assert encoder.fusion_tokens.untyped_storage().nbytes() == flat.nbytes
    kernel = encoder.image.patch_embed.proj.to(memory_format=torch.channels_last).weight
    assert not kernel.is_contiguous()
    save_pretrained(encoder, tmp_path)
    assert same(outputs(from_pretrained(tmp_path)), outputs(encoder))


def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    encoder = small()
    with torch.device("meta"):
        encoder.image.pos_embed = SinCosPosition(8, grid=(512, 512))
    with pytest.raises(ValueError, match=r"av_vit\.image_size .* more than 65536 patches"):
        save_pretrained(encoder, tmp_path)


def test_a_later_save_replaces_an_earlier_one(tmp_path: Path) -> None:
    save_pretrained(small_mae(), tmp_path)
    (tmp_path / "README.md").write_text("mine")
    encoder = small(depth=1, fusion="token")
    save_pretrained(encoder, tmp_path)
    assert same(outputs(from_pretrained(tmp_path)), outputs(encoder))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(NotADirectoryError, match=r"file: a file, not a folder"):
        save_pretrained(small(), tmp_path / "file")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(FileExistsError, match=r"holds a config.json of something else"):
        save_pretrained(small(), tmp_path)
    for text in ('{"recipe": "paper_pretrain"}', "[1]", '"text"'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(FileExistsError, match=r"holds a config.json of something else"):
            save_pretrained(small(), tmp_path)
        assert (tmp_path / "config.json").read_text() == text
        with pytest.raises(
            ValueError, match=r"config.json is not of save_pretrained; .*recipes.ex"
        ):
            from_pretrained(tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
    with pytest.raises(NotADirectoryError, match=r"file: a file; give the folder"):
        from_pretrained(tmp_path / "file")
    with pytest.raises(FileNotFoundError, match=r"no such folder; .*HubEncoder.from_pretrained"):
        from_pretrained("someone/something")


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = small()
    save_pretrained(encoder, tmp_path)

    def full(*args: object, **kwargs: object) -> None:
        Path(str(args[1])).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "save_file", full)
    with pytest.raises(OSError, match=r"cannot be written: .*No space left"):
        save_pretrained(small(depth=1), tmp_path)
    assert same(outputs(from_pretrained(tmp_path)), outputs(encoder))
    assert len(list(tmp_path.iterdir())) == 2


class Killed(BaseException):
    pass


@contextmanager
def left_behind(*, prefix: str, dir: Path) -> Iterator[str]:
    """A temporary folder that nobody tidies up."""
    yield mkdtemp(prefix=prefix, dir=dir)


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_a_kill_leaves_old_new_or_what_is_refused(tmp_path: Path, renamed: int) -> None:
    save_pretrained(small(), tmp_path)
    whole, left = Path.replace, [renamed]

    def replace(path: Path, target: Path) -> Path:
        if not left[0]:
            raise Killed
        left[0] -= 1
        return whole(path, target)

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        patch.setattr(Path, "replace", replace)
        patch.setattr(folders, "TemporaryDirectory", left_behind)
        patch.setattr(os, "getpid", lambda: 2**22 + 1)  # of a process that is no more
        save_pretrained(small(depth=1), tmp_path)
    half = list(tmp_path.glob(".saving-*"))
    assert [len(list(folder.iterdir())) for folder in half] == [2 - renamed]
    if renamed == 1:
        for load in (from_pretrained, read_state):
            with pytest.raises(
                ValueError, match=r"model.safetensors: other weights than .* again$"
            ):
                load(tmp_path)
    else:
        assert from_pretrained(tmp_path).depth == (1 if renamed == 2 else 2)
    save_pretrained(small(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 and from_pretrained(tmp_path).depth == 2


def test_others_may_read_what_others_may_read(tmp_path: Path) -> None:
    save_pretrained(small(), tmp_path)
    (tmp_path / "a file").touch()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_several_may_save_at_once(tmp_path: Path) -> None:
    """The half of a process at work is left alone, that of a dead one goes."""
    for pid in (os.getpid(), 2**22 + 1):
        (tmp_path / f".saving-{pid}-x").mkdir()
    save_pretrained(small(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "model.safetensors",
        f".saving-{os.getpid()}-x",
    }


def test_weights_of_somebody_else_stay(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(FileExistsError, match=r"holds a model\.safetensors of something else"):
        save_pretrained(small(), tmp_path)


@pytest.mark.parametrize("now", ['"num_heads": 1', '"num_heads": 2, "num_heads": 1'])
def test_numbers_changed_by_hand_are_refused(tmp_path: Path, now: str) -> None:
    save_pretrained(small(), tmp_path)
    config = tmp_path / "config.json"
    assert '"num_heads": 2' in config.read_text()
    config.write_text(config.read_text().replace('"num_heads": 2', now))
    with pytest.raises(ValueError, match=r"other numbers than were saved: damaged, or changed"):
        from_pretrained(tmp_path)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_pretrained(small_mae(), tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def nothing_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("memory was asked for")

    monkeypatch.setattr(nn.Module, "to_empty", refuse)


def refused(folder: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as info:
        from_pretrained(folder)
    assert str(folder) in str(info.value)
    assert "\n" not in str(info.value) and len(str(info.value)) < 500


def test_damage_is_named(saved: Path, nothing_allocated: None) -> None:
    weights, config = saved / "model.safetensors", saved / "config.json"
    whole, text = weights.read_bytes(), config.read_text()
    for content in (
        whole[:-8],
        whole[:-1] + bytes([whole[-1] ^ 1]),
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
        b"",
    ):
        weights.write_bytes(content)
        refused(saved, r"model.safetensors: other weights than config.json tells of")
    weights.unlink()
    refused(saved, r"half of what save_pretrained writes, without model.safetensors; save or")
    weights.write_bytes(whole)
    config.unlink()
    refused(saved, r"no config.json is in it, as save_pretrained writes it; save or")
    for content in ("", "{", text[:-9], "[" * 5000, "\x00"):
        config.write_text(content)
        refused(saved, r"config.json is no JSON")
    config.write_text(text + " " * 70000)
    refused(saved, r"config.json is not of save_pretrained")
    config.write_text(text.replace('"format_version": 1', '"format_version": 2'))
    refused(saved, r"of format 2, by avblocks .*this version reads format 1: install")


def rewrite(folder: Path, state: dict[str, Tensor] | None = None, **sections: object) -> None:
    """Write other contents, with checksums that fit."""
    old = json.loads((folder / "config.json").read_text())
    sections = {n: old[n] for n in ("av_vit", "av_mae")} | sections
    state = load_file(folder / "model.safetensors") if state is None else state
    folders.write(folder, state=state, sections=sections)


HUGE = 2**20
WRONG: list[tuple[str, str, object, str]] = [
    ("av_vit", "dim", "8", r"av_vit.dim must be an integer from 1 to 1048576, got '8'"),
    ("av_vit", "dim", 8.0, r"av_vit.dim must be"),
    ("av_vit", "dim", True, r"av_vit.dim must be"),
    ("av_vit", "dim", 10**30, r"av_vit.dim must be"),
    ("av_vit", "dim", 16, r"model.safetensors: \S+ is \(.*by the numbers of config.json"),
    ("av_vit", "dim", HUGE, r"model.safetensors: \S+ is \(.*by the numbers of config.json"),
    ("av_vit", "depth", 2, r"av_vit.depth must be two integers"),
    ("av_vit", "depth", [2, 2, 2], r"av_vit.depth must be two integers"),
    ("av_vit", "depth", [3, 2], r"is missing, and \(.*by the numbers"),
    ("av_vit", "depth", [2, 1], r"layer indices|is \(.*, and unknown by the numbers"),
    ("av_vit", "depth", [HUGE, HUGE], r"fewer tensors than config.json tells of blocks"),
    ("av_vit", "num_heads", 3, r"no such model: num_heads"),
    ("av_vit", "image_size", [HUGE, HUGE], r"image_size .* more than 65536 patches"),
    ("av_vit", "image_size", [9, 9], r"no such model: size"),
    ("av_vit", "image_size", [8, None], r"av_vit.image_size must be two"),
    ("av_vit", "patch", HUGE, r"no such model"),
    ("av_vit", "fusion", "sum", r"av_vit.fusion must be one of"),
    ("av_vit", "fusion", ["dense"], r"av_vit.fusion must be one of"),
    ("av_vit", "fusion", "dense", r"by the numbers"),
    ("av_vit", "fusion_layers", "all", r"fusion_layers must be layer indices"),
    ("av_vit", "fusion_layers", [7], r"no such model: fusion_layers"),
    ("av_vit", "fusion_layers", [False], r"fusion_layers must be layer indices"),
    ("av_vit", "num_tokens", [HUGE, HUGE, HUGE], r"fusion_tokens is .* by the numbers"),
    ("av_vit", "num_tokens", [4, 0, 0], r"av_vit.num_tokens must be three"),
    ("av_vit", "attn_ratio", 1e300, r"attn_ratio must be a number above 0, at most 1024"),
    ("av_vit", "attn_ratio", float("nan"), r"attn_ratio must be a number"),
    ("av_vit", "mlp_ratio", 1024, r"by the numbers"),
    ("av_vit", "drop_path", 1, r"drop_path must be a number in"),
    ("av_vit", "colour", 1, r"av_vit has an unknown 'colour'; .*another version"),
    ("av_mae", "dim", HUGE, r"by the numbers"),
    ("av_mae", "depth", HUGE, r"fewer tensors than"),
    ("av_mae", "normalize_targets", 1, r"normalize_targets must be true or false"),
]


@pytest.mark.parametrize(("builder", "name", "value", "message"), WRONG, ids=str)
def test_numbers_that_do_not_fit_are_refused(
    saved: Path, nothing_allocated: None, builder: str, name: str, value: object, message: str
) -> None:
    section = json.loads((saved / "config.json").read_text())[builder] | {name: value}
    rewrite(saved, **{builder: section})
    with pytest.raises(ValueError, match=message):
        mae_from_pretrained(saved)
    if builder == "av_vit":
        refused(saved, message)


def test_sections_that_do_not_fit_are_refused(saved: Path, nothing_allocated: None) -> None:
    config = json.loads((saved / "config.json").read_text())
    for name in config["av_vit"]:
        rewrite(saved, av_vit={n: v for n, v in config["av_vit"].items() if n != name})
        refused(saved, f"av_vit lacks '{name}'; it was changed by hand")
    rewrite(saved, av_vit=[1])
    refused(saved, r"av_vit must hold numbers by name, got \[1\]")
    rewrite(saved, av_vit=config["av_vit"], heads={})
    refused(saved, "unknown 'heads'")
    del config["av_vit"], config["av_mae"]
    config["numbers_sha256"] = folders._digest({})
    (saved / "config.json").write_text(json.dumps(config))
    refused(saved, "it lacks 'av_vit'")


def test_weights_that_do_not_fit_are_refused(saved: Path, nothing_allocated: None) -> None:
    state = load_file(saved / "model.safetensors")
    for change, message in (
        ({"encoder.more": torch.zeros(2)}, r"more is \(2,\), and unknown by the numbers"),
        ({"encoder.fusion_tokens": torch.zeros(2)}, r"fusion_tokens is \(2,\), and \(1, 4, 8\) by"),
        (
            {"encoder.fusion_tokens": torch.zeros(1, 4, 8).half()},
            r"number formats \['F16', 'F32'\]",
        ),
    ):
        rewrite(saved, state | change)
        refused(saved, message)
    rewrite(saved, {n: v for n, v in state.items() if n != "encoder.fusion_tokens"})
    refused(saved, r"fusion_tokens is missing, and \(1, 4, 8\) by")
    rewrite(saved, {name: value.int() for name, value in state.items()})
    refused(saved, r"number formats \['I32'\]")
    rewrite(saved, {"encoder." + 50 * "x": torch.zeros(1)})
    refused(saved, r"model.safetensors: ")


@pytest.mark.parametrize("fusion", ["token", "dense", "factorized"])
@pytest.mark.parametrize("depth", [2, (1, 3)])
@pytest.mark.parametrize("whole", [True, False])
def test_folders_are_read_as_checkpoints(
    tmp_path: Path, fusion: str, depth: object, whole: bool
) -> None:
    theirs = small(fusion=fusion, depth=depth)
    save_pretrained(av_mae(theirs, dim=8, depth=1, num_heads=2) if whole else theirs, tmp_path)
    for path in (tmp_path, tmp_path / "model.safetensors"):
        ours = small(fusion=fusion, depth=depth)
        for parameter in ours.parameters():
            nn.init.constant_(parameter, 7.0)
        report = load_encoder(ours, read_state(path))
        assert not report.missing and not report.unused and bool(report.dropped) == whole
        assert same(outputs(ours), outputs(theirs))


def test_folders_of_others_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architecture": "vit_tiny"}')
    with pytest.raises(IsADirectoryError, match=r"not a checkpoint file, and without model.safe"):
        read_state(tmp_path)
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    assert read_state(tmp_path).keys() == {"a"}
    (tmp_path / "config.json").unlink()
    assert read_state(tmp_path).keys() == {"a"}
