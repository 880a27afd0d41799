"""Open a page in a headless Chromium, use it as a reader does, and look at what it shows."""

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.tools.reporting.stored import GOOD, PALETTE, SEPICO, SOURCE_ONLY, WORSE, store_run
from tools.reporting import make_report

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = (400, 1600)


def executable(*names: str) -> str:
    """Find a program; without it skip the test, or fail where ``CI`` demands the browser."""
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        missing = f"no {names[0]}: install the packages chromium and chromium-driver"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    return path


@pytest.fixture
def browser() -> Iterator:
    programs = executable(*BROWSERS), executable("chromedriver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


def resize(browser, width: int, scheme: str) -> None:
    """Set the size of the window and the scheme of colours that its user prefers."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wishes.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def wait_for_color(browser, element, color: tuple[int, int, int]) -> None:
    """Wait until an element has a colour at three quarters of its width, near its lower edge."""
    from selenium.webdriver.support.ui import WebDriverWait

    def is_there(_) -> bool:
        with Image.open(io.BytesIO(element.screenshot_as_png)) as image:
            found = image.convert("RGB").getpixel((3 * image.width // 4, 4 * image.height // 5))
        return all(abs(a - b) < 8 for a, b in zip(found, color, strict=True))

    WebDriverWait(browser, 60).until(is_there, f"no {color}")


def find(browser, query: str) -> list:
    """Return the elements of a CSS selector."""
    return browser.find_elements("css selector", query)


def check_sorting(browser) -> None:
    """A heading sorts: numbers first from the largest one, then from the smallest."""

    def column(number: int) -> list[str]:
        cells = find(browser, f"#class-table tbody tr > :nth-child({number})")
        return [cell.text for cell in cells]

    headings = find(browser, "#class-table thead button")
    assert [heading.text for heading in headings][:2] == ["class", "source only"]
    headings[2].click()
    assert column(3) == ["75.00", "66.67", "0.00"]
    headings[2].click()
    assert column(3) == ["0.00", "66.67", "75.00"] and column(1) == ["car", "sky", "road"]
    assert find(browser, "#class-table tfoot th")[0].text == "mIoU"


def check_slider(browser) -> None:
    """Ground truth (road, sky) is to the left of it, the prediction (road, car) to the right."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.support.ui import Select

    (stage,), (slider,) = find(browser, ".stage"), find(browser, ".stage input")
    assert [tag.text for tag in find(browser, ".tag")] == ["ground truth", "SePiCo (DistCL)"]
    wait_for_color(browser, stage, PALETTE[2])
    drag = ActionChains(browser).move_to_element(slider).click_and_hold()
    drag.move_by_offset(0.45 * slider.size["width"], 0).release().perform()
    assert float(slider.get_property("value")) == pytest.approx(95, abs=2)
    wait_for_color(browser, stage, PALETTE[1])
    Select(find(browser, "#left")[0]).select_by_visible_text("image")
    wait_for_color(browser, stage, (90, 90, 90))


def check_curves(browser) -> None:
    """Pointing to a curve shows its values; the legend hides a run."""
    from selenium.webdriver import ActionChains

    chart = next(each for each in find(browser, ".chart") if each.text.startswith("mIoU"))
    (drawing,) = find(chart, "svg")
    ActionChains(browser).move_to_element(drawing).move_by_offset(150, 0).perform()
    tip = find(chart, ".tip")[0].text.splitlines()
    assert tip == ["iteration 40", "47.22 SePiCo (DistCL)", "21.48 source only"]
    assert len(find(chart, "path")) == 2
    find(browser, "#run-legend button")[0].click()
    assert len(find(chart, "path")) == 1


def check_confusion(browser) -> None:
    """Pointing to a cell shows its share; another run can be chosen."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.support.ui import Select

    cells = find(browser, "#matrix rect.cell")
    assert len(cells) == 9
    ActionChains(browser).move_to_element(cells[1]).perform()
    assert find(browser, "#confusion-text")[0].text == "road → sky: 14.3 % of 70 pixels"
    Select(find(browser, "#confusion-run")[0]).select_by_visible_text("source only")
    first = [cell.text for cell in find(browser, "#confused td")[:2]]
    assert first == ["road → sky", "30.00 %"]  # of all pixels: 30 of 100


def check_screens(browser, folder: Path) -> None:
    """A phone need not scroll sideways, and the colours are those that the reader prefers."""
    sideways = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
    shades = set()
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            resize(browser, width, scheme)
            path = folder / f"{width}_{scheme}.png"
            assert browser.save_screenshot(str(path))
            with Image.open(path) as image:
                assert image.width == width
                shades.add((scheme, image.convert("RGB").getpixel((2, 2))))
            assert browser.execute_script(sideways) == 0
    assert shades == {("light", (255, 255, 255)), ("dark", (16, 19, 23))}


def test_a_reader_sorts_slides_and_points(tmp_path, browser):
    runs = [
        store_run(tmp_path / "source_only", SOURCE_ONLY, WORSE),
        store_run(tmp_path / "sepico", SEPICO, GOOD),
    ]
    page = make_report(runs, tmp_path / "out")
    resize(browser, 1600, "light")
    browser.get(page.as_uri())
    check_sorting(browser)
    check_slider(browser)
    check_curves(browser)
    check_confusion(browser)
    check_screens(browser, tmp_path)
    assert browser.get_log("browser") == []
