"""Attribution methods: ``explain`` runs any of them, ``METHODS`` is the table."""

from xaicore.methods.attribution import Attribution
from xaicore.methods.blackbox import from_function
from xaicore.methods.explain import explain, explain_all
from xaicore.methods.table import METHODS, Method

__all__ = ["METHODS", "Attribution", "Method", "explain", "explain_all", "from_function"]
