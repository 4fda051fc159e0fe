"""All checks of the audit, and the handling of data.audit.accept."""

from collections.abc import Callable, Iterator, Sequence

from churn.audit.drift import rate_drifts, time_without_time_split
from churn.audit.identifiers import id_like
from churn.audit.outcome_leaks import function_of_target, named_after_the_fact, predicts_alone
from churn.audit.repeats import repeats
from churn.audit.twins import customers_on_both_sides, exact_twins, near_twins
from churn.audit.view import AuditFinding, AuditInput, AuditView
from churn.config.contract import TableContract


def find_leaks(audited: AuditInput, contract: TableContract, *, by_time: bool) -> list[AuditFinding]:
    """All findings, by check and then in the contract's order; `by_time`: the split is by time."""
    view = AuditView(audited, contract, by_time)
    return [finding for check in CHECKS.values() for finding in check(view)]


def open_findings(findings: Sequence[AuditFinding], contract: TableContract) -> list[AuditFinding]:
    """Findings that data.audit.accept does not list."""
    return [finding for finding in findings if finding.name not in contract.audit.accept]


def needless_accepts(findings: Sequence[AuditFinding], contract: TableContract) -> list[str]:
    """Names in data.audit.accept without a finding."""
    names = {finding.name for finding in findings}
    return [name for name in contract.audit.accept if name not in names]


CHECKS: dict[str, Callable[[AuditView], Iterator[AuditFinding]]] = {
    "predicts_alone": predicts_alone,
    "function_of_target": function_of_target,
    "id_like": id_like,
    "twins_across_split": exact_twins,
    "near_twins_across_split": near_twins,
    "customers_on_both_sides": customers_on_both_sides,
    "repeats": repeats,
    "named_after_the_fact": named_after_the_fact,
    "rate_drifts": rate_drifts,
    "time_without_time_split": time_without_time_split,
}
