"""Other people's models from our blocks, a file each, with the names of their published files."""

from avblocks.zoo.ast import ast as ast
from avblocks.zoo.ast import ast_sizes as ast_sizes
from avblocks.zoo.ast import distilled_mean as distilled_mean
from avblocks.zoo.ast import from_ast as from_ast
from avblocks.zoo.dinov2 import dinov2 as dinov2
from avblocks.zoo.dinov2 import dinov2_sizes as dinov2_sizes
from avblocks.zoo.dinov2 import from_dinov2 as from_dinov2
