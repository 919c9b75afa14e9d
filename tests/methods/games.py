"""Settings with which the methods that play games take few evaluations, where their number does not matter; for several test files."""

GAMES = {
    "shapley.exact": {"mask": 2}, "shapley.interaction": {"mask": 2}, "shapley.owen": {"mask": 2},
    "shapley.sampling": {"mask": 2, "samples": 2}, "kernel_shap": {"mask": 2}, "lime": {"mask": 2, "samples": 40},
}
RATIONAL = {**GAMES, "lime": {"kernel": "uniform", **GAMES["lime"]}}
"""The same, such that the method has a value in exact mode."""

IRRATIONAL = {"lime": "exponential"}
"""What the message of a method says that has none without RATIONAL's settings."""
