"""`churn report`: open a copy of the committed report that shows its origin."""

import webbrowser
from pathlib import Path

from churn import files
from churn.errors import ChurnError
from churn.history import state, verify
from churn.history.lineage import origin_of
from churn.report.origin import with_origin

COPY = Path(".churn/report.html")
"""Ignored by git and DVC."""


def write_copy(root: Path) -> Path:
    """Write the report with its origin, and with a warning if inputs have changed since.

    Raises:
        ChurnError: there is no report, or it is not the one in dvc.lock.
    """
    page = root / files.REPORT
    if not page.exists():
        why = verify.FROM_GIT if state.read_lock(root) else "no report yet; run `dvc repro`"
        raise ChurnError(f"{files.REPORT}: {why}")
    verify.require_own_results(root, [str(files.REPORT)])
    fingerprint = state.fingerprint(verify.recorded_stages_of_workspace(root).stages)
    warning = _changes_since(root, fingerprint)
    text = files.read_bytes(page).decode(errors="replace")
    files.write_text(root / COPY, with_origin(text, origin_of(root, fingerprint), warning))
    return root / COPY


def _changes_since(root: Path, fingerprint: str) -> str:
    """What has changed since the report was made, and what to do; '' if nothing has."""
    if edited := state.edited_parameters(root):
        return f"Since it was made, {', '.join(edited)} changed in params.yaml; run dvc repro."
    if state.fingerprint(state.stages_from_files(root)) != fingerprint:
        return "Since it was made, code, data or the environment changed; run dvc repro."
    return ""


def open_in_browser(page: Path) -> bool:
    """Show a page in the user's browser; False if there is no graphical one."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    if type(browser) is webbrowser.GenericBrowser:  # a text browser, which would take over this terminal
        return False
    return browser.open(page.resolve().as_uri())
