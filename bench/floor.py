"""What no command that predicts can do without: read the table, ask the model. Nothing is checked, nothing written.

Run by `bench.growth`: python bench/floor.py TABLE MODEL CONTRACT, the last as JSON.
"""

import json
import sys

import joblib
import pyarrow.csv

ARROW_TYPES = {"numeric": "float64", "boolean": "float64", "categorical": "string"}


def main() -> None:
    """Score every row."""
    table, model, contract = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    types = {name: ARROW_TYPES[kind] for name, kind in contract["types"].items()}
    options = pyarrow.csv.ConvertOptions(
        column_types=types,
        include_columns=list(types),
        null_values=["", *contract["missing_values"]],
        strings_can_be_null=True,
    )
    customers = pyarrow.csv.read_csv(table, convert_options=options).to_pandas()
    probability = joblib.load(model).predict_proba(customers)[:, 1]
    print(f"{len(probability)} rows")


if __name__ == "__main__":
    main()
