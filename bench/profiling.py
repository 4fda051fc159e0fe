"""What a table of 1,000,000 rows and 30 columns costs: `churn init`, the contract, the audit. One core.

Run in the project's folder: taskset --cpu-list 0 python -m bench.profiling
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from churn.audit import checks
from churn.commands.init.proposal import ExaminedTable, examine, propose, target_with
from churn.config.params import PARAMS_FILE, Params, load_params
from churn.stages import preprocess

ROWS = 1_000_000


def wide_table(rows: int, seed: int) -> pd.DataFrame:
    """30 columns of every kind: ids, dates, names, prices, shares, counts, labels, codes, booleans, a copy, gaps."""
    random = np.random.default_rng(seed)
    number = pd.Series(np.arange(rows))
    amounts = {f"amount {place}": pd.Series(random.gamma(2.0, 500.0, rows).round(2)) for place in range(8)}
    prices = {
        f"price {place}": pd.Series(random.gamma(2.0, 5000.0, rows).round(2)).map("${:,.2f}".format)
        for place in range(4)
    }
    counts = {f"count {place}": pd.Series(random.poisson(5 * (place + 1), rows)).astype("str") for place in range(4)}
    labels = {
        f"label {place}": pd.Series(random.choice([f"label {value}" for value in range(4 * place + 3)], rows))
        for place in range(5)
    }
    flags = {f"flag {place}": pd.Series(random.choice(["yes", "no"], rows)) for place in range(3)}
    gappy = amounts["amount 0"].astype("str").where(random.random(rows) > 0.1, "NA")
    columns = {
        "customer id": number.map("C{:08d}".format),
        "since": pd.Series(np.datetime64("2015-01-01") + random.integers(0, 3000, rows)).astype("str"),
        "remark": number.map("customer {} called about a bill that was not right".format),
        "city code": pd.Series(random.integers(0, 300, rows)).map("{:05d}".format),
        **amounts,
        **prices,
        **counts,
        **labels,
        **flags,
        "gappy": gappy,
        "churned": pd.Series(random.choice(["1", "0"], rows, p=[0.2, 0.8])),
    }
    return pd.DataFrame(columns)


def main() -> None:
    """`churn init` on a table, then the contract and the audit beside the stage that they are part of, three times."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        wide_table(ROWS, seed=0).to_csv(path, index=False)
        print(f"{ROWS:,} rows, 30 columns, {path.stat().st_size / 1e6:.0f} MB")
        for _ in range(3):
            started, worked = time.perf_counter(), time.process_time()
            examined = examine(Path(folder), path, "churned")
            print(f"init {time.perf_counter() - started:.1f} s, {time.process_time() - worked:.1f} s of them computing")
        params = params_for(path, examined)
        for _ in range(3):
            seconds = seconds_of_steps(path, params)
            whole = sum(seconds.values())
            print(
                f"contract {seconds['contract'] / seconds['read']:.2f} of reading, "
                f"audit {seconds['audit'] / (whole - seconds['audit']):.2f} of the rest of the steps: "
                + ", ".join(f"{step} {taken:.1f} s" for step, taken in seconds.items())
            )


def params_for(path: Path, examined: ExaminedTable) -> Params:
    """The project's parameters with the table's own contract."""
    text = propose(Path(), examined, target_with(examined.profile.target, None)).new
    (path.parent / PARAMS_FILE).write_text(text, encoding="utf-8")
    return load_params(path.parent)


def seconds_of_steps(path: Path, params: Params) -> dict[str, float]:
    """Steps of preprocess until the encoding, which writes nothing but the audit's findings."""
    contract, how = params.data, params.preprocess
    seconds: dict[str, float] = {}
    last = time.perf_counter()

    def lap(step: str) -> None:
        nonlocal last
        seconds[step], last = time.perf_counter() - last, time.perf_counter()

    texts = preprocess.load_data(path, contract, how.split)
    lap("read")
    settled = preprocess.validate_data(path.parent, path, texts, contract)
    lap("contract")
    rows, _ = preprocess.clean_data(texts, settled, preprocess.read_times(texts, contract, how.split), contract)
    split = preprocess.split_data(rows, contract, how)
    lap("keys and split")
    checks.find_leaks(preprocess.audit_input(split, texts, contract, how), contract, by_time=how.split.by == "time")
    lap("audit")
    preprocess.encode_features(split, contract)
    lap("encoding")
    return seconds


if __name__ == "__main__":
    main()
