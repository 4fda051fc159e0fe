"""Where a copy of the report belongs: commit, fingerprint and the way back, which the committed page cannot know."""

from dataclasses import dataclass

import jinja2

PLACE = "<!-- lineage -->"
"""Where the page has room for it."""


@dataclass(frozen=True)
class Origin:
    """A state of the pipeline, and what brings it back."""

    fingerprint: str
    commit: str | None
    commands: tuple[str, ...]


def with_origin(page: str, origin: Origin, warning: str = "") -> str:
    """The page, saying where it belongs and, if it is so, that the files have moved on."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("churn.report", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    block = environment.get_template("lineage.html.j2").render(origin=origin, warning=warning)
    return page.replace(PLACE, block, 1)
