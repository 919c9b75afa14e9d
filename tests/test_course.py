"""The course of docs/course: every lesson runs as it stands, with the base install; it says what was learnt; its notebook is the same."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).parent.parent


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("course_notebooks", ROOT / "docs/_extensions/notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NOTEBOOKS = _tool()
LESSONS = NOTEBOOKS.lessons()
FRAMEWORKS = "torch|keras|tensorflow|onnx|onnxruntime|sklearn|skimage|h5py|matplotlib|pytest|distributed"
GUARD = f"""import runpy, sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {FRAMEWORKS.split("|")!r}:
            raise ImportError("a lesson needs the base install alone, and imports " + name)
sys.meta_path.insert(0, Refused())
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def run(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "backends"), *filter(None, [more.pop("path", "")])])
    quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-W", "error", *command], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **quiet, "PYTHONPATH": path, **more})


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_lesson_runs(path: Path) -> None:
    """In a process of its own, without frameworks, warnings as errors: each claim is an assertion of the script."""
    done = run("-c", GUARD, str(path))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def test_a_false_claim_would_be_found(tmp_path: Path) -> None:
    text = LESSONS[0].read_text(encoding="utf-8")
    assert text.count("== [[12, -4, 0]]") == 1
    wrong = tmp_path / LESSONS[0].name
    wrong.write_text(text.replace("== [[12, -4, 0]]", "== [[12, -5, 0]]"), encoding="utf-8")
    assert "AssertionError" in run("-c", GUARD, str(wrong)).stderr


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_lesson_has_its_parts(path: Path) -> None:
    """Title with its number, claims as assertions, a picture where it promises one, what was learnt, what not to conclude, what comes next."""
    text = path.read_text(encoding="utf-8")
    number = int(path.name[:2])
    title = (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]
    assert title.startswith(f"{number}. ")
    assert number == LESSONS.index(path) + 1
    assert len(re.findall(r"^ *assert ", text, re.MULTILINE)) >= 5
    assert "# What you know now\n# ----" in text
    assert "# **Do not conclude**" in text
    following = LESSONS[number].name if number < len(LESSONS) else "the last lesson"
    assert following in text
    assert max(map(len, text.splitlines())) <= 120
    code = [line for kind, cell in NOTEBOOKS.cells(text) if kind == "code" for line in cell.splitlines()]
    assert [line for line in code if len(line) > 90] == []                                    # the width of a page
    used = set(re.findall(r"docs/[\w/]+\.\w+|\.github/[\w/-]+|backends/README\.md|xaicore/[\w/]+\.py|(?<=`)oracle/\w+\.py", text))
    assert [f for f in used if not (ROOT / f).exists() and not (ROOT / "xaicore" / f).exists()] == []


def test_commands_of_the_lessons_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that need no file of the reader's."""
    from xaicore.cli.main import main

    text = "".join(p.read_text(encoding="utf-8") for p in LESSONS).replace("\n#  ", "")
    for command, said in (('xaicore trace digits digit_3.png --unit "fc1[4]"', "fc1[4], backward"), ("xaicore vectors show lrp.z_plus/neuron", "7/10")):
        assert f"``{command}``" in text
        assert main(shlex.split(command)[1:]) == 0
        assert said in capsys.readouterr().out


def test_the_lists_of_lessons_are_complete() -> None:
    """The README has every lesson, in order."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\(docs/course/(\d\d_\w+\.py)\)", readme) == [p.name for p in LESSONS]


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_notebook_is_the_lesson(path: Path) -> None:
    """Its code cells are the script's code, its text is Markdown without leftovers of reStructuredText, and it is a notebook of format 4.5."""
    source = path.read_text(encoding="utf-8")
    book = NOTEBOOKS.notebook(source)
    assert json.loads(json.dumps(book)) == book
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({c["id"] for c in book["cells"]}) == len(book["cells"])
    code = "\n".join("".join(c["source"]) for c in book["cells"] if c["cell_type"] == "code")
    tree = ast.parse(source)
    assert ast.dump(ast.parse(code)) == ast.dump(ast.Module(tree.body[1:], []))
    texts = ["".join(c["source"]) for c in book["cells"] if c["cell_type"] == "markdown"]
    assert texts[0].startswith("# ")
    for text in texts:
        assert not re.search(r"``(?!`)\w|::$|^[=-]{4,}$|^\.\. |:\w+:`", text, re.MULTILINE), text


def test_markdown_of_every_construct() -> None:
    text = "Title\n-----\nA ``x * y``:\n\n====  ====\na     b c\n====  ====\n1     2|3\n..    4\n====  ====\n\nThen::\n\n    z = ``x``\n      w\n\n* one\n  more\n"
    assert NOTEBOOKS.markdown(text) == (
        "## Title\nA `x * y`:\n\n| a | b c |\n| --- | --- |\n| 1 | 2\\|3 |\n|  | 4 |\n\nThen:\n\n```\nz = ``x``\n  w\n```\n\n* one\n  more")


def test_cells_of_a_script() -> None:
    script = '"""T\n=\n"""\n\n# %%\n# words\nx = 1\n# a comment\n# %%\ny = 2\n'
    assert NOTEBOOKS.cells(script) == [("text", "T\n="), ("text", "words"), ("code", "x = 1\n# a comment"), ("code", "y = 2")]


def test_the_site_gets_these_notebooks(tmp_path: Path) -> None:
    """What sphinx-gallery has made is replaced, in its archives, too; other files of the archives stay."""
    pages = tmp_path / "course_pages"
    pages.mkdir()
    with zipfile.ZipFile(pages / "all.zip", "w") as stream:
        stream.writestr("01_one_neuron.ipynb", "theirs")
        stream.writestr("01_one_neuron.py", "kept")
    app = SimpleNamespace(srcdir=str(tmp_path), config=SimpleNamespace(sphinx_gallery_conf={"gallery_dirs": "course_pages"}))
    NOTEBOOKS._replace(app)
    assert sorted(p.stem for p in pages.glob("*.ipynb")) == [p.stem for p in LESSONS]
    with zipfile.ZipFile(pages / "all.zip") as stream:
        assert stream.read("01_one_neuron.py") == b"kept"
        assert stream.read("01_one_neuron.ipynb") == (pages / "01_one_neuron.ipynb").read_bytes()


@pytest.mark.thorough
@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_notebook_shows_its_pictures(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cells in order, as Jupyter runs them, and what each shows: HTML without scripts, or a picture of Pillow's."""
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    kinds = []
    for _, value in NOTEBOOKS.shown(NOTEBOOKS.notebook(path.read_text(encoding="utf-8"))):
        if isinstance(value, Image.Image):
            assert 200 <= value.width <= 1300
            kinds.append("picture")
        else:
            page = value._repr_html_()
            assert page.startswith("<div")
            assert "<script" not in page
            kinds.append("html")
    assert kinds or path.name[:2] in ("12", "13")


@pytest.mark.thorough
def test_notebooks_run_in_a_kernel(tmp_path: Path) -> None:
    """With nbclient and a kernel, where they are installed: the job that builds the documentation has them."""
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    done = run(str(ROOT / "docs/_extensions/notebooks.py"), str(tmp_path), "--run")
    assert done.returncode == 0, done.stderr[-4000:]
    assert len(list(tmp_path.glob("*.ipynb"))) == len(LESSONS)


@pytest.mark.thorough
def test_the_test_file_of_lesson_12(tmp_path: Path) -> None:
    """What the lesson shows as a file for pytest is one: the honest explainer passes, the other fails as expected, strictly."""
    text = next(p for p in LESSONS if p.name.startswith("12")).read_text(encoding="utf-8")
    (tmp_path / "mylib.py").write_text(text[:text.index("# %%\n# What does it claim")], encoding="utf-8")
    (tmp_path / "test_mine.py").write_text(text.split("TESTS = '''")[1].split("'''")[0], encoding="utf-8")
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_mine.py"), path=str(tmp_path))
    assert re.search(r"\d+ passed, \d+ skipped, 3 xfailed", done.stdout), done.stdout[-3000:]
