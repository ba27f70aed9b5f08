"""Against tensors of the reference implementation: ``AVBLOCKS_GOLDEN=DIR`` takes another folder.

Every file of a known form in the folder is read, the model built from the file's own ``config``.
A form is known by the beginning of the file's name: ``mae_*``, ``classifier*``, ``separation*``,
``segmentation*`` and ``small*``. The tests lie in ``tests/parity``, a file for each task.
"""

# ruff: noqa: F403
from parity_classify import *
from parity_mae import *
from parity_segment import *
from parity_separate import *
from parity_small import *
