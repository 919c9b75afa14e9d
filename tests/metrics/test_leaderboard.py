"""The page of the leaderboard can be made, and says where a control wins and which metrics contradict each other."""

import pytest

from benchmarks.leaderboard import METHODS, SETTINGS, evaluated, metrics_of, page
from xaicore.data import digits_images, digits_model
from xaicore.methods import METHODS as TABLE
from xaicore.metrics import METRICS


def test_its_rows_exist():
    assert set(METHODS) <= set(TABLE)
    assert {k.split(" ")[0] for k in SETTINGS} <= set(METRICS)
    for label, (id, settings) in metrics_of().items():
        assert set(settings) <= set(METRICS[id].settings), label


@pytest.mark.thorough
def test_a_page():
    x, y = digits_images()
    some = {k: METHODS[k] for k in ("gradient", "gradient_x_input", "lrp.z_plus", "cam")}
    e = evaluated(digits_model(), x[:2].astype(float), y[:2].tolist(), metrics_of(), some, truth=(x[:2] > 0.25)[:, 0].astype(int))
    text = page(e, 2, 1.0, "")
    assert text.count("\n## ") == 4
    assert "control.contrast" in text
    assert "pairs of metrics have a negative" in text
    assert "- cam:" in text
