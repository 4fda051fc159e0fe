"""Add commit, fingerprint and restore commands to a copy of the report; the committed page cannot contain them."""

from dataclasses import dataclass

PLACE = "<!-- lineage -->"
"""Placeholder in the page."""


@dataclass(frozen=True)
class Origin:
    """A state of the pipeline, and the commands that restore it."""

    fingerprint: str
    commit: str | None
    commands: tuple[str, ...]


def with_origin(page: str, origin: Origin, warning: str = "") -> str:
    """Insert the origin into the page, with a warning if the files have changed since."""
    import jinja2  # imported here: the service knows origins, and renders no page

    from churn.report.formats import printable

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("churn.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=printable,
    )
    block = environment.get_template("lineage.html.j2").render(origin=origin, warning=warning)
    return page.replace(PLACE, block, 1)
