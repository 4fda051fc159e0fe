"""Aligned columns in a terminal."""

import base64
import json
import re
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.texts import aligned, as_cell, escaped_json, masked, secrets_in_address, text_of_cell


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_stand_to_the_right() -> None:
    rows = [("column", "missing", "why"), ("tenure", "-", "a number"), ("a", "12 %", "")]
    assert aligned(rows, right=(1,)) == [
        "column  missing  why",
        "tenure        -  a number",
        "a          12 %",
    ]


def test_a_sign_that_a_terminal_draws_over_two_columns_counts_as_two_and_an_accent_as_none() -> None:
    accents = "e\u0301t\u0301"
    assert aligned([("合同", "x"), ("plan", "x"), (accents, "x")]) == ["合同  x", "plan  x", f"{accents}    x"]


def test_a_table_without_rows_has_no_lines() -> None:
    assert aligned([]) == []


def test_json_without_what_moves_a_cursor_is_the_same_value() -> None:
    value = {"name": "größe \x9b2J \u202e 😀 \udcff"}
    printed = escaped_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert all(sign.isprintable() or sign == "\n" for sign in printed)
    assert "größe" in printed
    assert json.loads(printed) == value


SPELLINGS = {
    "as an address has it": "http://ann:{}@mlflow:5000/x: refused",
    "of a database": "postgresql+psycopg://ann:{}@db.example/mlflow",
    "without a user": "redis://:{}@cache/0",
    "as the user": "https://{}@mlflow.example",
    "in a list": "tried http://a/b, http://ann:{}@c:1/d and http://e",
    "in quotation marks": "cannot open 'mysql://ann:{}@db/x'",
    "as a parameter": "postgresql://db/mlflow?user=ann&password={}&sslmode=require",
    "as a parameter of TLS": "postgresql://db/mlflow?sslpassword={}",
    "as a signature": "https://bucket.example/x?X-Amz-Signature={}&X-Amz-Date=1",
    "as a token": "http://mlflow/api?access_token={}",
    "in a header": "GET / failed: {{'Authorization': 'Bearer {}'}}",
    "in a header of a name and a password": "Authorization: Basic {}",
    "in settings of PostgreSQL": "connection to host=db user=ann password={} failed",
    "quoted in settings": "dsn: password='{}' host=db",
    "in a dictionary": "{{'user': 'ann', 'password': '{}'}}",
    "in JSON": '{{"access_token": "{}"}}',
    "in a setting of a cloud": "AccountName=ann;AccountKey={};EndpointSuffix=example",
    "in a header of its own": "X-Api-Key: {}",
    "in a header of a host of git": "PRIVATE-TOKEN: {}",
    "in a cookie": "Set-Cookie: session={}; Path=/",
    "in a header with a scheme": "authorization: Token {}",
    "cut off": "http://ann:{}...",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("password", ["s3cret-Word", "s3cret%40Word", "12345678s3cret"])
def test_a_password_is_masked_however_it_is_spelled(spelling: str, password: str) -> None:
    assert "s3cret" not in masked(spelling.format(password))


@pytest.mark.parametrize("sign", "@/?#:&=+%~!$^*()|,;")
def test_a_password_with_an_unescaped_sign_is_masked_in_an_address(sign: str) -> None:
    assert not {"s3cret", "Word"} & set(re.split(r"\W", masked(f"http://ann:s3cret{sign}Word@mlflow:5000/x")))


@given(st.text(st.characters(blacklist_categories=["Cc", "Cs", "Z"], blacklist_characters="<>'\""), min_size=1))
def test_no_password_of_an_address_is_left(password: str) -> None:
    address = f"http://ann:{password}@mlflow:5000/x"
    assert masked(f"{address}: refused").endswith("mlflow:5000/x: refused")
    assert masked(address) == masked("http://mlflow:5000/x")


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:////home/a@b/mlflow.db",
        "file:///C:/churn@home",
        "http://localhost:5000/#/experiments/1",
        "models:/churn@champion",
        "git@example.com:churn.git",
        "the token is missing; pass --token",
        "basic statistics, bearer of news",
        "key=value",
        "http://[::1]:5000, http://mlflow:5000.",
        "the token: not a number; tokens: 3",
        "churn/tracking/store/rows.py, requirements-notebook.lock",
    ],
)
def test_what_holds_no_secret_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize("secret", ["hunter22", "s3cr%t/W0rd+x", "grün & gelb", "a\\b'c\"d"])
@pytest.mark.parametrize("name", ["", "ann:", "a:", "anna:", "someone@example.com:"])
def test_a_secret_that_is_known_is_masked_in_every_form_that_a_client_gives_it(secret: str, name: str) -> None:
    basic = base64.b64encode(f"{name}{secret}".encode())
    by_url = base64.urlsafe_b64encode(f"{name}{secret}".encode())
    forms = [
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        quote(secret).lower(),
        repr(secret)[1:-1],
    ]
    forms += [json.dumps(secret)[1:-1], basic.decode(), by_url.decode(), basic.decode().rstrip("=")]
    assert {masked(f"refused <{form}>", [secret]) for form in forms} == {"refused <***>"}


@given(st.text(min_size=6), st.text())
def test_a_known_secret_in_base64_is_masked_behind_any_name(secret: str, name: str) -> None:
    told = base64.b64encode(f"{name}:{secret}".encode()).decode()
    assert masked(f"<{told}>", [secret]) == "<***>"


def test_a_name_and_a_password_that_nobody_knows_are_masked_where_a_server_repeats_them() -> None:
    assert masked(f"bad login {base64.b64encode(b'ann:hunter22').decode()}") == "bad login ***"


@pytest.mark.parametrize("address", ["https://{}@git.example/x.git", "http://ann:{}@h/x", "http://h/?sig_token={}&x=1"])
def test_an_address_gives_its_secrets_also_unescaped(address: str) -> None:
    given = "glpat-1234%2Fabcd-EFGH"
    assert {given, unquote(given)} <= set(secrets_in_address(address.format(given)))


def test_a_name_in_an_address_is_no_secret() -> None:
    assert secrets_in_address("postgresql://mlflow@db/mlflow") == []


def test_a_secret_that_is_known_is_masked_wherever_it_stands() -> None:
    assert masked("cannot log in with hunter22!", ["hunter22"]) == "cannot log in with ***!"


STARTS = st.sampled_from(["", "'", "''", " ", "=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"])


@given(st.builds("".join, st.lists(STARTS | st.text(max_size=4), max_size=4)))
def test_a_spreadsheet_finds_no_formula_in_a_cell_and_the_text_is_found_again(text: str) -> None:
    cell = as_cell(text)
    assert text_of_cell(cell) == text
    try:
        float(cell.replace(",", "."))
    except ValueError:
        assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))


@pytest.mark.parametrize("text", ["-5", "+49", "-1.5e3", "1,5", "K-7", "", "O'Neil", "'quoted'"])
def test_numbers_and_usual_texts_are_written_as_they_are(text: str) -> None:
    assert as_cell(text) == text


@pytest.mark.parametrize("text", ["=1+1", "+49 170 1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1", " =1", "--5", "'=1"])
def test_what_a_spreadsheet_would_calculate_gets_an_apostrophe(text: str) -> None:
    assert as_cell(text) == f"'{text}"
