"""The HTML report in a real browser: sorting, what a mark says, and pages of any width."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from ablations.report.document import Column, Document, Items, Picture, Section, Table, Text
from ablations.report.formats import html
from ablations.report.formatting import NONE, count
from ablations.report.svg import INK, themed

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
CHROMEDRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="no Chromium with its chromedriver on PATH"),
]

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
VALUES = {"naive": 8.25, "reduced": 7.45, "long": None, "short": -1e-7, "short10": 7.45, "short9": 8.5, "empty": None}
WIDE = [f"wide column {number}" for number in range(8)]
RESULTS = Table(
    "results",
    pd.DataFrame(
        {
            "variant": list(VALUES),
            "error": list(VALUES.values()),
            "verdict": [None if x is None else "worse" if x > 8 else "about the same" for x in VALUES.values()],
            **{title: number * 10**9 for number, title in enumerate(WIDE)},
        }
    ),
    columns=[
        Column("variant", ("variant",)),
        # As text, and by their runs of digits, these stand in another order than as numbers.
        Column("error", ("error",), format=lambda x: NONE if pd.isna(x) else f"{x:g} ± 0.1"),
        Column("verdict", ("verdict",), style=lambda verdict: "strong" if verdict == "worse" else "plain"),
        *(Column(title, (title,), format=count) for title in WIDE),
    ],
)
LONG = "short: the mean of five seeds, on the front"
SVG = f"""<svg viewBox="0 0 300 200" width="300pt" height="200pt"><title>all of it</title>
<text id="ink" x="9" y="99" style="fill: {INK}">error</text>
<g id="one"><title>naive\n8.12 % &lt; 9 %</title><circle cx="60" cy="60" r="12"/></g>
<circle id="two" cx="240" cy="140" r="12"><title>{LONG}</title></circle></svg>"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "localhost,127.0.0.1")  # where the driver listens
        # With both paths given, selenium looks for no driver of its own.
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=CHROMEDRIVER))
        yield driver
        driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    blocks = [Items([f"**Hash:** `{'0123456789abcdef' * 4}`"]), RESULTS, Picture("dots", "two dots")]
    folded = [Section(title, [Text(f"inside {title}")], fold="what is inside") for title in ("Tests", "Origin")]
    document = Document(
        "Suite made", [Section("Results", blocks), Section("Notes", [Text("long " * 200, "note")]), *folded]
    )
    path: Path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html.render(document, svgs={"dots": themed(SVG)}), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def page(browser: webdriver.Chrome, address: str) -> Iterator[webdriver.Chrome]:
    """The page, fresh in a wide window; no test may leave an error in the browser's log."""
    resize(browser, width=1280)
    emulate(browser, scheme="light")
    browser.get(address)
    yield browser
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def resize(browser: webdriver.Chrome, *, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def emulate(browser: webdriver.Chrome, *, scheme: str, media: str = "") -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def header(page: webdriver.Chrome, column: str) -> WebElement:
    return page.find_element(By.XPATH, f"//thead//button[.='{column}']")


def variants(page: webdriver.Chrome) -> list[str]:
    return [cell.text for cell in page.find_elements(By.CSS_SELECTOR, "tbody th")]


def tip(page: webdriver.Chrome) -> str | None:
    found = page.find_element(By.CSS_SELECTOR, "[role=tooltip]")
    return found.text if found.is_displayed() else None


def test_a_column_of_figures_sorts_by_value_with_gaps_last_both_ways(page: webdriver.Chrome) -> None:
    gaps = [name for name, value in VALUES.items() if value is None]
    known = {name: value for name, value in VALUES.items() if value is not None}
    assert variants(page) == list(VALUES)
    header(page, "error").click()
    rising = sorted(known, key=known.__getitem__)
    assert variants(page) == rising + gaps
    header(page, "error").click()
    assert variants(page) == sorted(rising, key=known.__getitem__, reverse=True) + gaps  # ties stay as they are
    header(page, "error").click()
    assert variants(page)[: len(known)] == sorted(known, key=lambda name: known[name])


def test_a_column_of_text_sorts_by_text_and_numbers_within_it(page: webdriver.Chrome) -> None:
    header(page, "variant").click()
    assert variants(page) == ["empty", "long", "naive", "reduced", "short", "short9", "short10"]
    header(page, "verdict").click()
    same, worse = ["reduced", "short", "short10"], ["naive", "short9"]
    assert variants(page) == [*same[:2], "short10", *worse, "empty", "long"]


def test_a_header_sorts_from_the_keyboard_and_says_which_way(page: webdriver.Chrome) -> None:
    heads = page.find_elements(By.CSS_SELECTOR, "thead th")
    assert {head.get_attribute("aria-sort") for head in heads} == {None}
    header(page, "error").send_keys(Keys.ENTER)
    assert heads[1].get_attribute("aria-sort") == "ascending"
    header(page, "error").send_keys(Keys.SPACE)
    assert heads[1].get_attribute("aria-sort") == "descending"
    header(page, "variant").send_keys(Keys.ENTER)
    assert [head.get_attribute("aria-sort") for head in heads[:3]] == ["ascending", None, None]
    assert variants(page) == ["empty", "long", "naive", "reduced", "short", "short9", "short10"]


def test_a_mark_says_its_title_while_the_pointer_is_on_it(page: webdriver.Chrome) -> None:
    assert tip(page) is None
    mark = page.find_element(By.CSS_SELECTOR, "#one circle")
    ActionChains(page).move_to_element(mark).perform()
    assert tip(page) == "naive\n8.12 % < 9 %"
    first = page.find_element(By.CSS_SELECTOR, "[role=tooltip]").location
    ActionChains(page).move_to_element_with_offset(mark, 6, 0).perform()
    second = page.find_element(By.CSS_SELECTOR, "[role=tooltip]").location
    assert (second["x"] - first["x"], second["y"] - first["y"]) == (6, 0)
    ActionChains(page).move_to_element(page.find_element(By.ID, "two")).perform()
    assert tip(page) == LONG
    ActionChains(page).move_to_element(page.find_element(By.TAG_NAME, "h1")).perform()
    assert tip(page) is None


def test_no_title_is_left_for_the_browser_to_show_a_second_time(page: webdriver.Chrome) -> None:
    assert page.find_elements(By.CSS_SELECTOR, "svg title, [title]") == []
    assert page.find_element(By.ID, "two").get_attribute("aria-label") == LONG
    assert page.find_element(By.TAG_NAME, "svg").get_attribute("aria-label") == "all of it"


def test_marks_are_reached_from_the_keyboard(page: webdriver.Chrome) -> None:
    header(page, "wide column 7").send_keys(Keys.TAB)
    assert tip(page) == "naive\n8.12 % < 9 %"
    ActionChains(page).send_keys(Keys.ARROW_RIGHT).perform()
    assert tip(page) == LONG
    ActionChains(page).send_keys(Keys.ARROW_RIGHT).perform()
    assert tip(page) == "naive\n8.12 % < 9 %"
    ActionChains(page).move_to_element(page.find_element(By.TAG_NAME, "figcaption")).perform()
    assert tip(page) == "naive\n8.12 % < 9 %", "a pointer elsewhere in the figure has nothing to take away"
    ActionChains(page).send_keys(Keys.ESCAPE).perform()
    assert tip(page) is None


@pytest.mark.parametrize("width", [320, 380, 768, 1280])
def test_a_wide_table_scrolls_by_itself_and_the_page_does_not(page: webdriver.Chrome, width: int) -> None:
    resize(page, width=width)
    widths = page.execute_script(
        "const [root, box] = [document.documentElement, document.querySelector('.scroll')];"
        "return [root.clientWidth, root.scrollWidth, document.body.scrollWidth, box.clientWidth, box.scrollWidth]"
    )
    window, root, body, box, table = widths
    assert max(root, body) <= window <= width
    assert table > box, "the table of this test is meant to be too wide"


def test_the_tooltip_stays_within_a_narrow_window(page: webdriver.Chrome) -> None:
    resize(page, width=320)
    ActionChains(page).move_to_element(page.find_element(By.ID, "two")).perform()
    box = page.find_element(By.CSS_SELECTOR, "[role=tooltip]").rect
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 320
    assert page.execute_script("return document.documentElement.scrollWidth") <= 320


def contrast(page: webdriver.Chrome, selector: str, paint: str = "color") -> float:
    """The contrast of an element's text with the page, as WCAG 2.2 defines it, from 1 to 21."""
    style = (
        "const of = (s, p) => getComputedStyle(document.querySelector(s))[p].match(/[\\d.]+/g).slice(0, 3).map(Number);"
    )
    style += "return [of(arguments[0], arguments[1]), of('body', 'backgroundColor')]"
    colours = page.execute_script(style, selector, paint)
    linear = [
        [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)] for rgb in colours
    ]
    low, high = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in linear)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_figures_are_legible_in_both_schemes(page: webdriver.Chrome, scheme: str) -> None:
    emulate(page, scheme=scheme)
    background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    card = page.find_element(By.TAG_NAME, "figure").value_of_css_property("background-color")
    assert card == "rgba(0, 0, 0, 0)", "a figure lies on the page itself"
    assert contrast(page, "#ink", "fill") >= 4.5
    for selector in ("body", "nav a", "thead button", ".facts strong", "figcaption", "summary span"):
        assert contrast(page, selector) >= 4.5, selector  # level AA


def test_a_folded_section_opens_by_its_summary_and_by_a_link_to_it(page: webdriver.Chrome) -> None:
    def seen() -> list[bool]:
        return [paragraph.is_displayed() for paragraph in page.find_elements(By.CSS_SELECTOR, "details p")]

    assert seen() == [False, False]
    page.find_element(By.CSS_SELECTOR, "summary").send_keys(Keys.ENTER)
    assert seen() == [True, False]
    page.find_element(By.LINK_TEXT, "Origin").click()
    WebDriverWait(page, 5).until(lambda _: seen() == [True, True])


def test_printing_opens_every_fold_and_closes_it_again(page: webdriver.Chrome) -> None:
    page.execute_script(
        "const folds = () => [...document.querySelectorAll('details')].map((fold) => fold.open);"
        "window.seen = [];"
        "for (const kind of ['beforeprint', 'afterprint']) addEventListener(kind, () => seen.push(folds()));"
    )
    page.execute_script("document.querySelector('details').open = true")
    page.execute_cdp_cmd("Page.printToPDF", {})
    assert page.execute_script("return seen") == [[True, True], [True, False]]


def test_print_is_light_and_leaves_out_the_contents(page: webdriver.Chrome) -> None:
    emulate(page, scheme="dark", media="print")
    assert page.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.find_element(By.TAG_NAME, "nav").is_displayed()


def test_the_page_asks_for_nothing_but_itself(page: webdriver.Chrome) -> None:
    assert page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []
    blocked = page.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "document.addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));"
        "new Image().src = 'http://127.0.0.1:9/x.png';"
    )
    assert blocked == "img-src"
    assert "Content Security Policy" in page.get_log("browser")[-1]["message"]
