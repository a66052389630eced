"""Drawings as files: tooltips, ids that are unique in a page, and the same bytes for the same data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.image import imread

from ablations.analysis.analyse import Analysis
from ablations.analysis.costs import COSTS
from ablations.report.figures.error_against_cost import draw_error_against_cost
from ablations.report.figures.figure import COLOURS, GREY
from ablations.report.formats import html
from ablations.report.svg import INK, Drawing, themed, to_svg, write_drawings

TITLE = "{http://www.w3.org/2000/svg}title"
HREF = "{http://www.w3.org/1999/xlink}href"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("figures")


@pytest.fixture(scope="module")
def svgs(drawings: Mapping[str, Drawing], folder: Path) -> dict[str, str]:
    """The SVG of every figure by name, as written to the folder."""
    return write_drawings(drawings, folder=folder)


def ids(root: ElementTree.Element) -> list[str]:
    return [element.attrib["id"] for element in root.iter() if "id" in element.attrib]


def test_every_tooltip_is_the_title_of_its_element(drawings: Mapping[str, Drawing], svgs: Mapping[str, str]) -> None:
    for name, drawing in drawings.items():
        root = ElementTree.fromstring(svgs[name])
        titles = {element.attrib["id"]: element[0].text for element in root.iter() if element.find(TITLE) is not None}
        assert titles == {f"{name}-{gid}": tip for gid, tip in drawing.tips.items()}
        assert len(set(ids(root))) == len(ids(root))


def test_several_svgs_can_stand_in_one_page(drawings: Mapping[str, Drawing]) -> None:
    bars, points = drawings["error_bars"], drawings["error_vs_macs"]
    texts = [to_svg(bars, prefix="a-"), to_svg(bars, prefix="b-"), to_svg(points, prefix="c-")]
    page = ElementTree.fromstring(f"<div>{''.join(texts)}</div>")
    assert len(set(ids(page))) == len(ids(page))
    for text, prefix in zip(texts, ("a-", "b-", "c-"), strict=True):
        assert text.startswith("<svg ") and "<?xml" not in text and "<!DOCTYPE" not in text
        root = ElementTree.fromstring(text)
        own = set(ids(root))
        assert all(name.startswith(prefix) for name in own)
        values = [value for element in root.iter() for value in element.attrib.values()]
        urls = {name for value in values for name in re.findall(r"url\(#([^)]*)\)", value)}
        links = {element.attrib[HREF].removeprefix("#") for element in root.iter() if HREF in element.attrib}
        assert urls and links, "clip paths, hatches, markers and letters are referred to"
        assert urls | links <= own


def test_a_tip_is_shown_as_it_is_written(drawings: Mapping[str, Drawing]) -> None:
    drawing = drawings["error_vs_params"]
    gid = next(iter(drawing.tips))
    text = to_svg(Drawing(drawing.figure, {gid: "a < b & 'c' > \"d\""}), prefix="")
    (title,) = ElementTree.fromstring(text).iter(TITLE)
    assert title.text == "a < b & 'c' > \"d\""


def test_a_notebook_shows_drawings_as_svg_without_a_shared_id(drawings: Mapping[str, Drawing]) -> None:
    shown = [drawings[name]._repr_html_() for name in ("error_bars", "rankings")]
    assert all(text.startswith("<svg ") and "<title>" in text for text in shown)
    every = [name for text in shown for name in ids(ElementTree.fromstring(text))]
    assert len(set(every)) == len(every)


def test_files_are_small_show_something_and_name_every_variant(
    five: Analysis, svgs: Mapping[str, str], folder: Path
) -> None:
    for name, svg in svgs.items():
        image = imread(folder / f"{name}.png")
        assert image.shape[0] > 400 and image.shape[1] > 600
        assert image[..., :3].std() > 0.02, "an empty canvas"
        assert (folder / f"{name}.svg").read_text(encoding="utf-8") == svg + "\n"
        assert max(len(svg.encode()), (folder / f"{name}.png").stat().st_size) < 150_000, name
        for variant in five.results.variants:
            named = f"<!-- {variant}" in svg or name == "rank_stability"  # which is of all of them together
            assert named, f"{name} does not name {variant}"


def test_a_drawing_that_was_used_before_gives_the_same_files(
    five: Analysis, drawings: Mapping[str, Drawing], tmp_path: Path
) -> None:
    fresh = draw_error_against_cost(five.results.summary, COSTS[0], fronts=five.pareto)
    used = drawings["error_vs_params"]
    to_svg(used, prefix="p-")
    for folder, drawing in (("used", used), ("fresh", fresh)):
        write_drawings({"points": drawing}, folder=tmp_path / folder)
    for name in ("points.png", "points.svg"):
        assert (tmp_path / "used" / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes()


# Colours


def luminance(colour: str) -> float:
    """As WCAG 2.2 defines it."""
    values = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", [*COLOURS[:-1], GREY])
def test_data_stand_out_on_a_light_page_and_on_a_dark_one(colour: str) -> None:
    css = (Path(html.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
    pages = re.findall(r"--page: (#\w+);", css)
    assert len(pages) == 2
    for page in pages:
        low, high = sorted(luminance(each) + 0.05 for each in (colour, page))
        assert high / low >= 3  # level AA for graphics


def test_in_a_page_text_and_paper_of_every_figure_are_those_of_the_page(svgs: Mapping[str, str]) -> None:
    known = {colour.lower() for colour in (*COLOURS[:-1], GREY)}
    for name, svg in svgs.items():
        shown = themed(svg)
        assert {colour.lower() for colour in re.findall(r": (#\w{6})", shown)} <= known, name
        letters = [use for use in ElementTree.fromstring(shown).iter() if "-text_" in use.attrib.get("id", "")]
        assert letters and all(": currentColor" in ElementTree.tostring(each, encoding="unicode") for each in letters)
        assert "var(--page)" in shown and INK not in shown
