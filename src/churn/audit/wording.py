"""Findings in words: what a run prints, and what metrics/audit.json holds."""

from collections.abc import Iterator, Sequence
from typing import Any

from churn.audit.view import AuditFinding

COPIES_OF_CUSTOMERS = (
    "remove the copies from the table, or set data.id to a column that names customers, which keeps each in one split"
)
REMEDIES = {
    "twins_across_split": COPIES_OF_CUSTOMERS,
    "near_twins_across_split": COPIES_OF_CUSTOMERS,
    "customers_on_both_sides": "set data.id to it",
}
"""What to do about a finding of the audit, by check, where it is not the removal of a column."""


def as_report(findings: Sequence[AuditFinding], open_ones: Sequence[AuditFinding]) -> dict[str, Any]:
    """Content of metrics/audit.json; `open_ones` are the findings that are not accepted."""
    return {
        "failing": sum(finding.severity == "fail" for finding in open_ones),
        "warnings": sum(finding.severity == "warn" for finding in open_ones),
        "accepted": len(findings) - len(open_ones),
        "findings": [
            {
                "name": finding.name,
                "severity": finding.severity,
                "evidence": finding.evidence,
                "accepted": finding not in open_ones,
            }
            for finding in findings
        ],
    }


def describe(finding: AuditFinding) -> str:
    """Columns and evidence of a finding."""
    columns = ", ".join(map(repr, finding.columns))
    return f"{columns}: {finding.evidence}" if columns else finding.evidence


def objections(failing: Sequence[AuditFinding]) -> Iterator[str]:
    """A line for each column, or for each finding about whole rows, with what to do."""
    by_columns: dict[tuple[str, ...], list[AuditFinding]] = {}
    for finding in failing:
        by_columns.setdefault(finding.columns or (finding.check,), []).append(finding)
    for first, *others in by_columns.values():
        evidence = "; ".join([describe(first), *(finding.evidence for finding in others)])
        names = " and ".join(repr(finding.name) for finding in (first, *others))
        remedy = REMEDIES.get(first.check, "remove the column from data.columns")
        yield f"audit: {evidence}; {remedy}, or accept the finding: list {names} under data.audit.accept"
