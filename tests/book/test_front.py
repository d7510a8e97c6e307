"""The front page says what chapter 8 has stored, and its map is that of the chapters."""

import re
from graphlib import TopologicalSorter
from xml.etree import ElementTree

import pytest
from conftest import ROOT

from tutorial_utils.book import front, overview
from tutorial_utils.book.notebooks import chapters, kept_results
from tutorial_utils.errors import InputError

COSTS = """| recipe | accuracy | points (95 %) | file | ms, batch 1 | ms, batch 64 (speed-up) |
| :--- | ---: | ---: | ---: | ---: | ---: |
| float32 | 98% | +0.0 | 1,200 kB (1.0×) | 1 (1.0×) | 24 (1.0×) |
| PTQ, 8 bits | 98% | -0.0 (-0.1 to +0.1) | 300 kB (4.0×) | 1 (1.0×) | 9 (2.6×) |
| KD + PTQ | 97% | -1.5 (-2.0 to -1.0) | 100 kB (12.0×) | 1 (1.0×) | 3 (6.8×) |
| too much | 60% | -31.5 | 1 kB (1,200.0×) | 1 (1.0×) | 1 (60.8×) |
"""
CHAPTERS = chapters(ROOT / "notebooks")


def test_the_headline_is_the_smallest_model_that_costs_little():
    expected = "**12 times smaller, 6.8 times faster, 1.5 points less accurate**"
    assert front.headline(COSTS) == expected
    better = COSTS.replace("-1.5", "+0.4")
    assert "0.4 points more accurate" in front.headline(better)


def test_numbers_with_thousands_are_read_and_other_tables_refused():
    assert front.read_models(COSTS)[3] == ("too much", 1 / 1200, 60.8, -31.5)
    with pytest.raises(InputError, match="expected columns points, file and ms"):
        front.read_models(COSTS.replace("points", "loss"))
    with pytest.raises(InputError, match="expected columns"):
        front.read_models(COSTS.replace("100 kB", "small"))


def test_the_picture_has_a_dot_for_each_model_and_its_text_the_figures(monkeypatch):
    drawn = []
    monkeypatch.setattr(front, "plot_pareto", lambda ax, *a: drawn.append(a) or ax)
    html = front.front_picture(COSTS.replace("-0.0 (", "-1.6 ("))
    ((shares, points, names, techniques),) = drawn
    assert shares == pytest.approx([1, 1 / 4, 1 / 12, 1 / 1200]) and points[2] == -1.5
    assert names == ["float32", "", "KD + PTQ", "too much"]  # another beats the second
    assert techniques == ["float", "ptq", "combined", "float"]
    assert 'alt="Files and accuracy of 4 models of chapter 8. The smallest is 1200 times' in html


def test_the_stored_chapter_gives_a_headline():
    assert "times smaller" in front.headline(kept_results(CHAPTERS)["combining"])


def test_the_map_has_every_chapter_as_a_link_with_its_title_and_minutes():
    html = overview.draw_map(CHAPTERS)
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
    assert len(set(overview._PLACES.values())) == len(overview._PLACES) == len(CHAPTERS)
    TopologicalSorter(overview._NEEDS).prepare()
    for number, needs in overview._NEEDS.items():
        assert all(overview._PLACES[n][1] < overview._PLACES[number][1] for n in needs)
