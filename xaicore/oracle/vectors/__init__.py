"""Certified test vectors: questions with answers that are known from at least two derivations, as JSON that needs no library to read.

``vectors()`` reads them all. ``vector.py`` says what one is, ``make.py`` writes them, ``lint.py`` finds what is wrong with them, ``run.py``
asks a subject. ``schema.json`` is the published schema; ``plain.py`` and ``plain.mjs`` are runners of some thirty lines that need
nothing but Python's or Node's own library. ``pytest --pyargs xaicore.oracle.vectors --subject ...`` runs them against anyone's explainer.
"""

from __future__ import annotations

from xaicore.oracle.vectors.vector import SCHEMA_VERSION, Vector, read, vectors

__all__ = ["SCHEMA_VERSION", "Vector", "read", "vectors"]
