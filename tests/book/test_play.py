"""The players: what the page asks for is there, and the stored answers are those of the teacher."""

import base64
import io
import json
import re

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from tutorial_utils.data import load
from tutorial_utils.measuring import predict
from tutorial_utils.models import load_baseline

PAGE = (ROOT / "book" / "play.md").read_text(encoding="utf-8")
PLAYERS = ROOT / "book" / "_static" / "players"


def teacher():
    text = (PLAYERS / "teacher.js").read_text(encoding="utf-8")
    return json.loads(text.partition("window.TEACHER = ")[2].strip().rstrip(";"))


def test_every_player_has_a_script_a_heading_and_a_picture_for_who_runs_no_scripts():
    scripts = {path.stem: path.read_text(encoding="utf-8") for path in PLAYERS.glob("*.js")}
    small = re.search(r"const players = \{ (.*) \}", scripts["players"])[1].split(", ")
    large = re.findall(r"MORE_PLAYERS \?\?= \{\}\)\.(\w+) =", "".join(scripts.values()))
    names = re.findall(r'data-player="(\w+)"', PAGE)
    assert len(names) == 6 and sorted(names) == sorted(small + large)
    for part in PAGE.split("\n## ")[1:]:
        picture = r"\{\{ (diagram_\w+|front_picture) \}\}"
        assert re.search(rf'data-player="\w+">\n\n{picture}\n\n</div>', part)
    for script in scripts.values():
        assert "http" not in script.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.slow
def test_the_stored_answers_are_those_of_the_shipped_teacher():
    data = load("digits", seed=0)
    test = data.test[:200]
    logits = predict(load_baseline("resnet20", data), test)
    stored = teacher()
    for image in stored:
        index = image["index"]
        assert image["logits"] == pytest.approx(logits[index].tolist(), abs=0.05)
        pixels = np.array(Image.open(io.BytesIO(base64.b64decode(image["png"]))))
        assert (pixels == test.images[index].permute(1, 2, 0).numpy()).all()
        assert image["label"] == int(test.labels[index])
    certainty = logits.softmax(1).amax(1)
    right = (logits.argmax(1) == test.labels).nonzero().flatten().tolist()
    by_certainty = sorted(right, key=lambda i: certainty[i])
    assert {image["index"] for image in stored} == {*by_certainty[:4], by_certainty[-1]}
