"""The training loop and its run folder."""

from recipes.engine.open import OpenRun as OpenRun
from recipes.engine.open import open_run as open_run
