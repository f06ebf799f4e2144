"""How the documentation is made: Sphinx, MyST and furo; every warning is an error."""

import os
import re
from importlib.metadata import version as version_of
from pathlib import Path

from sphinx.application import Sphinx

project = "aweigh"
author = "aweigh contributors"
copyright = "2026, aweigh contributors"  # noqa: A001 - Sphinx's name
release = version_of("aweigh")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.doctest",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "aweigh"
html_theme_options = {"navigation_with_keys": True}
copybutton_exclude = ".linenos, .gp, .go"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# Names that modules import for type checkers only.
autodoc_type_aliases = {
    "BundlePlan": "aweigh.bundle.explain.BundlePlan",
    "LocalRequirement": "aweigh.image.local_requirement.LocalRequirement",
    "Path": "pathlib.Path",
    "PlatformPlan": "aweigh.image.preview.PlatformPlan",
    "ProxyFault": "aweigh.testing.proxy_faults.ProxyFault",
    "Record": "aweigh.memory.Record",
    "Table": "aweigh.memory.Table",
    "dt.datetime": "datetime.datetime",
}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
default_role = "any"

nitpicky = True
# The standard library, which a build without network cannot link to.
nitpick_ignore_regex = [
    ("py:class", r"(pathlib|asyncio|datetime|collections\.abc|contextlib)\.\w+"),
]
# Names of types that are written out where they are used, and of what is not public.
nitpick_ignore = [
    ("py:class", name)
    for name in ("FormName", "Kind", "OnLog", "Outcome", "Tier", "_PathText")
] + [("py:class", name) for name in ("Backends", "Memory", "Versions")]

# Files of the repository that pages link to, and the page that includes each.
_PAGES = {"benchmarks/RESULTS.md": "results", "CHANGELOG.md": "changes"}
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def _inside(app: Sphinx, page: str, source: list[str]) -> None:
    """Lead links to what the site includes there; of directories only the name is left.

    Other files of the repository become downloads; what does not exist is an error.
    """
    root = Path(app.srcdir).parent
    here = Path(app.srcdir, page).parent

    def lead(link: re.Match[str]) -> str:
        text, path, anchor = link.groups(default="")
        linked = (here / path).resolve()
        if linked.is_dir():
            return f"`{text}`"
        included = _PAGES.get(os.path.relpath(linked, root))
        return f"[{text}](/{included}.md{anchor})" if included else link[0]

    source[0] = _LINK.sub(lead, source[0])


def setup(app: Sphinx) -> None:
    """Register what is done here."""
    app.connect("source-read", _inside)
