"""How the manual is built: MyST pages, and a reference that is written from the code before they are read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qengine_core import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for generate.py

project = "QEngine"
author = "The QEngine authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"QEngine {__version__}"
html_show_copyright = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.strikethrough"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
smartquotes = False  # text in quotes is often a value to be copied


def setup(app: Sphinx) -> None:
    """Write the generated reference before Sphinx looks at what there is."""
    from generate import write_reference

    app.connect("config-inited", lambda *_: write_reference(HERE / "reference"))
    app.connect("autodoc-process-signature", _only_made_by_users)


def _only_made_by_users(
    _app: object, what: str, name: str, _obj: object, _options: object, signature: str, returns: str
) -> tuple[str, str]:
    """Of classes, only Engine is made by users: how the others are made is noise."""
    return ("", "") if what == "class" and not name.endswith(".Engine") else (signature, returns)
