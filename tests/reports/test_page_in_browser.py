"""The page in headless Chromium: what a reader does with it works, and it asks for nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cl_bench.finished_run import Run
from cl_bench.reports.page import render
from cl_bench.reports.report import StandardReport

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

pytestmark = pytest.mark.browser

Make = Callable[..., Run]
EmbedTask = Callable[..., Path]
EVIL = "</script><script>document.title='caught'</script>"
PLOT = ".field > canvas"


class Reader:
    """Somebody who looks at a page."""

    def __init__(self, driver: WebDriver, page: Path) -> None:
        self.driver, self.page = driver, page
        self.window(1200, 900)
        driver.get_log("browser")
        driver.get_log("performance")
        driver.get(page.as_uri())

    def window(self, width: int, height: int, scheme: str = "light") -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def script(self, text: str, *arguments: object) -> Any:
        return self.driver.execute_script(text, *arguments)

    def settled(self) -> None:
        """After the next drawing."""
        self.driver.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))"
        )

    def click(self, selector: str) -> None:
        self.find(selector).click()
        self.settled()

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()
        self.settled()

    @property
    def drawn(self) -> int:
        return int(self.find(PLOT).get_attribute("data-drawn") or -1)

    def inked(self) -> int:
        """Pixels of the plot that are not its background, which the corner has."""
        return int(
            self.script(
                "const c = document.querySelector(arguments[0]), d = c.getContext('2d')"
                ".getImageData(0, 0, c.width, c.height).data;"
                "const differs = (i) => [0, 1, 2].some((k) => d[i + k] !== d[k]);"
                "let n = 0; for (let i = 0; i < d.length; i += 4) n += differs(i); return n",
                PLOT,
            )
        )

    def left_edge(self) -> int:
        """The first column of the plot where something is drawn."""
        return int(
            self.script(
                "const c = document.querySelector(arguments[0]), d = c.getContext('2d')"
                ".getImageData(0, 0, c.width, c.height).data;"
                "for (let x = 0; x < c.width; x++) for (let y = 0; y < c.height; y++)"
                "  if ([0, 1, 2].some((k) => d[4 * (y * c.width + x) + k] !== d[k])) return x",
                PLOT,
            )
        )

    def colour(self, selector: str, name: str) -> str:
        return str(
            self.script("return getComputedStyle(arguments[0])[arguments[1]]", self.find(selector), name)
        )

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """What was asked for since the page was opened, data inside it left out."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [
            m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith("data:")]


@pytest.fixture
def open_page(browser: WebDriver, tmp_path: Path) -> Callable[..., Reader]:
    def open_(*runs: Run) -> Reader:
        page = tmp_path / "index.html"
        page.write_text(render(StandardReport._content(list(runs)), []), encoding="utf-8")
        return Reader(browser, page)

    return open_


@pytest.fixture
def reader(make_run: Make, embed_task: EmbedTask, open_page: Callable[..., Reader]) -> Reader:
    """Of a run of three tasks: classes 1, 2, 3 with four real and four replayed samples each."""
    run = make_run(costs={"seconds_evaluation": 1.0, "seconds_by_evaluator": {"umap": 1.0}})
    for t in range(3):
        embed_task(run, t, classes=t + 1, depth=t + 1)
    return open_page(run)


def test_it_asks_for_nothing_and_complains_of_nothing(reader: Reader) -> None:
    reader.settled()
    assert reader.drawn == 24
    for selector in ("input[value=real]", "[data-zoom=in]", ".theme", "[data-classes=none]"):
        reader.click(selector)
    assert reader.requests() == [reader.page.as_uri()]
    assert reader.complaints() == []


def test_sources_and_classes_are_switched(reader: Reader) -> None:
    reader.settled()
    everything = reader.inked()
    reader.click("input[value=real]")
    assert reader.drawn == 12
    assert 0 < reader.inked() < everything
    reader.click(".classes label:nth-child(2) input")
    assert reader.drawn == 8
    reader.click("[data-classes=none]")
    assert reader.drawn == 0
    assert reader.inked() == 0, "nothing at all is left in the plot"
    reader.click("[data-classes=all]")
    reader.click("input[value=real]")
    assert reader.drawn == 24
    assert reader.inked() == everything


def test_the_slider_goes_from_task_to_task(reader: Reader) -> None:
    from selenium.webdriver.common.keys import Keys

    reader.script("document.querySelector('input[type=range]').focus()")
    assert reader.find(".when").text == "after task 3 of 3"
    reader.press(Keys.ARROW_LEFT)
    assert (reader.find(".when").text, reader.drawn) == ("after task 2 of 3", 16)
    reader.press(Keys.HOME)
    assert (reader.find(".when").text, reader.drawn) == ("after task 1 of 3", 8)
    shown = [label.text for label in reader.driver.find_elements("css selector", ".classes label")]
    assert [text for text in shown if text] == ["cat"], "only the classes of that task can be chosen"


def thumbnail(reader: Reader) -> list[int]:
    """The grey level in the middle of the card's picture, and its size."""
    return list(
        reader.script(
            "const c = document.querySelector('.card canvas');"
            "const pixel = c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data;"
            "return [pixel[0], c.width, c.height]"
        )
    )


def test_hovering_shows_the_image(reader: Reader) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    # The leftmost of all points: class 0, and which source is known from what the card says.
    x, y = reader.script(
        "const c = document.querySelector(arguments[0]), d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data;"
        "for (let x = 0; x < c.width; x++) for (let y = 0; y < c.height; y++)"
        "  if ([0, 1, 2].some((k) => d[4 * (y * c.width + x) + k] !== d[k]))"
        "    return [x - c.width / 2 + 3, y - c.height / 2]",
        PLOT,
    )
    plot = reader.find(PLOT)
    reader.script("arguments[0].scrollIntoView({block: 'center'})", plot)
    assert not reader.find(".card").is_displayed()
    ActionChains(reader.driver).move_to_element_with_offset(plot, int(x), int(y)).perform()
    reader.settled()
    assert reader.find(".card .class").text == "cat"
    source = reader.find(".card .source").text
    assert source in ("real (test)", "replay")
    assert thumbnail(reader) == [int(source == "replay"), 112, 112]
    ActionChains(reader.driver).move_to_element(reader.find("h1")).perform()
    assert not reader.find(".card").is_displayed()


def test_all_of_it_by_keyboard(reader: Reader) -> None:
    from selenium.webdriver.common.keys import Keys

    reader.press(Keys.TAB)
    assert reader.script("return document.activeElement.className") == "skip"
    reached = set()
    for _ in range(60):
        reader.press(Keys.TAB)
        reached.add(
            reader.script(
                "const e = document.activeElement;"
                "return e.dataset.zoom ?? e.dataset.classes ?? (e.value || e.className || e.tagName)"
            )
        )
    buttons, boxes = {"theme", "in", "out", "reset", "all", "none"}, {"real", "replay", "on"}
    assert buttons | boxes | {"CANVAS", "2", "SUMMARY"} <= reached
    reader.script("document.querySelector(arguments[0]).focus()", PLOT)
    reader.press("n")
    assert reader.find(".card").is_displayed()
    classes = set()
    for _ in range(23):
        classes.add(
            (reader.find(".card .class").text, reader.find(".card .source").text, thumbnail(reader)[0])
        )
        reader.press("n")
    names = {"cat": 0, "dog": 10, "owl": 20}
    assert classes == {(n, "real (test)", v) for n, v in names.items()} | {
        (n, "replay", v + 1) for n, v in names.items()
    }
    assert "generation depth 3" in reader.find(".card .depth").text
    reader.press(Keys.ESCAPE)
    assert not reader.find(".card").is_displayed()
    before = reader.inked()
    for _ in range(8):
        reader.press("+")
    assert reader.drawn < 24, "zoomed in on the middle"
    reader.press("0")
    assert reader.drawn == 24
    assert reader.inked() == before


def test_dragging_pans_once_zoomed_in(reader: Reader) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    plot = reader.find(PLOT)
    reader.script("arguments[0].scrollIntoView({block: 'center'})", plot)
    for _ in range(4):
        reader.click("[data-zoom=in]")
    before = reader.left_edge()
    ActionChains(reader.driver).click_and_hold(plot).move_by_offset(50, 0).release().perform()
    reader.settled()
    assert reader.left_edge() == before + 50, "what is drawn follows the pointer"
    reader.click("[data-zoom=reset]")
    assert reader.drawn == 24


def test_light_and_dark(reader: Reader) -> None:
    white, black = "rgb(255, 255, 255)", "rgb(20, 23, 26)"
    assert reader.colour("body", "backgroundColor") == white
    reader.window(1200, 900, "dark")
    reader.settled()
    assert reader.colour("body", "backgroundColor") == black, "as the system prefers"
    assert reader.find(".theme").text == "Light"
    reader.click(".theme")
    assert reader.colour("body", "backgroundColor") == white, "the button is stronger"
    reader.driver.refresh()
    assert reader.colour("body", "backgroundColor") == black, "and remembers nothing"


@pytest.mark.parametrize("width", [360, 1600])
def test_nothing_is_wider_than_the_window(reader: Reader, width: int) -> None:
    reader.window(width, 800)
    reader.settled()
    assert reader.script("return document.documentElement.scrollWidth") == width
    assert reader.drawn == 24
    assert reader.script("return document.querySelector(arguments[0]).clientWidth", PLOT) > 300


def test_names_are_names(make_run: Make, embed_task: EmbedTask, open_page: Callable[..., Reader]) -> None:
    run = make_run(EVIL, class_names=(EVIL, "<img src=x onerror=alert(1)>", "\"'`"))
    embed_task(run, 2)
    reader = open_page(run)
    reader.settled()
    assert reader.drawn == 24
    assert EVIL in reader.driver.title
    assert EVIL in reader.find("h1").text
    assert reader.driver.find_elements("css selector", ".classes label")[0].text == EVIL
    assert reader.complaints() == []
    assert reader.requests() == [reader.page.as_uri()]


def test_runs_compared_unfold_one_by_one(
    make_run: Make, embed_task: EmbedTask, open_page: Callable[..., Reader]
) -> None:
    runs = [make_run(), make_run("ddgr")]
    for run in runs:
        embed_task(run, 2)
    reader = open_page(*runs)
    details = reader.driver.find_elements("css selector", "details")
    plots = reader.driver.find_elements("css selector", PLOT)
    assert [plot.get_attribute("data-drawn") for plot in plots] == [None, None]
    for one in details:
        if one.find_elements("css selector", PLOT):
            reader.script("arguments[0].open = true", one)
    reader.settled()
    assert [plot.get_attribute("data-drawn") for plot in plots] == ["24", "24"]
    assert reader.complaints() == []


@pytest.mark.perf
def test_ten_thousand_points_pan_at_sixty_frames_a_second(
    make_run: Make,
    embed_task: EmbedTask,
    open_page: Callable[..., Reader],
    record_property: Callable[..., None],
) -> None:
    """The drawing of a frame, pixels read back so that none of it is put off: below 16 ms in the median."""
    names = tuple(f"class {c}" for c in range(100))
    run = make_run(class_names=names)
    embed_task(run, 2, classes=100, each=50, side=None)
    reader = open_page(run)
    reader.settled()
    assert reader.drawn == 10_000
    reader.script("document.querySelector('[data-zoom=in]').click()")
    reader.settled()
    frames = reader.driver.execute_async_script(
        """
        const canvas = document.querySelector(arguments[0]), done = arguments[1], spent = [], gaps = [];
        let last = performance.now();
        const pan = (k) => {
          const key = k % 20 < 10 ? "ArrowLeft" : "ArrowRight", now = performance.now();
          gaps.push(now - last);
          last = now;
          canvas.dispatchEvent(new KeyboardEvent("keydown", { key }));
          requestAnimationFrame(() => {
            const start = performance.now();
            canvas.getContext("2d").getImageData(0, 0, 1, 1);
            spent.push(Number(canvas.dataset.milliseconds) + performance.now() - start);
            k < 100 ? pan(k + 1) : done([spent, gaps]);
          });
        };
        requestAnimationFrame(() => pan(0));
        """,
        PLOT,
    )
    spent, gaps = (sorted(values[10:]) for values in frames)
    told = {"draw": spent[len(spent) // 2], "draw at worst": spent[-1], "frame": gaps[len(gaps) // 2]}
    record_property("milliseconds", told)
    print(told, f"of {reader.drawn} points in view")
    assert reader.drawn > 5_000
    assert told["draw"] < 16
