"""Kinds of files of a project that commands read, each by a path or pattern; the tests of damaged files damage all."""

from datetime import UTC, datetime

from churn import files
from churn.config.params import PARAMS_FILE
from churn.history.predictions.log import LoggedPrediction
from churn.history.state import LOCK_FILE, PIPELINE_FILE
from churn.monitoring import journal

PROVENANCE = "metrics/provenance/train.json"
TOKENS = ".churn/tokens.json"
LOG = "predictions/service/2026-03-01.parquet"
REQUEST = "00000000-0000-0000-0000-000000000001"
"""Id of the request that `logged_predictions` are of."""
RECORD = ".churn/outbox/records/0000000000001-record.json"
OUTCOME = ".churn/outbox/outcomes/0000000000001-record"

RESULTS = [
    *files.DETAILED_METRICS,
    files.AUDIT,
    files.REPORT,
    files.IMPORTANCE,
    files.OUT_OF_FOLD,
    files.TEST_PREDICTIONS,
    files.REFERENCE,
    files.REFERENCE_ROWS,
    files.MODEL,
    files.TRAIN_ROWS,
    files.TEST_ROWS,
    files.X_TRAIN,
    files.Y_TRAIN,
    files.Y_TEST,
    files.ENCODERS,
    files.SCALER,
]
IN_FOLDER = {
    LOCK_FILE,
    PIPELINE_FILE,
    PARAMS_FILE,
    "requirements.lock",
    PROVENANCE,
    *map(str, RESULTS),
    str(journal.JOURNAL),
    str(journal.OUTCOMES),
    LOG,
    RECORD,
    OUTCOME,
    TOKENS,
}
"""Damaged by `test_damaged_files`."""
IN_STORES = {"mlflow.db", ".churn/tuning/*.db", ".churn/tuning/*/*.npy", ".dvc/config"}
"""Damaged by `test_damaged_stores`."""
IN_CACHE = {".dvc/cache/files/md5/*/*"}
"""Damaged by `test_damaged_commits`, with the results of another commit."""


def logged_predictions(fingerprint: str) -> list[LoggedPrediction]:
    """Two customers of one request, as the service logs them."""
    customer: dict[str, str | float | None] = {"plan": "pro", "months": 3.0, "fee": None, "senior": "1"}
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
    return [
        LoggedPrediction(noon, REQUEST, place, f"{place:016x}", fingerprint, "1", 0.5, True, customer=customer)
        for place in range(2)
    ]
