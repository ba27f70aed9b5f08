"""Settings of composed scenes."""

from dataclasses import dataclass

from avblocks.data.scenes.render import ClipSpec


@dataclass(frozen=True)
class ComposeSpec(ClipSpec):
    """Settings of all composed scenes of a folder, in addition to those of their clips.

    Attributes:
        duets: Share of the training scenes with two sounding objects instead of one.
        test_duets: Share of the test scenes with two sounding objects.
        silent: Share of the scenes with silent objects.
        max_silent: Largest number of silent objects.
        offscreen: Share of the scenes with the recording of another class that is not shown.
        semitones: Largest change of the pitch, semitones.
        min_snr: Lowest signal-to-noise ratio of the recordings, dB.
        max_snr: Highest signal-to-noise ratio, dB.
        min_extent: Smallest length of the longer side of an object, relative to that of the image.
        max_extent: Largest length of the longer side.
    """

    duets: float = 0.25
    test_duets: float = 0.0
    silent: float = 0.4
    max_silent: int = 1
    offscreen: float = 0.1
    semitones: float = 2.0
    min_snr: float = 10.0
    max_snr: float = 40.0
    min_extent: float = 0.35
    max_extent: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.max_silent <= 2:
            raise ValueError(f"a composed scene has room for max_silent 1 or 2, got {self}")
        shares = (self.duets, self.test_duets, self.silent, self.offscreen)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(
                f"duets, test_duets, silent and offscreen are shares in [0, 1], got {self}"
            )
        if not (0 < self.min_extent <= self.max_extent < 1 and self.min_snr <= self.max_snr):
            raise ValueError(
                "a composed scene needs 0 < min_extent <= max_extent < 1 and min_snr <= max_snr, "
                f"got {self}"
            )
