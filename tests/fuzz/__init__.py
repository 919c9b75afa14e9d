"""Readers against changed files: Hypothesis in the test suite, atheris (coverage-guided) by hand and in a smoke run."""
