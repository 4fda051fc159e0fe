"""Tables of other people, each with what it is taken for."""

import gzip
import io
import zipfile
from dataclasses import dataclass

import numpy as np
import pandas as pd

ROWS = 60
RANDOM = np.random.default_rng(0)


def drawn(*texts: str) -> list[str]:
    """A column of the texts in no order, each of them in it."""
    return [*texts, *RANDOM.choice(texts, ROWS - len(texts))]


def amounts(form: str, *, comma: bool = False) -> list[str]:
    texts = [form.format(value) for value in RANDOM.gamma(2.0, 2000.0, ROWS)]
    return [text.translate(str.maketrans(",.", ".,")) for text in texts] if comma else texts


def numbered(form: str) -> list[str]:
    return [form.format(row * 7 + 1001) for row in range(ROWS)]


def csv(columns: dict[str, list[str]], delimiter: str, quote: str = '"', encoding: str = "utf-8") -> bytes:
    text = pd.DataFrame(columns).to_csv(sep=delimiter, quotechar=quote, quoting=1 if quote == "'" else 0, index=False)
    return str(text).encode(encoding)


def zipped(content: bytes, *names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return packed.getvalue()


def parquet() -> bytes:
    packed = io.BytesIO()
    table = pd.DataFrame(
        {
            "account": range(5000, 5000 + 13 * ROWS, 13),
            "prepaid": RANDOM.random(ROWS) < 0.5,
            "opened": pd.Timestamp("2020-01-01") + pd.to_timedelta(RANDOM.integers(0, 900, ROWS), unit="D"),
            "calls": pd.array(RANDOM.integers(0, 30, ROWS), dtype="Int64"),
            "balance": RANDOM.normal(0, 1e4, ROWS),
            "tariff": pd.Categorical(drawn("S", "M", "L")),
            "lost": RANDOM.random(ROWS) < 0.3,
        }
    )
    table.loc[3, "calls"] = None
    table.to_parquet(packed, index=False)
    return packed.getvalue()


@dataclass(frozen=True)
class Shape:
    """A table, the options it needs, and what it is taken for: columns by role, in the table's order."""

    file: str
    content: bytes
    options: str
    format: tuple[str, str, str, str]
    roles: str
    positive: str
    missing_values: tuple[str, ...] = ()


SHAPES = {
    "semicolons, decimal commas, windows-1252": Shape(
        "kunden.csv",
        csv(
            {
                "Kunden-Nr": numbered("K{}"),
                "Ort": drawn("Köln", "Ulm", "Bonn"),
                "Umsatz": amounts("{:,.2f} €", comma=True),
                "Rabatt": amounts("{:.1f} %", comma=True),
                "seit": [f"{day % 28 + 1:02}.03.2021" for day in range(ROWS)],
                "Kündigung": drawn("ja", "nein"),
            },
            ";",
            encoding="windows-1252",
        ),
        "--target Kündigung",
        (";", '"', "windows-1252", ","),
        "id categorical numeric numeric unused target",
        "ja",
    ),
    "tabs, thousands and currency": Shape(
        "accounts.tsv",
        csv(
            {
                "spend": amounts("${:,.2f}"),
                "region": drawn("1", "2", "3"),
                "visits": drawn("1", "2", "3", "0"),
                "status": drawn("active", "closed"),
            },
            "\t",
        ),
        "--target status",
        ("\t", '"', "utf-8", "."),
        "numeric categorical numeric target",
        "closed",
    ),
    "pipes and single quotes": Shape(
        "members.txt",
        csv(
            {
                "": [str(row) for row in range(ROWS)],
                "plan": drawn("basic|monthly", "basic|yearly", "pro: 'all'"),
                "fee": amounts("{:.2f}"),
                "outcome": drawn("A", "B"),
            },
            "|",
            quote="'",
        ),
        "--target outcome --positive B",
        ("|", "'", "utf-8", "."),
        "unused categorical numeric target",
        "B",
    ),
    "byte order mark, yes and no, gaps": Shape(
        "export.csv",
        csv(
            {
                "senior": drawn("Yes", "No", "?"),
                "tenure": [*drawn("1", "12", "24.5")[1:], "?"],
                "constant": drawn("x"),
                "Has Left": drawn("Yes", "No"),
            },
            ",",
            encoding="utf-8-sig",
        ),
        "--target 'Has Left'",
        (",", '"', "utf-8", "."),
        "boolean numeric unused target",
        "Yes",
        ("?",),
    ),
    "gzip": Shape(
        "export.csv.gz",
        gzip.compress(csv({"fee": amounts("{:.2f}"), "churn": drawn("1", "0")}, ",")),
        "--target churn",
        (",", '"', "utf-8", "."),
        "numeric target",
        "1",
    ),
    "zip, UTF-16": Shape(
        "export.zip",
        zipped(csv({"fee": amounts("{:.2f}"), "churn": drawn("no", "yes")}, ";", encoding="utf-16"), "deep/export.csv"),
        "--target churn",
        (";", '"', "utf-16", "."),
        "numeric target",
        "yes",
    ),
    "Parquet with types": Shape(
        "accounts.parquet",
        parquet(),
        "--target lost --id account",
        (",", '"', "utf-8", "."),
        "id boolean unused numeric numeric categorical target",
        "true",
    ),
    "ids, names, free text and copies": Shape(
        "people.csv",
        csv(
            {
                "uuid": numbered("{:08x}-aa"),
                "Name": [f"Kim {chr(65 + row // 26)}{chr(97 + row % 26)}" for row in range(ROWS)],
                "note": [f"has called {row} times, which is often, about a bill" for row in range(ROWS)],
                "band": (bands := drawn("low", "mid", "high")),
                "band_code": [{"low": "1", "mid": "2", "high": "3"}[band] for band in bands],
                "nothing": [""] * ROWS,
                "churned": (churned := drawn("0", "1")),
                "cancelled": [{"0": "open", "1": "shut"}[value] for value in churned],
            },
            ",",
        ),
        "--target churned",
        (",", '"', "utf-8", "."),
        "id unused unused categorical unused unused target unused",
        "1",
    ),
}
