"""Does the oracle notice when the engine is wrong? Changes are planted in the engine one at a time, and the oracle is asked.

``mutants.py`` finds the places and the changes, ``plant.py`` makes one of them in a running process or at import, ``questions.py`` asks the
vectors, the worked examples and the twins, ``by_tests.py`` the tests of the family, ``hunt.py`` does all of it, ``report.py`` writes
``docs/mutation.md``; ``reasons.py`` says of survivors why they live.
"""
