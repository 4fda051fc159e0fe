"""What `churn monitor` and `churn outcomes` write for Prometheus, with made-up figures."""

import time
from collections.abc import Collection
from pathlib import Path

CHECKS = ("scores", "columns", "joint", "missing", "unseen")
A_DAY = 86_400


def write_textfile(folder: Path, name: str, text: str) -> None:
    """Put a file of metrics into place at once, as the commands do."""
    draft = folder / f"{name}.draft"
    draft.write_text(text)
    draft.rename(folder / name)


def figures_of_monitor(alarms: Collection[str] = ()) -> str:
    """A look at drift: which checks raise an alarm."""
    now = time.time()
    lines = [
        f"churn_monitor_last_look_timestamp_seconds {now}",
        "churn_monitor_customers 1000",
        f"churn_monitor_score_shift {0.21 if 'scores' in alarms else 0.02}",
        f"churn_monitor_newest_row_timestamp_seconds {now - 60}",
        f"churn_monitor_model_committed_timestamp_seconds {now - 10 * A_DAY}",
        "churn_monitor_tracking_pending_records 0",
        "churn_monitor_tracking_reachable 1",
        'churn_monitor_info{fingerprint="0123456789ab"} 1',
        'churn_monitor_column_shift{column="plan"} 0.31',
        'churn_monitor_column_shift{column="months"} 0.02',
    ]
    for check in CHECKS:
        lines.append(f'churn_monitor_alarm{{check="{check}"}} {int(check in alarms)}')
        lines.append(f'churn_monitor_p_value{{check="{check}"}} {0.0004 if check in alarms else 0.4}')
    for bound, value in (("low", 9000), ("value", 9985), ("high", 11000)):
        lines.append(f'churn_monitor_estimated_profit_per_1000{{bound="{bound}"}} {value}')
    return "\n".join(lines) + "\n"


def figures_of_outcomes() -> str:
    """Outcomes that are as was predicted, for the champion and its shadow."""
    lines = [f"churn_outcomes_last_look_timestamp_seconds {time.time()}"]
    for model in ("champion", "shadow"):
        label = f'model="{model}"'
        lines += [
            f"churn_outcomes_known_share{{{label}}} 0.97",
            f"churn_outcomes_customers{{{label}}} 970",
            f"churn_outcomes_calibration_error{{{label}}} 0.014",
            f"churn_outcomes_calibration_error_by_chance{{{label}}} 0.031",
            f"churn_outcomes_cohort_timestamp_seconds{{{label}}} {time.time() - 40 * A_DAY}",
        ]
        for bound, realised, area in (("low", 8800, 0.81), ("value", 9900, 0.84), ("high", 11200, 0.87)):
            lines.append(f'churn_outcomes_realised_profit_per_1000{{{label},bound="{bound}"}} {realised}')
            lines.append(f'churn_outcomes_estimated_profit_per_1000{{{label},bound="{bound}"}} {realised + 50}')
            lines.append(f'churn_outcomes_roc_auc{{{label},bound="{bound}"}} {area}')
    return "\n".join(lines) + "\n"
