"""xaicore: a framework-agnostic NumPy reference engine for neural-network attribution."""

from typing import TYPE_CHECKING, Any

from xaicore.errors import XaicoreError
from xaicore.graph import Builder, Graph
from xaicore.methods import METHODS, Attribution, explain, explain_all, from_function
from xaicore.ops import OPS
from xaicore.plugins import from_model, load
from xaicore.rules import RULE_SETS, RuleSet

if TYPE_CHECKING:
    from xaicore.many import explain_many
    from xaicore.metrics import METRICS, Evaluation, evaluate
    from xaicore.oracle.axioms import Report, check
    from xaicore.oracle.compare import Comparison, compare
    from xaicore.represent import REPRESENTATIONS
    from xaicore.visualize import OBJECTIVES, PRESETS, render

__version__ = "0.1.0"
__all__ = [
    "METHODS", "METRICS", "OBJECTIVES", "OPS", "PRESETS", "REPRESENTATIONS", "RULE_SETS", "Attribution", "Builder", "Comparison",
    "Evaluation", "Graph", "Report", "RuleSet", "XaicoreError", "check", "compare", "evaluate", "explain", "explain_all", "explain_many",
    "from_function", "from_model", "load", "render",
]


def __getattr__(name: str) -> Any:
    """The metrics, what is made and compared, and the oracle load when they are first asked for."""
    if name in ("METRICS", "Evaluation", "evaluate"):
        from xaicore import metrics

        return getattr(metrics, name)
    if name == "explain_many":
        from xaicore import many

        return many.explain_many
    if name in ("check", "Report"):
        from xaicore.oracle import axioms

        return getattr(axioms, name)
    if name in ("compare", "Comparison"):
        from xaicore.oracle import compare

        return getattr(compare, name)
    if name == "REPRESENTATIONS":
        from xaicore.represent import REPRESENTATIONS

        return REPRESENTATIONS
    if name in ("OBJECTIVES", "PRESETS", "render"):
        from xaicore import visualize

        return getattr(visualize, name)
    raise AttributeError(f"module 'xaicore' has no attribute {name!r}")


def _html(a: Attribution) -> str:
    """A result in a notebook; pictures load when the first one is shown."""
    from xaicore.show.page.notebook import fragment

    return fragment(a)


Attribution.html = _html
