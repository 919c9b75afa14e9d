"""What a test suite imports: ``check_backend``, the contract of a backend as one call (see xaicore.oracle.testing)."""

from xaicore.oracle.testing import BackendReport, Finding, check_backend

__all__ = ["BackendReport", "Finding", "check_backend"]
