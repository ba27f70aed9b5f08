"""Scenes: small synthetic videos of moving and sounding shapes, with exact annotation."""

from avblocks.data.scenes.as_boxes import scenes_as_flickr as scenes_as_flickr
from avblocks.data.scenes.as_boxes import scenes_as_vggss as scenes_as_vggss
from avblocks.data.scenes.as_masks import scenes_as_avsbench as scenes_as_avsbench
from avblocks.data.scenes.as_sources import scenes_as_music as scenes_as_music
from avblocks.data.scenes.as_sources import scenes_as_pairs as scenes_as_pairs
from avblocks.data.scenes.dataset import scenes as scenes
from avblocks.data.scenes.other_audio import scene_off_screen as scene_off_screen
from avblocks.data.scenes.other_audio import scene_second_sources as scene_second_sources
from avblocks.data.scenes.pairs import SceneCasts as SceneCasts
from avblocks.data.scenes.pairs import scene_casts as scene_casts
from avblocks.data.scenes.pairs import scene_mismatched as scene_mismatched
from avblocks.data.scenes.pairs import scene_pairs as scene_pairs
from avblocks.data.scenes.render import Scene as Scene
from avblocks.data.scenes.render import SceneSpec as SceneSpec
from avblocks.data.scenes.render import render as render
