"""Models out to folders and in again: equal bit for bit, or refused by name."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import avblocks.checkpoint.folder as folders
from avblocks import (
    AVMAE,
    AVEncoder,
    Block,
    FusionBlock,
    RandomMask,
    TokenFusion,
    av_mae,
    av_vit,
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
from avblocks.data import ClipFormat, FrontEnd
from avblocks.files import temporary
from avblocks.heads import Localizer, classifier, segmenter, separator
from avblocks.jsonfile import digest
from avblocks.nn.position import SinCosPosition
from avblocks.zoo import load

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
        again = from_pretrained(folder).encoder
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


def test_loaded_is_whole_and_ready(tmp_path: Path) -> None:
    encoder = small().requires_grad_(False)
    encoder.checkpointing = True
    save_pretrained(encoder, tmp_path)
    again = from_pretrained(str(tmp_path)).encoder
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
    assert (config["format"], config["format_version"]) == ("avblocks", 2)
    assert config["encoder"]["builder"] == "av_vit" and "mae" not in config
    assert config["encoder"]["arguments"]["image_size"] == [8, 12]
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
    assert same(outputs(from_pretrained(tmp_path).encoder), outputs(model.encoder))
    save_pretrained(model.encoder, tmp_path)
    with pytest.raises(ValueError, match=r"without decoders: use from_pretrained"):
        mae_from_pretrained(tmp_path)


class Other(AVEncoder):
    pass


class OwnFusion(nn.Module):
    def forward(self, fusion: Tensor, *, image: Tensor, audio: Tensor) -> Tensor:
        return fusion


def composed(kind: type[AVEncoder] = AVEncoder, **changes: object) -> AVEncoder:
    """What av_vit builds, part by part, under the record of its call."""
    torch.manual_seed(0)
    parts = {
        "image": vit(8, depth=2, num_heads=2, size=(8, 12), patch=4),
        "audio": vit(8, depth=2, num_heads=2, size=(8, 12), patch=4, channels=1),
        "fusion": [fusion_block(8, num_heads=2, num_tokens=(2, 1, 1)) for _ in range(2)],
        "num_tokens": 4,
    }
    encoder = kind(**(parts | changes))
    encoder.built = small().built
    return encoder


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
    assert same(outputs(from_pretrained(tmp_path).encoder), outputs(encoder))
    del encoder.built
    with pytest.raises(
        ValueError, match=r"no such model: encoder must be arguments of .*'AVEncoder'"
    ):
        save_pretrained(encoder, tmp_path)


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
    with pytest.raises(
        ValueError, match=r"image.pos_embed.table has other values.*reset_parameters"
    ):
        save_pretrained(encoder, tmp_path)
    for module in encoder.modules():
        if isinstance(module, SinCosPosition):
            module.reset_parameters()
    save_pretrained(encoder, tmp_path)
    assert same(outputs(from_pretrained(tmp_path).encoder), outputs(encoder))
    encoder.image.blocks.half()
    with pytest.raises(
        ValueError, match=r"image.blocks.0.\S+ is \(.*float16\), theirs \(.*float32\)"
    ):
        save_pretrained(encoder, tmp_path)
    with pytest.raises(ValueError, match=r"build no such model: .*no data"):
        save_pretrained(small().to("meta"), tmp_path)


def test_weights_are_saved_however_they_lie_in_memory(tmp_path: Path) -> None:
    encoder = small()
    flat = nn.utils.parameters_to_vector(encoder.parameters()).detach()
    nn.utils.vector_to_parameters(flat, encoder.parameters())
    assert encoder.fusion_tokens.untyped_storage().nbytes() == flat.nbytes
    kernel = encoder.image.patch_embed.proj.to(memory_format=torch.channels_last).weight
    assert not kernel.is_contiguous()
    save_pretrained(encoder, tmp_path)
    assert same(outputs(from_pretrained(tmp_path).encoder), outputs(encoder))


def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"image\.pos_embed must be a grid of at most 65536 patches"
    ):
        save_pretrained(small(image_size=2048), tmp_path)
    with torch.device("meta"):
        deep = small(depth=130)
    with pytest.raises(ValueError, match=r"av_vit\.depth must be .* from 0 to 128, got 130"):
        save_pretrained(deep, tmp_path)
    with pytest.raises(ValueError, match=r"config.json would have .* bytes"):
        save_pretrained(small(), tmp_path, task={"classes": ["x" * 100] * 2**14})
    assert not list(tmp_path.iterdir())


def test_a_later_save_replaces_an_earlier_one(tmp_path: Path) -> None:
    save_pretrained(small_mae(), tmp_path)
    (tmp_path / "README.md").write_text("mine")
    encoder = small(depth=1, fusion="token")
    save_pretrained(encoder, tmp_path)
    assert same(outputs(from_pretrained(tmp_path).encoder), outputs(encoder))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(OSError, match=r"file cannot be written"):
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
            ValueError, match=r"config.json is missing, .*: save or .*recipes.export"
        ):
            from_pretrained(tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
    with pytest.raises(ValueError, match=r"file is a file: give a folder"):
        from_pretrained(tmp_path / "file")
    with pytest.raises(ValueError, match=r"is missing, .*HubEncoder.from_pretrained"):
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
    assert same(outputs(from_pretrained(tmp_path).encoder), outputs(encoder))
    assert len(list(tmp_path.iterdir())) == 2


class Killed(BaseException):
    pass


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
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # nobody tidies up
        patch.setattr(os, "getpid", lambda: 2**22 + 1)  # of a process that is no more
        save_pretrained(small(depth=1), tmp_path)
    assert len(list(tmp_path.glob(f".*.{2**22 + 1}-*.tmp"))) == 2 - renamed
    if renamed == 1:
        for load in (from_pretrained, read_state):
            with pytest.raises(ValueError, match=r"model.safetensors is .*of another save: "):
                load(tmp_path)
    else:
        assert from_pretrained(tmp_path).encoder.depth == (1 if renamed == 2 else 2)
    save_pretrained(small(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 and from_pretrained(tmp_path).encoder.depth == 2


def test_others_may_read_what_others_may_read(tmp_path: Path) -> None:
    save_pretrained(small(), tmp_path)
    (tmp_path / "a file").touch()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_several_may_save_at_once(tmp_path: Path) -> None:
    """The half of a process at work is left alone, that of a dead one goes."""
    for pid in (os.getppid(), 2**22 + 1):
        temporary(tmp_path / "model.safetensors", pid).touch()
    save_pretrained(small(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "model.safetensors",
        temporary(tmp_path / "model.safetensors", os.getppid()).name,
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
    with pytest.raises(ValueError, match=r"config.json is .*changed by hand"):
        from_pretrained(tmp_path)


@pytest.mark.parametrize("value", [None, True, 1, 2.5, [1], "x"])
@pytest.mark.parametrize("name", ["format", "format_version", "numbers_sha256", "weights"])
def test_what_a_configuration_is_of_cannot_change(tmp_path: Path, name: str, value: object) -> None:
    save_pretrained(small(), tmp_path)
    config = tmp_path / "config.json"
    facts = json.loads(config.read_text())
    for changed in (facts | {name: value}, {n: x for n, x in facts.items() if n != name}):
        config.write_text(json.dumps(changed))
        for read in (from_pretrained, load):
            with pytest.raises(ValueError, match=r"config.json|model.safetensors is missing, d"):
                read(tmp_path)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_pretrained(small_mae(), tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def nothing_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("memory was asked for")

    monkeypatch.setattr(nn.Module, "to_empty", refuse)


def assert_refused(folder: Path, message: str) -> None:
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
        assert_refused(saved, r"model.safetensors is missing, damaged, .*: save or")
    weights.unlink()
    assert_refused(saved, r"model.safetensors is missing, damaged, .*: save or")
    weights.write_bytes(whole)
    config.unlink()
    assert_refused(saved, r"config.json is missing, .*: save or")
    for content in ("", "{", text[:-9], "[" * 5000, "\x00"):
        config.write_text(content)
        assert_refused(saved, r"config.json is missing, damaged, ")
    config.write_text(text + " " * 2**20)
    assert_refused(saved, r"config.json is missing, damaged, ")
    config.write_text(text.replace('"format_version": 2', '"format_version": 3'))
    assert_refused(saved, r"config.json is of a later format: install a later")


def rewrite(folder: Path, state: dict[str, Tensor] | None = None, **sections: object) -> None:
    """Write other contents, with checksums that fit."""
    old = json.loads((folder / "config.json").read_text())
    sections = {n: old[n] for n in ("encoder", "mae")} | sections
    state = load_file(folder / "model.safetensors") if state is None else state
    folders.write(folder, state=state, config=sections)


HUGE = 2**20
CLIPS = ClipFormat(seconds=1.0, size=8, mels=8).to_dict()
WRONG: list[tuple[str, str, object, str]] = [
    ("av_vit", "dim", "8", r"no such model: dim must be a positive integer, got '8'"),
    ("av_vit", "dim", 8.0, r"no such model: dim must be"),
    ("av_vit", "dim", True, r"no such model: "),
    ("av_vit", "dim", 10**30, r"av_vit.dim must be numbers from 0 to 1048576"),
    ("av_vit", "dim", 16, r"size mismatch for encoder.fusion_tokens"),
    ("av_vit", "dim", HUGE, r"size mismatch for encoder.fusion_tokens"),
    ("av_vit", "depth", "2", r"no such model: depth must be a positive integer or 2 of them"),
    ("av_vit", "depth", [2, 2, 2], r"no such model: depth must be a positive integer or 2"),
    ("av_vit", "depth", [3, 2], r'Missing key.* "encoder.image.blocks.2'),
    ("av_vit", "depth", [2, 1], r'Unexpected key.* "encoder.audio.blocks.1'),
    ("av_vit", "depth", HUGE, r"av_vit.depth must be numbers from 0 to 128"),
    ("av_vit", "depth", [HUGE, HUGE], r"av_vit.depth must be numbers from 0 to 128"),
    ("av_vit", "num_heads", 3, r"no such model: num_heads"),
    (
        "av_vit",
        "image_size",
        [HUGE, HUGE],
        r"image.pos_embed must be a grid of at most 65536 patches",
    ),
    ("av_vit", "image_size", [9, 9], r"no such model: size"),
    ("av_vit", "image_size", [8, None], r"no such model: image_size must be"),
    ("av_vit", "patch", HUGE, r"no such model"),
    ("av_vit", "patch", 0, r"no such model: patch must be a positive integer"),
    ("av_vit", "fusion", "sum", r"no such model: fusion must be one of"),
    ("av_vit", "fusion", ["dense"], r"no such model: fusion must be one of"),
    ("av_vit", "fusion", "dense", r'Missing key.* "encoder.fusion_blocks'),
    ("av_vit", "fusion_layers", "some", r"fusion_layers must be 'all', 'none' or layer indices"),
    ("av_vit", "fusion_layers", [7], r"no such model: fusion_layers"),
    ("av_vit", "fusion_layers", [False], r'Unexpected key.* "encoder.fusion_blocks'),
    ("av_vit", "fusion_layers", [0] * 1000, r"fusion_layers must be numbers"),
    ("av_vit", "num_tokens", [HUGE, HUGE, HUGE], r"size mismatch for encoder.fusion_tokens"),
    ("av_vit", "num_tokens", [4, 0, 0], r"no such model: num_tokens must be"),
    ("av_vit", "num_tokens", 4, r"no such model: "),
    ("av_vit", "attn_ratio", 1e300, r"attn_ratio must be numbers from 0 to 1048576"),
    ("av_vit", "attn_ratio", float("nan"), r"attn_ratio must be numbers"),
    ("av_vit", "attn_ratio", "1", r"no such model: "),
    ("av_vit", "mlp_ratio", 1024, r"size mismatch for encoder.fusion_blocks"),
    ("av_vit", "drop_path", 1, r"no such model: .* in \[0, 1\)"),
    ("av_vit", "drop_path", -0.1, r"drop_path must be numbers"),
    ("av_vit", "colour", 1, r"no such model: .*unexpected keyword argument 'colour'"),
    ("av_vit", "colour", {}, r"no such model: .*unexpected keyword argument 'colour'"),
    ("av_mae", "dim", HUGE, r"size mismatch for image_decoder"),
    ("av_mae", "depth", HUGE, r"av_mae.depth must be numbers"),
    ("av_mae", "normalize_targets", 1, r"normalize_targets must be true or false"),
]


@pytest.mark.parametrize(("builder", "name", "value", "message"), WRONG, ids=str)
def test_numbers_that_do_not_fit_are_refused(
    saved: Path,
    nothing_allocated: None,
    unchecked: None,
    builder: str,
    name: str,
    value: object,
    message: str,
) -> None:
    part = {"av_vit": "encoder", "av_mae": "mae"}[builder]
    arguments = json.loads((saved / "config.json").read_text())[part]["arguments"]
    section = {"builder": builder, "arguments": arguments | {name: value}}
    rewrite(saved, **{part: section})
    with pytest.raises(ValueError, match=message):
        mae_from_pretrained(saved)
    if builder == "av_vit":
        assert_refused(saved, message)


def test_sections_that_do_not_fit_are_refused(
    saved: Path, nothing_allocated: None, unchecked: None
) -> None:
    config = json.loads((saved / "config.json").read_text())
    encoder = config["encoder"]
    for name in ("dim", "depth", "num_heads"):
        arguments = {n: v for n, v in encoder["arguments"].items() if n != name}
        rewrite(saved, encoder=encoder | {"arguments": arguments})
        assert_refused(saved, f"no such model: .*missing 1 required .*argument: '{name}'")
    for wrong, message in (
        (
            {"encoder": [1]},
            r"it must be an encoder with mae or head, each of named values, got {'encoder': \[1\]",
        ),
        (
            {"encoder": encoder | {"builder": "eval"}},
            r"encoder must be arguments of \('av_vit'.*, got {.*eval",
        ),
        (
            {"encoder": encoder | {"arguments": [1]}},
            r"encoder must be arguments of \('av_vit'.*, got .*\[1\]",
        ),
        ({"head": encoder}, r"it must be an encoder with mae or head, "),
        ({"heads": {}}, r"it must be an encoder with mae or head, "),
        ({"task": [1]}, r"it must be .* each of named values"),
        ({"clip_format": {"size": 8}}, r"format must be the numbers"),
        ({"clip_format": 3}, r"it must be .* each of named values"),
        ({"clip_format": CLIPS | {"mels": HUGE}}, r"mels must be fewer at a rate of"),
        ({"clip_format": CLIPS | {"rate": 10**30}}, r"mels must be fewer at a rate of"),
        ({"clip_format": CLIPS | {"size": "8"}}, r"size must be an integer of at least 2"),
    ):
        rewrite(saved, **({"encoder": encoder} | wrong))
        assert_refused(saved, message)
    del config["encoder"], config["mae"]
    config["numbers_sha256"] = digest({})
    (saved / "config.json").write_text(json.dumps(config))
    assert_refused(saved, "it must be an encoder with mae or head")


def test_weights_that_do_not_fit_are_refused(saved: Path, nothing_allocated: None) -> None:
    state = load_file(saved / "model.safetensors")
    for change, message in (
        ({"encoder.more": torch.zeros(2)}, r'Unexpected key.* "encoder.more"'),
        (
            {"encoder.fusion_tokens": torch.zeros(2)},
            r"size mismatch for encoder.fusion_tokens: .*\[2\].*\[1, 4, 8\]",
        ),
        (
            {"encoder.fusion_tokens": torch.zeros(1, 4, 8).half()},
            r"weights must be of one number format, got {.*float",
        ),
    ):
        rewrite(saved, state | change)
        assert_refused(saved, message)
    rewrite(saved, {n: v for n, v in state.items() if n != "encoder.fusion_tokens"})
    assert_refused(saved, r'Missing key.* "encoder.fusion_tokens"')
    rewrite(saved, {name: value.int() for name, value in state.items()})
    assert_refused(saved, r"floating point")
    rewrite(saved, {"encoder." + 50 * "x": torch.zeros(1)})
    assert_refused(saved, r"Missing key")


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
    with pytest.raises(ValueError, match=r"model.safetensors is missing, "):
        read_state(tmp_path)
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    assert read_state(tmp_path).keys() == {"a"}
    (tmp_path / "config.json").unlink()
    assert read_state(tmp_path).keys() == {"a"}


HEADS: dict[str, Callable[[], nn.Module]] = {
    "classifier": lambda: classifier(8, num_classes=3),
    "attentive classifier": lambda: classifier(8, num_classes=3, pooling="attentive", num_heads=2),
    "localizer": lambda: Localizer(8, dim_out=5, batch_norm=True),
    "segmenter": lambda: segmenter(8, num_classes=2, patch=4, num_layers=2, min_width=4, hidden=4),
    "separator": lambda: separator(8, patch=4, num_layers=2, depths=[1, 0, 1]),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_head_a_front_end_and_a_task(tmp_path: Path, name: str, kind: torch.dtype) -> None:
    encoder, head = small().to(kind), HEADS[name]().to(kind)
    for value in head.state_dict().values():  # the running statistics too
        value.copy_(torch.rand(value.shape) + 0.5) if value.is_floating_point() else value.fill_(7)
    front_end = FrontEnd(ClipFormat(seconds=1.0, size=16, mels=16))
    task = {"name": "any", "classes": ["a", "b"], "weight": 0.5}
    save_pretrained(encoder, tmp_path, front_end=front_end, head=head, task=task)
    again = from_pretrained(tmp_path)
    assert same(outputs(again.encoder), outputs(encoder.eval()))
    assert again.head is not None and again.head.built == head.built and not again.head.training
    ours, theirs = again.head.state_dict(), head.state_dict()
    assert all(torch.equal(ours[n], theirs[n]) and ours[n].dtype == theirs[n].dtype for n in theirs)
    assert again.front_end is not None and again.front_end.format == front_end.format
    assert again.task == task
    names = load_file(tmp_path / "model.safetensors")
    assert {n.split(".")[0] for n in names} == {"encoder", "head"}
    assert not load_encoder(small(), read_state(tmp_path)).missing


def test_an_encoder_alone_has_no_more(tmp_path: Path) -> None:
    save_pretrained(small(), tmp_path)
    again = from_pretrained(tmp_path)
    assert (again.head, again.front_end, again.task) == (None, None, {})


def test_parts_of_ones_own_are_refused(tmp_path: Path) -> None:
    front_end = FrontEnd()
    front_end.normalize.mean.mul_(2)
    with pytest.raises(ValueError, match=r"no such model: normalize\.mean has other values"):
        save_pretrained(small(), tmp_path, front_end=front_end)
    front_end.normalize = nn.Identity()
    with pytest.raises(ValueError, match=r"no such model: normalize is <class 'torch"):
        save_pretrained(small(), tmp_path, front_end=front_end)
    head = classifier(8, num_classes=3)
    head.fusion.linear = nn.Linear(8, 3, bias=False)
    with pytest.raises(ValueError, match=r"no such model: the shape of head.fusion.linear.bias is"):
        save_pretrained(small(), tmp_path, head=head)
    with pytest.raises(ValueError, match=r"head must be arguments of \('classifier', .*'Linear'"):
        save_pretrained(small(), tmp_path, head=nn.Linear(8, 3))
    with pytest.raises(ValueError, match=r"it must be an encoder with mae or head"):
        save_pretrained(small_mae(), tmp_path, head=classifier(8, num_classes=3))
    with pytest.raises(TypeError, match=r"PosixPath is not JSON serializable"):
        save_pretrained(small(), tmp_path, task={"path": Path("x")})
    assert not list(tmp_path.iterdir())


def test_folders_of_format_1_are_loaded(tmp_path: Path) -> None:
    """What the version before wrote: sections by builder, nothing but the model."""
    numbers = {
        "av_vit": {
            "dim": 8,
            "depth": [2, 2],
            "num_heads": 2,
            "image_size": [8, 12],
            "audio_size": [8, 12],
            "patch": 4,
            "fusion_layers": [0, 1],
            "drop_path": 0.0,
            "fusion": "factorized",
            "num_tokens": [2, 1, 1],
            "attn_ratio": 0.25,
            "mlp_ratio": 1.0,
        },
        "av_mae": {"dim": 8, "depth": 1, "num_heads": 2, "normalize_targets": True},
    }
    model = small_mae()
    folders.write(tmp_path, state=model.state_dict(), config=numbers)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"format_version": 2', '"format_version": 1'))
    assert same(outputs(from_pretrained(tmp_path).encoder), outputs(model.encoder))
    save_pretrained(mae_from_pretrained(tmp_path), tmp_path / "again")
    assert same(outputs(from_pretrained(tmp_path / "again").encoder), outputs(model.encoder))


def test_tied_weights_are_written_under_each_name(tmp_path: Path) -> None:
    norm = torch.randn(3)
    state = {"image.norm.weight": norm, "audio.norm.weight": norm, "other": torch.ones(2)}
    folders.write(tmp_path / "tied", state=state, config={})
    assert torch.equal(
        load_file(tmp_path / "tied" / "model.safetensors")["audio.norm.weight"], norm
    )
