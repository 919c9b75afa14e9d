"""Methods that are one rule set, thoroughly: ``tests/oracle/thoroughly.py``."""

import pytest

from tests.oracle.thoroughly import for_methods
from xaicore.methods.table import METHODS
from xaicore.rules import RULE_SETS

pytestmark = pytest.mark.thorough
test_promises, test_promises_without_rounding, test_twin = for_methods(sorted(set(METHODS) & set(RULE_SETS)))
