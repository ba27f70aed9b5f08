"""Shards: decoded clips, packed into tar files that are read in place."""

from avblocks.data.shards.encode import ShardSettings as ShardSettings
from avblocks.data.shards.read import Shards as Shards
from avblocks.data.shards.write import make_shards as make_shards
