"""Certified vectors: clean, reproducible, caught when one number is wrong; runners in other hands; every kind of subject."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

from tests.oracle import subjects
from xaicore.cli.main import main
from xaicore.errors import FileRefused, InputError, NothingChecked, UnknownName
from xaicore.methods.table import METHODS
from xaicore.oracle.vectors import make, read, vectors
from xaicore.oracle.vectors.lint import lint
from xaicore.oracle.vectors.run import known_failures, run
from xaicore.oracle.vectors.vector import FLAGS, FOLDER, array, frozen, nested, thawed

ALL = vectors()
FEW = [v for v in ALL if v.id in ("lrp.zero/net-a", "lrp.zero/net-b", "gradient/net-b", "gradient/operator-conv-grouped", "lrp.gamma/rejects-negative-gamma", "cam/two-maps")]
ROOT = Path(__file__).parents[2]
PLUGIN = [] if any(e.name == "xaicore" for e in entry_points(group="pytest11")) else ["-p", "xaicore_pytest"]      # not installed: say it


def test_there_are_many():
    assert len(ALL) >= 400
    assert sum(v.arithmetic == "exact" for v in ALL) >= 0.6 * len(ALL)
    assert set(FLAGS) == {f for v in ALL for f in v.flags}
    assert {v.method for v in ALL} >= {k for k, m in METHODS.items() if not m.random} - {"vog", "lrp.restructured"}      # whose settings are models
    assert {v.verdict for v in ALL} == {"required", "variants", "reject"}


def test_clean():
    assert lint(ALL) == []


def test_the_files_are_what_is_made():
    """No number was typed into a file: made again from the examples, every vector is the same, the floats to their rounding."""
    made = make.everything()
    assert [v.id for v in sorted(made, key=lambda v: v.id)] == [v.id for v in sorted(ALL, key=lambda v: v.id)]
    known = {v.id: v for v in ALL}
    for v in made:
        if v.arithmetic == "exact":
            assert json.dumps(v.as_json()) == json.dumps(known[v.id].as_json()), v.id
        else:
            alike(v.as_json(), known[v.id].as_json(), v.id)
    assert make.formatted(ALL[:3]).count('"id"') == 3


def alike(a, b, who):
    """The same structure; floats to 1e-12 of 1 or of themselves: another processor takes sums in another order."""
    if isinstance(a, dict):
        assert set(a) == set(b), who
        for k in a:
            alike(a[k], b[k], who)
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), who
        for one, other in zip(a, b):
            alike(one, other, who)
    elif isinstance(a, float) and isinstance(b, float):
        assert abs(a - b) <= 1e-12 * max(1, abs(a)), who
    else:
        assert a == b, who


def changed(values):
    """The same nested lists, the first number larger by 1/1000 of it, or by 1 where it is 0."""
    if isinstance(values, list):
        return [changed(values[0]), *values[1:]]
    number = Fraction(values) if isinstance(values, str) else values
    return nested(number + (abs(number) / 1000 or 1)) if isinstance(values, str) else number + (abs(number) / 1000 or 1)


def test_an_error_in_any_number_of_any_vector_is_found():
    """Answers, layers, forward values, what was absorbed, the answers of variants: an array's first number wrong, and lint names the array."""
    for v in ALL:
        if v.verdict == "reject":
            wrong = replace(v, settings={}, method="gradient", id=v.id.replace(v.method, "gradient", 1))
            assert lint([wrong]), v.id
            continue
        parts = {part: {k: changed(n) for k, n in getattr(v, part).items()} for part in ("expected", "layers", "forward")}
        variants = {name: {k: changed(n) for k, n in one.items()} for name, one in v.variants.items()}
        absorbed = None if v.absorbed is None else changed(v.absorbed)
        said = "\n".join(lint([replace(v, **parts, variants=variants, absorbed=absorbed)]))
        missed = [f"{part}[{k!r}]" for part, one in parts.items() for k in one if f" {part}[{k!r}] " not in said]
        missed += [name for name in variants if f" variants[{name!r}] " not in said]
        missed += ["absorbed"] if absorbed is not None and " absorbed holds " not in said else []
        assert not missed, f"{v.id}: {', '.join(missed)}"


@pytest.mark.parametrize(("change", "message"), [
    ({"id": "lrp.zero/Net A"}, "an id is METHOD/"), ({"method": "lrp.zer", "id": "lrp.zer/net-b"}, "did you mean 'lrp.zero'"), ({"flags": ("bias", "biased")}, "no flag is called 'biased'"),
    ({"derivations": ("by hand",)}, "two derivations"), ({"verdict": "required"}, "go together"), ({"verdict": "perhaps"}, "not one of required"), ({"settings": {"epps": 1}}, "has no setting"),
    ({"source": {"key": "bach1815"}}, "not in the table of sources"), ({"flags": ()}, "the flags are"), ({"arithmetic": "float"}, "not exact or float64"), ({"reason": "why"}, "has a reason and no answer"),
])
def test_what_lint_says(change, message):
    one = next(v for v in ALL if v.id == "lrp.zero/net-b")
    assert any(message in p for p in lint([replace(one, **change)])), lint([replace(one, **change)])
    assert any("2 vectors have this id" in p for p in lint([one, one]))


def test_values_come_back():
    for value in (Fraction(-13, 49), (1, 2), [None, True, "text"], {"a": (Fraction(1, 3), 2.5)}):
        assert thawed(json.loads(json.dumps(frozen(value)))) == value
    for value in (np.array([[1, 2]]), np.array([0.1, 2.0]), np.array([Fraction(1, 3)], dtype=object), np.array([True, False])):
        back = thawed(json.loads(json.dumps(frozen(value))))
        assert (back == value).all()
        assert back.dtype.kind == value.dtype.kind
    assert array([["1/3", "2"]], "exact").tolist() == [[Fraction(1, 3), 2]]


# ----- subjects -----------------------------------------------------------------------------------------------------


def test_the_reference_passes():
    done = run(subjects.reference, ALL)
    assert done.exit_code == 0, str(done)
    assert {o.status for o in done.outcomes} == {"agrees", "refused"}


def test_a_convention_is_no_mistake():
    done = run(subjects.ignores_bias, [v for v in ALL if v.method in ("lrp.zero", "gradient")])
    found = {o.vector.id: o for o in done.outcomes}
    assert (found["lrp.zero/net-b"].status, found["lrp.zero/net-b"].detail) == ("another convention", "bias=ignore")
    assert found["lrp.zero/net-a"].status == "agrees"
    assert found["lrp.zero/net-b-bias-distributed"].status == "differs"
    assert found["gradient/net-a"].status == "not offered"
    assert done.exit_code == 1


def test_a_torch_subject():
    pytest.importorskip("torch")
    done = run(subjects.of_torch, [v for v in ALL if v.method == "gradient"], emit="torch")
    assert sum(o.status == "agrees" for o in done.outcomes) > 50
    assert done.exit_code == 0, str(done)


def test_wrong_and_broken_subjects():
    assert all(o.status == ("not refused" if o.vector.verdict == "reject" else "differs") or not any(np.any(array(p, "float64")) for p in o.vector.expected.values())
               for o in run(subjects.half, FEW[:4]).outcomes)
    done = run(subjects.broken, [v for v in ALL[:60] if v.verdict != "reject"])
    assert {o.status for o in done.outcomes} == {"fault"}
    said = " ".join(o.detail for o in done.outcomes)
    for part in ("raised RuntimeError: no weights here", "gave nan for", "gave shape (7,)", "no array of numbers"):
        assert part in said
    assert run(lambda **question: NotImplemented, FEW).exit_code == 5
    with pytest.raises(NothingChecked, match="no vector was selected"):
        run(subjects.reference, [])


def test_expected_failures(tmp_path):
    path = tmp_path / "known.json"
    path.write_text(json.dumps({"lrp.zero/net-a": "known"}))
    ids = [v.id for v in ALL]
    assert run(subjects.half, [v for v in FEW if v.id == "lrp.zero/net-a"], known=known_failures(path, ids)).exit_code == 0
    surprise = run(subjects.reference, [v for v in FEW if v.id == "lrp.zero/net-a"], known=known_failures(path, ids))
    assert surprise.exit_code == 1
    assert "although a failure was expected" in str(surprise)
    for text, error, message in (('{"lrp.zero/net-c": "x"}', UnknownName, "no vector is called so"), ('{"lrp.zero/net-a": " "}', InputError, "no reason"), ("[1]", FileRefused, "is expected"),
                                 ("{", FileRefused, "not a JSON document")):
        path.write_text(text)
        with pytest.raises(error, match=message):
            known_failures(path, ids)


@pytest.mark.parametrize(("document", "message"), [
    ("{", "not a JSON document"), ("[]", "no file of test vectors"), ('{"schema": 2, "vectors": []}', "reads up to 1: update xaicore"), ('{"schema": 1, "vectors": [{"id": "a", "colour": 1}]}', "does not know"),
    ('{"schema": 1, "vectors": [{"id": "a"}]}', "is incomplete"), ('{"schema": 1, "vectors": [3]}', "number 0"),
])
def test_files_that_are_none(document, message, tmp_path):
    path = tmp_path / "v.json"
    path.write_text(document)
    with pytest.raises(FileRefused, match=message):
        read(path)
    assert main(["vectors", "lint", str(path)]) == 4


# ----- other hands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runner", ["plain.py", "plain.mjs"])
def test_runners_without_a_library(runner, tmp_path):
    program = shutil.which("node") if runner.endswith("mjs") else sys.executable
    if program is None:
        pytest.skip("Node is not installed")
    command = [program, *(["-I"] if runner.endswith("py") else []), str(FOLDER.parent / runner)]
    done = subprocess.run([*command, *map(str, sorted(FOLDER.glob("*.json")))], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) >= 15
    wrong = tmp_path / "wrong.json"
    one = next(v for v in ALL if v.id == "lrp.zero/net-a")
    wrong.write_text(make.formatted([replace(one, expected={"x": [["6", "-4"]]})]))
    done = subprocess.run([*command, str(wrong)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "lrp.zero/net-a differs" in done.stdout


def test_the_schema_describes_them():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((FOLDER.parent / "schema.json").read_text())
    for path in FOLDER.glob("*.json"):
        jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema": 1, "vectors": [{"id": "a"}]}, schema)


@pytest.mark.parametrize(("subject", "code", "said"), [("reference", 0, "passed"), ("half", 1, "differs"), ("nobody", 4, "")])
def test_as_somebody_elses_tests(subject, code, said):
    """pytest --pyargs xaicore.oracle.vectors --subject ..."""
    command = [sys.executable, "-m", "pytest", "--pyargs", "xaicore.oracle.vectors", "-q", "-p", "no:cacheprovider", *PLUGIN, "--subject", f"tests.oracle.subjects:{subject}", "--vectors", "lrp.zero"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr
    assert said in done.stdout


def test_export(tmp_path):
    assert main(["vectors", "export", str(tmp_path / "json"), "--method", "lrp.zero"]) == 0
    assert read(tmp_path / "json" / "lrp.zero.json") == tuple(v for v in ALL if v.method == "lrp.zero")
    reference = pytest.importorskip("onnx.reference")
    assert main(["vectors", "export", str(tmp_path / "onnx"), "--format", "onnx", "--method", "lrp.zero"]) == 0
    for folder in sorted((tmp_path / "onnx").iterdir()):
        numbers, question = np.load(folder / "numbers.npz"), json.loads((folder / "question.json").read_text())
        session = reference.ReferenceEvaluator(str(folder / "model.onnx"))
        (y,) = session.run(None, {k: numbers[f"x/{k}"] for k in session.input_names})
        last = [k for k in numbers if k.startswith("forward/")][-1]
        assert np.abs(y - numbers[last]).max() < 1e-12
        assert question["method"] == "lrp.zero"


def test_command_line(capsys):
    assert main(["vectors", "list", "--method", "lrp.zero", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["vectors"]) == sum(v.method == "lrp.zero" for v in ALL)
    assert main(["vectors", "show", "lrp.zero/net-b"]) == 0
    out = capsys.readouterr().out
    for part in ("with bias=ignore", "[[16/3, -4/3]]", "by hand", "other conventions"):
        assert part in out
    assert main(["vectors", "run", "tests.oracle.subjects:reference", "--method", "gradient"]) == 0
    assert main(["vectors", "run", "tests.oracle.subjects:half", "--method", "gradient", "--json"]) == 1
    capsys.readouterr()
    assert main(["vectors", "show", "lrp.zero/net-z"]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert main(["vectors", "list", "--method", "nothing"]) == 5
    assert main(["vectors", "list", "--flag", "colour"]) == 2
    assert main(["vectors", "show"]) == 2
    assert main(["vectors", "run"]) == 2
    assert main(["vectors", "lint", "--method", "lrp.zero"]) == 0
