"""What Sphinx is told about this project: how docstrings are written, and pages that are made of tables of the package.

    .. public:: xaicore.methods        every public name of a package, from its docstring
    .. methods::                       every method with its card and its paper
    .. sources::                       the bibliography: xaicore/rules/sources.py and xaicore/metrics/sources.py

and ``pictures``, which takes the Pillow images of a course script into its page.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

LITERAL = re.compile(r"(``.+?``)")
COLUMNS = re.compile(r"^\S+( \S+)*   +\S")


def prose(text: str) -> str:
    """Plain text as reStructuredText: nothing in it is markup but ``literals``."""
    parts = LITERAL.split(" ".join(text.split()))
    out = "".join(p if k % 2 else re.sub(r"([\\*`|_<>])", r"\\\1", p) for k, p in enumerate(parts))
    out = re.sub(r"(?<=\w)(``.+?``)|(``.+?``)(?=\w)", lambda m: m[0], out)
    if re.match(r"(?:[-+•*:.#(]|\w+[.)]\s|>>>|[=~^\"'])", out):
        out = "\\" + out
    return re.sub(r"::\s*$", ":", out)


def as_rst(lines: list[str]) -> list[str]:
    """A docstring of this project as reStructuredText: paragraphs; indented lines and columns as they stand; examples as examples."""
    out: list[str] = []
    block: list[str] = []

    def finish() -> None:
        if not block:
            return
        if block[0].lstrip().startswith(">>>"):
            indent = len(block[0]) - len(block[0].lstrip())
            out.extend([line[indent:] for line in block])
        elif sum(line.startswith("    ") or bool(COLUMNS.match(line)) for line in block) > 1:
            first = next((k for k, line in enumerate(block) if line.startswith("    ") or COLUMNS.match(line)), 0)
            last = max(k for k, line in enumerate(block) if line.startswith(" ") or COLUMNS.match(line))
            for part, literal in ((block[:first], False), (block[first:last + 1], True), (block[last + 1:], False)):
                if part and literal:
                    out.extend(["::", "", *("    " + line for line in part), ""])
                elif part:
                    out.extend([prose(" ".join(part)), ""])
        else:
            out.append(prose(" ".join(block)))
        out.append("")
        block.clear()

    for line in lines:
        if line.strip():
            if line.lstrip().startswith(">>>") and block and not block[0].lstrip().startswith(">>>"):
                finish()
            block.append(line.rstrip())
        else:
            finish()
    finish()
    return out


def written(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """The handler of autodoc."""
    lines[:] = as_rst(lines)


def signature(app: Any, what: str, name: str, obj: Any, options: Any, arguments: str | None, result: str | None) -> tuple[Any, Any]:
    """Types by their last name, as they stand in the code."""
    def short(text: str | None) -> str | None:
        return re.sub(r"~(?:\w+\.)*(?=\w)", "", text or "") or None

    return (short(arguments), short(result))


def outside(app: Any, docname: str, source: list[str]) -> None:
    """Links to Markdown files outside the site are files to download, as links to programs are."""
    source[0] = re.sub(r"\]\((\.\./[^)#\s]+\.md)(#[^)]*)?\)", r"](<path:\1>)", source[0])


def said(name: str, value: Any) -> list[str]:
    """What stands below a table where it is defined: in whichever module has it and says something."""
    from sphinx.pycode import ModuleAnalyzer

    for module in [m for k, m in sorted(sys.modules.items()) if k.startswith("xaicore") and getattr(m, name, None) is value]:
        found = ModuleAnalyzer.for_module(module.__name__).find_attr_docs().get(("", name))
        if found:
            return [*as_rst(found), f"Defined in ``{module.__name__}``.", ""]
    return [""]


class Public(Directive):
    """Every name in a package's ``__all__`` (else: that a module defines): tables, classes with their methods, functions."""

    required_arguments = 1
    option_spec = {"members": lambda given: True}

    def run(self) -> list[nodes.Node]:
        import xaicore

        module = importlib.import_module(self.arguments[0])
        lines: list[str] = []
        classes, functions, tables = [], [], []
        own = [k for k, v in vars(module).items() if k[0] != "_" and (getattr(v, "__module__", None) == module.__name__
               if inspect.isclass(v) or inspect.isroutine(v) else k.isupper() and k in module.__annotations__)]
        for name in sorted(getattr(module, "__all__", own), key=str.lower):
            value = getattr(module, name)
            (classes if inspect.isclass(value) else functions if inspect.isroutine(value) else tables).append(name)
        path = module.__name__
        for title, names, kind in (("Tables", tables, "data"), ("Classes", classes, "class"), ("Functions", functions, "function")):
            if not names:
                continue
            lines += [f".. rubric:: {title}", ""]
            for name in names:
                known = path != "xaicore" and getattr(xaicore, name, None) is getattr(module, name)       # described on the first page
                if kind == "data":
                    told = said(name, getattr(module, name))
                    lines += [f".. py:data:: {path}.{name}", *["   :no-index:"] * known, "", *("   " + x for x in told)]
                    continue
                members = kind == "class" and "members" in self.options
                lines += [f".. auto{kind}:: {path}.{name}", *["   :members:"] * members, *["   :no-index:"] * known, ""]
        node = nodes.Element()
        self.state.nested_parse(StringList(lines, source=path), self.content_offset, node)
        return node.children


class Sources(Directive):
    """The bibliography, from the package's own table."""

    def run(self) -> list[nodes.Node]:
        from xaicore.rules.sources import SOURCES

        out: list[nodes.Node] = []
        from xaicore.metrics.sources import PAPERS

        for key, s in sorted({**PAPERS, **SOURCES}.items()):
            term = nodes.term("", key, ids=[f"source-{key}"])
            out.append(nodes.definition_list_item("", term, nodes.definition("", nodes.paragraph("", str(s)))))
        return [nodes.definition_list("", *out)]


class Methods(Directive):
    """Every method: its card, the idea, its paper."""

    def run(self) -> list[nodes.Node]:
        from xaicore.methods import METHODS
        from xaicore.oracle.ideas import IDEAS
        from xaicore.rules.sources import SOURCES

        lines = ["| method | what it says | paper |", "|---|---|---|"]
        for id, row in METHODS.items():
            s = SOURCES[row.source]
            lines.append(f"| [{id}](cards.md#{id.replace('.', '')}) | {IDEAS[id].idea} | {s.authors.split(',')[0]} {s.year}, *{s.title}* |")
        node = nodes.Element()
        self.state.nested_parse(StringList(lines, source="METHODS"), self.content_offset, node)
        return node.children


def pictures(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Every Pillow image that a block of a script has bound to a name, or ends with, in the order of the names' first use."""
    from PIL import Image
    from sphinx_gallery.scrapers import figure_rst

    shown = block_vars.setdefault("shown_pictures", block_vars["example_globals"].setdefault("__shown_pictures__", {}))
    made = []
    for name, value in list(block_vars["example_globals"].items()):
        named = name == "___" or not name.startswith("_")                # "___": what the block's last expression gave
        if isinstance(value, Image.Image) and named and not any(value is one for one in shown.values()):
            path = Path(next(block_vars["image_path_iterator"]))
            value.save(path)
            shown[len(shown)] = value
            made.append(str(path))
    return str(figure_rst(made, gallery_conf["src_dir"])) if made else ""


def viewer_page(app: Any, exception: Exception | None) -> None:
    """The page that viewer.md opens, made with this version."""
    if exception is not None or app.builder.format != "html":
        return
    import xaicore as xc
    from xaicore.cli.demo import ON_THE_PAGE
    from xaicore.data import digits_images, digits_model
    from xaicore.show.page.viewer import viewer

    images, labels = digits_images()
    x = images[list(labels).index(3)][None].astype(float)
    results = {m: xc.explain(digits_model(), x, m) for m in ON_THE_PAGE}
    (Path(app.outdir) / "viewer_three.html").write_text(viewer(results, "Why is this a 3?", version=xc.__version__), encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    from sphinx.util.inspect import TypeAliasForwardRef

    TypeAliasForwardRef.__repr__ = lambda self: self.name                # an alias (autodoc_type_aliases) is written by its name
    app.connect("autodoc-process-docstring", written)
    app.connect("autodoc-process-signature", signature)
    app.connect("build-finished", viewer_page)
    app.connect("source-read", outside)
    app.add_directive("public", Public)
    app.add_directive("sources", Sources)
    app.add_directive("methods", Methods)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
