"""Training loop and run folder."""

from recipes.engine.loggers import Logger as Logger
from recipes.engine.open import open_run as open_run
from recipes.engine.opened import OpenRun as OpenRun
from recipes.engine.run import Folder as Folder
from recipes.engine.run import Run as Run
