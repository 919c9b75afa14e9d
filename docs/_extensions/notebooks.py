"""The course as Jupyter notebooks: the same cells, their text in Markdown.

    python docs/_extensions/notebooks.py OUT            # writes OUT/NN_name.ipynb for each script of docs/course
    python docs/_extensions/notebooks.py OUT --run      # and runs each with a kernel (nbclient), as Jupyter would

As an extension of Sphinx it puts these in the place of the notebooks that sphinx-gallery makes, whose Markdown knows neither tables nor
literal blocks. Of reStructuredText it reads what the course uses: headings, paragraphs, bullets, literal blocks, simple tables.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COURSE = Path(__file__).parent.parent / "course"
LESSON = re.compile(r"\d\d_\w+\.py")
RULER = re.compile(r"=+(  =+)+")


def lessons(folder: Path = COURSE) -> list[Path]:
    """The scripts, in order."""
    return sorted(p for p in folder.glob("*.py") if LESSON.fullmatch(p.name))


def cells(source: str) -> list[tuple[str, str]]:
    """("text", reStructuredText) and ("code", Python) in turn: the docstring, then what stands behind each ``# %%``."""
    tree = ast.parse(source)
    docstring = ast.get_docstring(tree)
    if docstring is None:
        raise ValueError("a lesson begins with its title, as a docstring")
    found = [("text", docstring)]
    after = source.split("\n")[tree.body[0].end_lineno:]
    text: list[str] = []
    code: list[str] = []
    in_text = False

    def finish() -> None:
        if "".join(text).strip():
            found.append(("text", "\n".join(text).strip("\n")))
        if "".join(code).strip():
            found.append(("code", "\n".join(code).strip("\n")))
        text.clear()
        code.clear()

    for line in after:
        if line.startswith("# %%"):
            finish()
            in_text = True
        elif in_text and line.startswith("#"):
            text.append(line[2:] if line.startswith("# ") else line[1:])
        else:
            in_text = False
            code.append(line)
    finish()
    return found


def markdown(text: str) -> str:
    """Headings, literal blocks, simple tables and ``code`` as Markdown has them; the rest is alike in both."""
    lines, out, k = text.split("\n"), [], 0
    while k < len(lines):
        line = lines[k]
        under = lines[k + 1] if k + 1 < len(lines) else ""
        if line.strip() and len(under) >= 3 and set(under) in ({"="}, {"-"}):
            out.append(("# " if under[0] == "=" else "## ") + line)
            k += 2
        elif RULER.fullmatch(line):
            end = max(n for n in range(k, len(lines)) if RULER.fullmatch(lines[n]))
            out += _table(lines[k:end + 1])
            k = end + 1
        elif line.endswith("::"):
            end = k + 1
            while end < len(lines) and (not lines[end].strip() or lines[end].startswith("    ")):
                end += 1
            block = "\n".join(one[4:] for one in lines[k + 1:end]).strip("\n")
            out += [line[:-1], "", "```", *block.split("\n"), "```", ""]
            k = end
        else:
            out.append(line)
            k += 1
    fenced, done = False, []
    for line in "\n".join(out).split("\n"):
        fenced ^= line == "```"
        done.append(line if fenced else line.replace("``", "`") if line != "```" else line)
    return "\n".join(done).strip("\n")


def _table(lines: list[str]) -> list[str]:
    """A simple table: columns are where its rulers have them; ".." is an empty cell."""
    edges = [m.span() for m in re.finditer(r"=+", lines[0])]
    rows = [[line[a:None if k == len(edges) - 1 else b].strip() for k, (a, b) in enumerate(edges)]
            for line in lines if not RULER.fullmatch(line)]
    rows = [["" if c == ".." else c.replace("|", "\\|") for c in row] for row in rows]
    written = ["| " + " | ".join(row) + " |" for row in rows]
    return [written[0], "|" + " --- |" * len(edges), *written[1:]]


def notebook(source: str) -> dict[str, Any]:
    """A notebook of format 4.5, without outputs; the same source gives the same bytes."""
    made = []
    for k, (kind, text) in enumerate(cells(source)):
        body = markdown(text) if kind == "text" else text
        cell: dict[str, Any] = {"cell_type": "markdown" if kind == "text" else "code", "id": f"cell-{k}", "metadata": {},
                                "source": [line + "\n" for line in body.split("\n")[:-1]] + [body.split("\n")[-1]]}
        made.append(cell if kind == "text" else {**cell, "execution_count": None, "outputs": []})
    about = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
    return {"cells": made, "metadata": about, "nbformat": 4, "nbformat_minor": 5}


def write(out: Path, folder: Path = COURSE) -> list[Path]:
    """All notebooks into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for script in lessons(folder):
        path = out / f"{script.stem}.ipynb"
        path.write_text(json.dumps(notebook(script.read_text(encoding="utf-8")), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def shown(book: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    """Runs the code cells in order in one namespace; yields (cell, value) of each that ends in an expression with a value."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for k, cell in enumerate(book["cells"]):
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"cell {k}", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {k}", "eval"), names)
            if value is not None:
                yield k, value


def run(path: Path) -> None:
    """With a kernel, as Jupyter runs it; nbclient's CellExecutionError where a cell fails."""
    import nbclient
    import nbformat

    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute()


def setup(app: Any) -> dict[str, Any]:
    """Sphinx: when sphinx-gallery has made its pages, and before they are read."""
    app.connect("builder-inited", _replace, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _replace(app: Any) -> None:
    made = {p.name: p for p in write(Path(app.srcdir) / app.config.sphinx_gallery_conf["gallery_dirs"])}
    for archive in {a for p in made.values() for a in p.parent.glob("*.zip")}:
        with zipfile.ZipFile(archive) as stream:
            held = {name: stream.read(name) for name in stream.namelist()}
        if made.keys() & held.keys():
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
                for name, data in held.items():
                    stream.writestr(name, made[name].read_bytes() if name in made else data)


if __name__ == "__main__":
    for one in write(Path(sys.argv[1])):
        if "--run" in sys.argv[2:]:
            run(one)
        print(one)
