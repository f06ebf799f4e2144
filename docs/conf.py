"""How the documentation is made: Sphinx, MyST and furo; every warning is an error."""

import os
import re
from importlib.metadata import version as version_of
from pathlib import Path

from docutils.nodes import Element
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

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
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
default_role = "any"

nitpicky = True
# The standard library, which a build without network cannot link to.
nitpick_ignore_regex = [
    ("py:class", r"(pathlib|asyncio|datetime|collections\.abc|contextlib)\.\w+"),
]
# Types that are written out where they are used; the standard library's short names;
# and what is not public, which only shows in a signature.
nitpick_ignore = [
    ("py:class", name)
    for name in (
        *("BuilderName", "Compression", "FormName", "Kind", "LayerCache", "Location"),
        *("OnLog", "OnUnknown", "Outcome", "TargetName", "Tier", "_PathText"),
        *("AbstractAsyncContextManager", "Path", "dt.datetime"),
        *(
            "Backends",
            "Exchange",
            "Memory",
            "ProxyFault",
            "Versions",
            "aweigh.testing.doubles.E",
        ),
    )
]

# Files of the repository that pages link to, and the page that includes each.
_PAGES = {
    "benchmarks/RESULTS.md": "results",
    "CHANGELOG.md": "changes",
    "CONTRIBUTING.md": "contributing",
}
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def _inside(app: Sphinx, page: str, source: list[str]) -> None:
    """Lead links to what the site includes there; of directories only the name is left.

    Other files of the repository become downloads; what does not exist is an error.
    """
    root = Path(app.srcdir).parent
    here = Path(app.srcdir, page).parent

    def lead(link: re.Match[str]) -> str:
        text, path, anchor = link.groups(default="")
        linked = os.path.normpath(here / path)
        if Path(linked).is_dir():
            return f"`{text}`"
        included = _PAGES.get(os.path.relpath(linked, root))
        return f"[{text}](/{included}.md{anchor})" if included else link[0]

    source[0] = _LINK.sub(lead, source[0])


def _by_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element
) -> Element | None:
    """Find a class by its name alone: what modules import for checkers only."""
    if node.get("refdomain") != "py":
        return None
    found = [
        entry
        for name, entry in env.domains.python_domain.objects.items()
        if name.rpartition(".")[2] == node["reftarget"]
        and entry.objtype in {"class", "exception"}
        and not entry.aliased
    ]
    if len(found) != 1:
        return None
    (one,) = found
    return make_refnode(app.builder, node["refdoc"], one.docname, one.node_id, content)


def setup(app: Sphinx) -> None:
    """Register what is done here."""
    app.connect("source-read", _inside)
    app.connect("missing-reference", _by_name)
