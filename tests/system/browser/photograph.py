"""Open MLflow and JupyterLab, wait until they show what they should, and take a picture of each.

Runs in the image beside this file, on Debian's Python: `photograph.py TOKEN ROW LINK FOLDER`.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 60


def main(token: str, row: str, link: str, folder: Path) -> None:
    """Take pictures of MLflow's first page, the runs behind a link, the run of that name, and the executed notebook."""
    options = ChromeOptions()
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1700,1000"):
        options.add_argument(option)
    browser = Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    try:
        browser.get("http://localhost:5000/")
        until(browser, lambda: "Experiments" in text_of(browser))
        time.sleep(2)
        browser.save_screenshot(str(folder / "mlflow-first-page.png"))
        open_runs(browser, link, row)
        browser.save_screenshot(str(folder / "mlflow.png"))
        click(browser, f"//a[.='{row}']")
        until(browser, lambda: "Profit on test rows" in text_of(browser))
        time.sleep(2)
        browser.save_screenshot(str(folder / "mlflow-run.png"))
        photograph_jupyter(browser, token)
        browser.save_screenshot(str(folder / "jupyterlab.png"))
    except Exception:
        browser.save_screenshot(str(folder / "failed.png"))
        (folder / "failed.html").write_text(browser.page_source)
        raise
    finally:
        browser.quit()


def open_runs(browser: Chrome, link: str, row: str) -> None:
    """The list of the experiment's runs, as the link that `churn` prints opens it, with this one in it."""
    browser.get(f"http://localhost:5000{link}")
    until(browser, lambda: row in text_of(browser))
    for button in browser.find_elements(By.CSS_SELECTOR, "[aria-label='Close'], [aria-label='Close panel']"):
        button.click()
    time.sleep(2)  # what remains on the page spreads out


def photograph_jupyter(browser: Chrome, token: str) -> None:
    """The notebook, run from top to bottom by the menu, its what-if in view."""
    browser.get(f"http://jupyter:8888/lab/tree/notebooks/explore.ipynb?token={token}&reset")
    until(browser, lambda: "Explore" in text_of(browser) and "Python 3" in text_of(browser))
    for item in ("//*[contains(@class, 'lm-MenuBar-item')][.='Run']", "//*[@data-command='runmenu:run-all']"):
        click(browser, item)
    until(browser, lambda: "metrics.cv_roc_auc" in text_of(browser))  # a heading of what the last cell shows
    browser.execute_script("document.querySelector('.jp-WindowedPanel-outer').scrollTop -= 520")
    time.sleep(2)  # pictures are drawn


def click(browser: Chrome, xpath: str) -> None:
    """Click on what may take a moment to be there."""
    until(browser, lambda: bool(browser.find_elements(By.XPATH, xpath)))
    browser.find_element(By.XPATH, xpath).click()


def text_of(browser: Chrome) -> str:
    """What can be read on the page."""
    return str(browser.find_element(By.TAG_NAME, "body").text)


def until(browser: Chrome, shown: Callable[[], bool]) -> None:
    """Wait for what a page shows."""
    WebDriverWait(browser, SECONDS).until(lambda _: shown())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]))
