"""The front page says what chapter 8 has stored, and its map is that of the chapters."""

import re
from graphlib import TopologicalSorter
from xml.etree import ElementTree

import pytest
from conftest import ROOT

from tutorial_utils.book import front
from tutorial_utils.book.notebooks import chapters, kept_results
from tutorial_utils.errors import InputError

COSTS = """| recipe | made in | smaller | faster, batch 64 | points |
| :--- | ---: | ---: | ---: | ---: |
| float32 | 0 s | 1.0× | 1.0× | +0.0 |
| PTQ, 8 bits | 3 s | 3.7× | 2.6× | -0.0 |
| KD + PTQ | 15 s | 11.9× | 6.8× | -1.5 |
| too much | 15 s | 1,299.0× | 60.8× | -31.5 |
"""
CHAPTERS = chapters(ROOT / "notebooks")


def test_the_headline_is_the_smallest_model_that_costs_little():
    expected = "**12 times smaller, 6.8 times faster, 1.5 points less accurate**"
    assert front.headline(COSTS) == expected
    better = COSTS.replace("-1.5", "+0.4")
    assert "0.4 points more accurate" in front.headline(better)


def test_numbers_with_thousands_are_read_and_other_tables_refused():
    assert front.read_costs(COSTS)[3] == ("too much", 1299.0, 60.8, -31.5)
    with pytest.raises(InputError, match="expected columns smaller, faster and points"):
        front.read_costs(COSTS.replace("points", "loss"))
    with pytest.raises(InputError, match="expected columns"):
        front.read_costs(COSTS.replace("11.9×", "small"))


def test_the_picture_has_a_dot_for_each_model_and_its_text_the_figures(monkeypatch):
    drawn = []
    monkeypatch.setattr(front, "plot_pareto", lambda ax, *a: drawn.append(a) or ax)
    html = front.front_picture(COSTS)
    ((shares, points, names, techniques),) = drawn
    assert shares == pytest.approx([1, 1 / 3.7, 1 / 11.9, 1 / 1299]) and points[2] == -1.5
    assert names[1] == "PTQ, 8 bits"
    assert techniques == ["float", "ptq", "combined", "combined"]
    assert 'alt="Files and accuracy of 4 models of chapter 8. The smallest is 1299 times' in html


def test_the_stored_chapter_gives_a_headline():
    assert "times smaller" in front.headline(kept_results(CHAPTERS)["cost"])


def test_the_map_has_every_chapter_as_a_link_with_its_title_and_minutes():
    html = front.draw_map(CHAPTERS)
    assert "\n\n" not in html  # or Markdown would end the block there
    root = ElementTree.fromstring(html)
    links = [link for link in root.iter() if link.tag.endswith("}a")]
    assert [link.get("href") for link in links] == [
        f"../notebooks/{path.stem}.html" for path in CHAPTERS
    ]
    words = [" ".join(link.itertext()) for link in links]
    assert "Measure first" in words[0] and re.search(r"chapter 1, \d+ min", words[0])
    assert all(re.search(rf"chapter {i}\b", text) for i, text in enumerate(words, 1))


def test_no_two_boxes_of_the_map_overlap_and_arrows_go_down():
    assert len(set(front._PLACES.values())) == len(front._PLACES) == len(CHAPTERS)
    TopologicalSorter(front._NEEDS).prepare()
    for number, needs in front._NEEDS.items():
        assert all(front._PLACES[n][1] < front._PLACES[number][1] for n in needs)
