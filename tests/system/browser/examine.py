"""Use the report as people do, and write down what came of it; a test judges that.

Runs in the image beside this file, on Debian's Python: `examine.py PAGE AXE SETTINGS BIGGER FOLDER`. SETTINGS is a
JSON file with thresholds and costs to set, BIGGER another page, which is only printed. Pictures, prints and
`found.json` go to FOLDER.
"""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

VIEWS = {
    f"{place}-{scheme}": (width, scheme)
    for place, width in (("desktop", 1280), ("phone", 390))
    for scheme in ("light", "dark")
}
READ = """
const exact = (id) => Number(document.getElementById(id).dataset.exact);
const names = "profit over-everybody share counted hits missed bothered spared hindsight".split(" ");
const told = document.getElementById("profit").textContent;
const text = (part) => document.querySelector(`#what-if-chart .${part}`).textContent;
const labels = ["at-zero", "at-highest", "at-end"].map(text);
const end = (curve) => Number(document.querySelector(`#what-if-chart .${curve}`).getAttribute("d").split(" ").pop());
const ends = { line: end("line"), reference: end("reference") };
return { ...Object.fromEntries(names.map((id) => [id, exact(id)])), told, labels, ends };
"""
SET = """
const form = document.querySelector("#explorer form");
for (const [name, value] of Object.entries(arguments[0])) {
  form.elements[name].value = value;
  form.elements[name].dispatchEvent(new Event("input", { bubbles: true }));
}
"""
SLIDE = """
const slider = document.querySelector(`[data-for="${arguments[0]}"]`);
slider.value = arguments[1];
slider.dispatchEvent(new Event("input", { bubbles: true }));
"""
REFUSED = """
const field = document.getElementById(arguments[0]);
const note = document.getElementById(`${arguments[0]}-allowed`);
return {
  invalid: field.getAttribute("aria-invalid"),
  note: note.checkVisibility() ? note.textContent : "",
  spoken: document.querySelector("[role=status]").textContent,
};
"""
AT_THE_LEFT = """
const slider = arguments[0].querySelector("input");
slider.value = 0;
slider.dispatchEvent(new Event("input", { bubbles: true }));
return slider.getAttribute("aria-valuetext");
"""
NONSENSE = {"acceptance": "30", "threshold": "1.5", "value": "", "offer": "-5", "contact": ""}
"""What a field cannot mean."""
AXE = """
const done = arguments[arguments.length - 1];
axe.run().then((found) => done(found.violations.map(({ id, impact, nodes }) =>
  ({ id, impact, nodes: nodes.map((node) => node.html.slice(0, 200)) }))));
"""
FOCUSED = "const one = document.activeElement; return one.outerHTML.slice(0, 90);"


def main(page: Path, axe: Path, settings: Path, bigger: Path, folder: Path) -> None:
    """Write what the page does into a folder."""
    options = ChromeOptions()
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    try:
        browser.execute_cdp_cmd("Network.enable", {})
        found = examine(browser, page.resolve().as_uri(), axe.read_text(), json.loads(settings.read_text()), folder)
        found["print"] = printed(browser, page.resolve().as_uri(), folder / "print.pdf")
        found["bigger"] = printed(browser, bigger.resolve().as_uri(), folder / "bigger.pdf")
    finally:
        browser.quit()
    (folder / "found.json").write_text(json.dumps(found, indent=2))


def examine(browser: Chrome, page: str, axe: str, settings: list[dict[str, float]], folder: Path) -> dict[str, Any]:
    """Every view, then the explorer, the charts and the keyboard."""
    widths, barriers = {}, {}
    for name, (width, scheme) in VIEWS.items():
        look(browser, width, scheme)
        browser.get(page)
        widths[name] = browser.execute_script("return document.documentElement.scrollWidth")
        photograph(browser, width, folder / f"{name}.png")
        browser.execute_script(axe)
        barriers[name] = browser.execute_async_script(AXE)
    look(browser, 1280, "light")
    browser.get(page)
    return {
        "widths": widths,
        "barriers": barriers,
        "at_first": browser.execute_script(READ),
        "settings": [after_setting(browser, one) for one in settings],
        "slid": after_sliding(browser),
        "refused": after_nonsense(browser),
        "reset": after_reset(browser),
        "dearer": after_setting(browser, {"value": 10 * float(value_of(browser, "value"))}),
        "begun": begun(browser, page),
        "read": read_charts(browser),
        "by_keyboard": by_keyboard(browser, page),
        "requests": requests(browser),
        "console": [entry["message"] for entry in browser.get_log("browser")],
    }


def look(browser: Chrome, width: int, scheme: str) -> None:
    """A screen of this width, in light or dark."""
    wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wishes.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def photograph(browser: Chrome, width: int, path: Path) -> None:
    """The whole page, from top to bottom."""
    height = browser.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    path.write_bytes(base64.b64decode(taken["data"]))


def after_setting(browser: Chrome, setting: dict[str, float]) -> dict[str, Any]:
    """What the explorer says once its fields hold these values."""
    browser.execute_script(SET, setting)
    return dict(browser.execute_script(READ))


def after_sliding(browser: Chrome) -> dict[str, Any]:
    """What the explorer and its fields say when a slider is moved."""
    browser.execute_script(SLIDE, "offer", 20)
    browser.execute_script(SLIDE, "threshold", 0.5)
    fields = {name: value_of(browser, name) for name in ("offer", "threshold")}
    return {**browser.execute_script(READ), "fields": fields}


def value_of(browser: Chrome, name: str) -> str:
    """What stands in a field."""
    return str(browser.find_element(By.ID, name).get_attribute("value"))


def after_nonsense(browser: Chrome) -> dict[str, Any]:
    """What is said of each field while it holds nonsense and after that, and the figures before and meanwhile."""
    told = {}
    for name, nonsense in NONSENSE.items():
        before, value = browser.execute_script(READ), value_of(browser, name)
        browser.execute_script(SET, {name: nonsense})
        refused = {**browser.execute_script(REFUSED, name), "before": before, "after": browser.execute_script(READ)}
        browser.execute_script(SET, {name: value})
        told[name] = {**refused, "mended": browser.execute_script(REFUSED, name)}
    return told


def after_reset(browser: Chrome) -> dict[str, Any]:
    """What the explorer says after its button was pressed."""
    browser.find_element(By.CSS_SELECTOR, "#explorer button").click()
    return dict(
        browser.execute_async_script(f"const done = arguments[0]; setTimeout(() => done((() => {{{READ}}})()), 50)")
    )


def begun(browser: Chrome, page: str) -> dict[str, list[str]]:
    """What each chart says before anybody reads it, and at the left end of its slider."""
    browser.get(page)
    figures = browser.find_elements(By.CSS_SELECTOR, "figure[data-chart]")
    return {
        figure.get_attribute("data-chart"): [
            figure.find_element(By.CSS_SELECTOR, "output").text,
            browser.execute_script(AT_THE_LEFT, figure),
        ]
        for figure in figures
    }


def read_charts(browser: Chrome) -> dict[str, list[str]]:
    """What each chart says when a pointer is at its left, in its middle and at its right."""
    read = {}
    for figure in browser.find_elements(By.CSS_SELECTOR, "figure[data-chart]"):
        svg, output = (figure.find_element(By.CSS_SELECTOR, part) for part in ("svg", "output"))
        browser.execute_script("arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })", svg)
        told = []
        for aside in (-0.3, 0, 0.4):
            ActionChains(browser).move_to_element_with_offset(svg, int(aside * svg.size["width"]), 0).perform()
            told.append(output.text)
        read[figure.get_attribute("data-chart")] = told
    return read


def by_keyboard(browser: Chrome, page: str) -> dict[str, Any]:
    """Tab through the page; arrows and digits on what stands in the way of the tab."""
    browser.get(page)
    stops = []
    for _ in range(80):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        stop = browser.execute_script(FOCUSED)
        if stop.startswith("<body"):
            break
        stops.append(stop)
        if 'data-for="value"' in stop or ('type="range"' in stop and "Read Profit" in stop):
            ActionChains(browser).send_keys(Keys.ARROW_RIGHT).perform()
        if 'id="contact"' in stop:
            ActionChains(browser).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).send_keys("3").perform()
    value = value_of(browser, "value")
    reading = browser.find_element(By.CSS_SELECTOR, "[data-chart=profit] input").get_attribute("aria-valuetext")
    return {"stops": stops, "value": value, "reading": reading, **browser.execute_script(READ)}


def printed(browser: Chrome, page: str, path: Path) -> dict[str, Any]:
    """Number of pages, text, and least height of a word of the print, from a dark screen."""
    look(browser, 1280, "dark")
    browser.get(page)
    sheet = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})
    path.write_bytes(base64.b64decode(sheet["data"]))
    text, words = poppler("pdftotext", "-layout", path, "-"), poppler("pdftotext", "-bbox", path, "-")
    return {"pages": words.count("<page "), "text": " ".join(text.split()), "least": min(heights(words))}


def poppler(*command: str | Path) -> str:
    """What one of its programs says."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def heights(words: str) -> list[float]:
    """Points from the top to the bottom of letters; a word that stands upright is narrow instead of low."""
    corners = re.findall(r'xMin="(.+?)" yMin="(.+?)" xMax="(.+?)" yMax="(.+?)">[^<]{3,}<', words)
    boxes = [[float(corner) for corner in four] for four in corners]
    return [min(right - left, bottom - top) for left, top, right, bottom in boxes]


def requests(browser: Chrome) -> list[str]:
    """Every address that a page asked for."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return sorted({one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:6]))
