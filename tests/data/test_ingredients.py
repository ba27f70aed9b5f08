"""Which ingredients are used, and why others are not."""

import numpy as np
import pytest
from ingredient_files import (
    COLORS,
    PITCHES,
    RATE,
    disk,
    encode_audio,
    tone,
    write_backgrounds,
    write_ingredient,
)

from avblocks.data.scenes import background_files, find_ingredients, load_stock
from avblocks.data.scenes.cutout import read_cutout
from avblocks.data.scenes.recording import perform, read_recording
from avblocks.data.write import write_image, write_wave


@pytest.fixture
def root(tmp_path):
    for kind in COLORS:
        write_ingredient(tmp_path / "things", f"{kind}/a")
    write_backgrounds(tmp_path / "places")
    return tmp_path


def stock(root, **options):
    return load_stock(
        find_ingredients(root / "things", **options),
        background_files([root / "places"]),
        rate=RATE,
        min_seconds=1.0,
        side=96,
    )


def test_classes_are_folders_or_names(root):
    write_ingredient(root / "things", "cat/more/lynx")
    found = find_ingredients(root / "things").ingredients
    assert [(one.name, one.kind) for one in found] == [
        ("cat/a", "cat"),
        ("cat/more/lynx", "cat"),
        ("dog/a", "dog"),
        ("owl/a", "owl"),
    ]
    named = find_ingredients(root / "things", by="name", classes=["lynx"])
    assert [one.kind for one in named.ingredients] == ["lynx"]
    flat = find_ingredients(root / "things" / "cat" / "more").ingredients
    assert [one.kind for one in flat] == ["lynx"]
    with pytest.raises(ValueError, match=r"no ingredient of the class 'bee'; there are cat, dog"):
        find_ingredients(root / "things", classes=["bee"])


def test_a_table_names_files_and_classes(root):
    table = root / "things" / "table.csv"
    table.write_text("class,image,audio\nbird,owl/a.png,owl/a.wav\npet,cat/a.png,dog/a.wav\n")
    found = find_ingredients(table).ingredients
    assert [(one.name, one.kind, one.audio.name) for one in found] == [
        ("owl/a", "bird", "a.wav"),
        ("cat/a", "pet", "a.wav"),
    ]
    assert found[1].audio == root / "things" / "dog" / "a.wav"
    table.write_text("image,audio\nowl/a.png,owl/a.wav\n")
    with pytest.raises(ValueError, match="no column 'class'"):
        find_ingredients(table)


def test_several_files_of_one_name_are_refused(root):
    things = root / "things"
    (things / "cat" / "a.ogg").touch()
    (things / "dog" / "a.jpg").touch()
    found = find_ingredients(things)
    assert [one.name for one in found.ingredients] == ["owl/a"]
    reasons = {one.name: one.reason for one in found.refused}
    assert reasons["cat/a"] == "several recordings: a.wav, a.ogg; leave one"
    assert "several images" in reasons["dog/a"] and len(found.refused) == 3


@pytest.mark.parametrize(("codec", "kind"), [("libopus", "ogg"), ("libmp3lame", "mp3")])
def test_recordings_of_other_formats(tmp_path, codec, kind):
    path = tmp_path / f"a.{kind}"
    encode_audio(path, tone(440.0, seconds=2.0), codec=codec, kind=kind)
    wave = read_recording(path, rate=RATE, min_seconds=1.0)
    assert abs(len(wave) / RATE - 2.0) < 0.1
    spectrum = np.abs(np.fft.rfft(wave))
    assert abs(spectrum.argmax() * RATE / len(wave) - 440) < 2


def test_a_spoken_description_is_not_the_sound(root):
    """Tux Paint has NAME_desc.ogg beside NAME.png: not a recording of the thing."""
    (root / "things" / "owl" / "a.wav").rename(root / "things" / "owl" / "a_desc.wav")
    found = find_ingredients(root / "things")
    assert [one.kind for one in found.ingredients] == ["cat", "dog"]
    assert [one.name for one in found.refused] == ["owl/a"]
    with pytest.raises(ValueError, match=r"of the class 'owl'; owl/a: no recording beside it"):
        find_ingredients(root / "things", classes=["owl", "cat"])
    write_ingredient(root / "things", "owl/b")
    assert len(find_ingredients(root / "things", classes=["owl"]).refused) == 1
    assert not find_ingredients(root / "things", classes=["cat"]).refused


def striped(alpha):
    image = disk((200, 100, 50))
    image[..., 3] = alpha
    return image


def flat():
    image = disk((9, 9, 9))
    image[..., :3] = 120
    return image


SURROUNDED = ((8, 8), (8, 8), (0, 0))
BAD = {
    "no transparent surroundings": {"image": striped(255)},
    "0 x 0 pixels are visible": {"image": striped(0)},
    "of a single color": {"image": flat()},
    "9 x 9 pixels are visible": {"image": np.pad(disk(COLORS["cat"], size=9), SURROUNDED)},
    "the audio is silent": {"audio": np.zeros(2 * RATE)},
    "1.00 s long; it needs more than 1 s": {"audio": tone(700.0, seconds=1.0)},
    "audible for 0.20 s only": {"audio": np.pad(tone(700.0, seconds=0.01), (0, 2 * RATE))},
}


@pytest.mark.parametrize("reason", BAD)
def test_bad_ingredients_are_refused_by_name_and_reason(root, reason):
    write_ingredient(root / "things", "cat/bad", **BAD[reason])
    made = stock(root)
    assert [one.name for one in made.refused] == ["cat/bad"]
    assert reason.split(" for ")[0] in made.refused[0].reason
    assert made.classes == ("cat", "dog", "owl")


def test_damaged_files_are_refused(root):
    for name, suffix in (("one", ".png"), ("two", ".wav")):
        write_ingredient(root / "things", f"dog/{name}")
        (root / "things" / "dog" / f"{name}{suffix}").write_text("no media file")
    (root / "places" / "bad.jpg").write_text("no media file")
    refused = {one.name: one.reason for one in stock(root).refused}
    assert "neither a jpg nor a png" in refused["dog/one"]
    assert "cannot be opened as wav, flac, ogg or mp3" in refused["dog/two"]
    assert "neither a jpg nor a png" in refused[str(root / "places" / "bad.jpg")]


def test_the_recording_of_another_class_is_refused(root):
    """At another offset and gain too; within a class, both stay on one side."""
    delayed = 0.3 * np.pad(tone(PITCHES["cat"]), (900, 0))
    write_ingredient(root / "things", "dog/copy", audio=delayed)
    write_ingredient(root / "things", "cat/copy", audio=delayed)
    made = stock(root)
    assert [(one.name, one.reason) for one in made.refused] == [
        ("dog/copy", "the same recording as cat/a")
    ]
    assert {thing.name for thing in made.things["train"][0]} == {"cat/a", "cat/copy"}
    assert made.things["train"][0] is made.things["test"][0]


def test_nothing_left_is_an_error_with_the_reasons(root):
    for kind in ("cat", "dog"):
        write_wave(root / "things" / kind / "a.wav", np.zeros(2 * RATE), rate=RATE)
    with pytest.raises(ValueError, match=r"1 classes .* left.*cat/a: a.wav: the audio is silent"):
        stock(root)
    empty = root / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="no image file at any depth"):
        background_files([empty])


def test_training_and_test_share_nothing(root):
    for number in range(7):
        pitch = 300.0 + 77 * number
        write_ingredient(root / "things", f"owl/{number}", audio=tone(pitch))
    made = stock(root)
    train, test = ({one.name for one in made.things[part][2]} for part in ("train", "test"))
    assert len(train) == 6 and len(test) == 2 and not train & test
    assert made.shared == ("cat", "dog")
    sides = [{int(place.mean()) for place in made.backgrounds[part]} for part in ("train", "test")]
    assert len(sides[0]) == 3 and len(sides[1]) == 1 and not sides[0] & sides[1]
    assert "share no background, and the ingredients of 2 classes" in made.report()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("sea lion", "sea_lion"), "the class 'sea_lion' is named like 'sea lion'"),
        (("background", "owl"), "the class 'background' is named like 'background'"),
    ],
)
def test_classes_that_masks_cannot_name(root, names, message):
    rows = [f"{n}/a.png,{n}/a.wav,{kind}" for n, kind in zip(("cat", "dog"), names, strict=True)]
    (root / "things" / "table.csv").write_text("\n".join(["image,audio,class", *rows]))
    found = find_ingredients(root / "things" / "table.csv")
    places = background_files([root / "places"])
    with pytest.raises(ValueError, match=message):
        load_stock(found, places, rate=RATE, min_seconds=1.0, side=96)


def test_a_mask_replaces_alpha(root):
    image = disk(COLORS["cat"])
    write_image(root / "photo.jpg", image[..., :3])
    write_image(root / "photo_mask.png", image[..., 3])
    masked = read_cutout(root / "photo.jpg", root / "photo_mask.png")
    cut = read_cutout(root / "things" / "cat" / "a.png")
    assert masked.shape == cut.shape
    assert (masked[3] == cut[3]).all() and (masked - cut).abs().mean() < 0.02


def test_a_short_sound_is_looped_at_another_pitch():
    generator = np.random.default_rng(0)
    pitches = []
    for _ in range(20):
        voice = perform(
            tone(440.0).astype(np.float32),
            generator=generator,
            seconds=4.0,
            rate=RATE,
            semitones=2.0,
        )
        assert voice.wave.shape == voice.envelope.shape == (4 * RATE,)
        power = (voice.wave.reshape(8, -1) ** 2).mean(axis=1)
        assert power.min() > 0.02 * power.max()
        pitches.append(np.abs(np.fft.rfft(voice.wave)).argmax() / 4)
    lowest, highest = 440 * 2 ** (-2 / 12), 440 * 2 ** (2 / 12)
    assert lowest - 2 < min(pitches) < 420 and 460 < max(pitches) < highest + 2
