"""The options of pytest for the certified vectors, known wherever xaicore is installed; it imports nothing, so that it costs nothing.

pytest --pyargs xaicore.oracle.vectors --subject MODULE:FUNCTION [--emit torch] [--vectors 'lrp.*'] [--expected-failures FILE]
"""

from __future__ import annotations

from typing import Any


def pytest_addoption(parser: Any) -> None:
    """--subject and what goes with it."""
    group = parser.getgroup("xaicore", "certified vectors of xaicore: pytest --pyargs xaicore.oracle.vectors")
    group.addoption("--subject", default="", help="MODULE:FUNCTION, called with method, model, x, target, settings, id")
    group.addoption("--emit", default="", help="what the subject gets as its model: torch, onnx, keras (default: nested lists)")
    group.addoption("--vectors", default="*", help="only of methods that match, such as 'lrp.*'")
    group.addoption("--expected-failures", default="", help='a JSON file {"id": "why it fails"}')
