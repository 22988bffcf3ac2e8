"""``python -m qengine_core`` is ``qengine``, for where the script is not on the path."""

import sys

from qengine_core.cli import main

sys.exit(main())
