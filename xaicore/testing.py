"""What a test suite imports: checks of explainers, of numbers and of backends.

    import xaicore.testing as xt

    class Mine(xt.Explainer):
        method, framework = "lrp.epsilon", "torch"
        def explain(self, model, x, target, baseline): ...

    @xt.parametrize_with_axioms([Mine()], expected_failed={"conservation": "mine#12"})
    def test_axioms(explainer, axiom):
        axiom(explainer)

``parametrize_with_vectors`` does the same with certified vectors, ``check_explainer`` without pytest; ``assert_matches_reference`` and
``assert_attributions_close`` compare numbers;
``check_backend`` is the contract of a backend as one call. On the command line: ``python -m xaicore.testing package.module:Mine``.
"""

from typing import TYPE_CHECKING, Any

from xaicore.oracle.testing import BackendReport, Finding, check_backend

if TYPE_CHECKING:
    from xaicore.oracle.explainer import (
        BUDGETS,
        AttributionMismatch,
        Check,
        CheckResult,
        Explainer,
        Function,
        assert_attributions_close,
        assert_matches_reference,
        axioms,
        check_explainer,
        checks_of,
        parametrize_with_axioms,
    )
    from xaicore.oracle.results import junit, markdown
    from xaicore.oracle.with_vectors import parametrize_with_vectors

__all__ = [
    "BUDGETS", "AttributionMismatch", "BackendReport", "Check", "CheckResult", "Explainer", "Finding", "Function",
    "assert_attributions_close", "assert_matches_reference", "axioms", "check_backend", "check_explainer", "checks_of", "junit", "markdown",
    "parametrize_with_axioms", "parametrize_with_vectors",
]


def __getattr__(name: str) -> Any:
    """The checks of explainers load when they are first asked for."""
    if name in __all__:
        from xaicore.oracle import explainer, results

        if name == "parametrize_with_vectors":
            from xaicore.oracle import with_vectors

            return with_vectors.parametrize_with_vectors
        return getattr(results if name in ("junit", "markdown") else explainer, name)
    raise AttributeError(f"module 'xaicore.testing' has no attribute {name!r}")


if __name__ == "__main__":
    import sys

    from xaicore.oracle.command import main

    sys.exit(main())
