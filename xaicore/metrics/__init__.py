"""Metrics of attributions: ``evaluate`` judges many methods by many metrics, ``METRICS`` is the table, ``subject`` is what a
metric sees."""

from xaicore.metrics.controls import CONTROLS
from xaicore.metrics.evaluate import Evaluation, Missing, evaluate
from xaicore.metrics.subject import Score, Subject, subject
from xaicore.metrics.table import METRICS, Metric

__all__ = ["CONTROLS", "METRICS", "Evaluation", "Metric", "Missing", "Score", "Subject", "evaluate", "subject"]
