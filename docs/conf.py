"""The site: pip install ".[docs]" && python -m sphinx -W --keep-going -j auto docs build/docs

Pages are the Markdown files of this folder, the course (course/NN_name.py, run by sphinx-gallery) and the API reference, which is read
from the docstrings of the public names. What site.py provides: docstrings as this project writes them, and pages made of tables.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "backends"), str(HERE / "_extensions")]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "backends"), os.environ.get("PYTHONPATH", "")])

import xaicore  # noqa: E402

project = "xaicore"
author = "the xaicore maintainers"
version = release = xaicore.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "myst_parser", "sphinx_gallery.gen_gallery", "notebooks", "site_pages"]
exclude_patterns = ["course/*.rst", "course/*.md"]
nitpicky = True                                          # a reference to nothing is an error, but for types
nitpick_ignore_regex = [("py:class", name) for name in (
    r"\w+|\w+\[\w+",                                     # that a signature names by their bare names, or in pieces,
    r"(torch|keras|onnx|sklearn|collections)\..*",       # that are others',
    r"xaicore\.rules\.formulas\.Formula",                # or that have no page here
)]
myst_heading_anchors = 3
suppress_warnings = ["config.cache", "ref.python"]       # functions in this file; names that several modules have in signatures

autodoc_mock_imports = ["torch", "keras", "onnx", "sklearn", "h5py"]     # the site is built without frameworks
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_type_aliases = {k: k for k in ("Array", "Signal", "Signals", "Target", "Selector", "Rule", "Measure", "Numbers")}
highlight_language = "none"
autodoc_member_order = "bysource"
autosummary_generate = False                             # one page for each package, not one for each name
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = "xaicore"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False

from site_pages import pictures  # noqa: E402

sphinx_gallery_conf = {
    "examples_dirs": "course",
    "gallery_dirs": "course_pages",
    "filename_pattern": r"/\d\d_",
    "image_scrapers": (pictures,),
    "capture_repr": ("_repr_html_", "__str__"),
    "ignore_repr_types": r"PIL\.",
    "within_subsection_order": "FileNameSortKey",
    "default_thumb_file": str(HERE / "_static/course.png"),  # of pages whose pictures are drawings
    "reset_modules": (),
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "min_reported_time": 1,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
}
