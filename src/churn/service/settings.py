"""Settings of the service, from environment variables `CHURN_SERVE_...`."""

import os
import re
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from churn.errors import ChurnError, excerpt

PREFIX = "CHURN_SERVE_"
OF_LOOPBACK = ("localhost",)
A_DAY = 86_400
MOST_DAYS = 36_500
"""Timers and dates overflow far beyond these."""


class ModelPlace(StrEnum):
    """Where the model comes from."""

    FILE = "file"
    CHAMPION = "champion"


class FeatureLogging(StrEnum):
    """Which predictions are logged with the customer's columns."""

    NONE = "none"
    SAMPLE = "sample"
    ALL = "all"


class ServeSettings(BaseSettings):
    """Settings of the service. The command line sets some of them as well."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", allow_inf_nan=False
    )

    host: Annotated[str, Field(description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="port; 0 takes a free one")] = 8000
    model: Annotated[
        ModelPlace, Field(description="`file`: the model that `dvc.lock` records; `champion`: that of the registry")
    ] = ModelPlace.FILE
    poll_seconds: Annotated[float, Field(gt=0, le=A_DAY, description="seconds between looks for a new model")] = 5.0
    shadow: Annotated[
        Literal["challenger"] | None, Field(description="`challenger`: also score with that version, outside requests")
    ] = None
    shadow_queue: Annotated[int, Field(ge=1, description="requests that may wait for the shadow")] = 1_000
    authentication: Annotated[
        Literal["auto", "on", "off"],
        Field(description="`auto`: tokens are required once there is one, and on every address but loopback"),
    ] = "auto"
    hosts: Annotated[
        str, Field(description="names under which it is reached, where no token is required; `*` is any name")
    ] = "localhost,127.0.0.1,[::1]"
    tokens: Annotated[Path, Field(description="file with the hashes of tokens")] = Path(".churn/tokens.json")
    requests_a_second: Annotated[
        float | None, Field(gt=0, description="limit for each token, or for each address without tokens; empty: none")
    ] = None
    most_bytes: Annotated[int, Field(ge=1, description="longest body of a request")] = 1_000_000
    most_rows: Annotated[int, Field(ge=1, description="customers in one request")] = 10_000
    seconds: Annotated[float, Field(gt=0, le=A_DAY, description="time that a request may take")] = 5.0
    drain_seconds: Annotated[
        float,
        Field(ge=0, le=A_DAY, description="time between `not ready` and the last accepted connection, after SIGTERM"),
    ] = 1.0
    log: Annotated[Path | None, Field(description="folder of the prediction log; empty: none")] = None
    log_features: Annotated[
        FeatureLogging, Field(description="log the customers' columns: of `none`, of a `sample`, or of `all`")
    ] = FeatureLogging.NONE
    log_share: Annotated[float, Field(gt=0, le=1, description="share of requests in the sample")] = 0.01
    log_days: Annotated[int, Field(ge=1, le=MOST_DAYS, description="days that logged predictions are kept")] = 90
    log_requests: Annotated[bool, Field(description="write a JSON line for each request")] = True

    @property
    def needs_tokens(self) -> bool:
        """Whether tokens are required even if there is none."""
        return self.authentication == "on" or (self.authentication == "auto" and not self.is_on_loopback)

    @property
    def is_on_loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host in OF_LOOPBACK:
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def read_settings(**given: Any) -> ServeSettings:
    """Settings; values given on the command line come before the environment.

    Raises:
        ChurnError: a value is not accepted, or a variable of that prefix is unknown.
    """
    known = {f"{PREFIX}{name}".upper() for name in ServeSettings.model_fields}
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known:
            raise ChurnError(f"{name}: no such setting; docs/service.md lists all")
    try:
        return ServeSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        fault = error.errors()[0]
        name = f"{PREFIX}{fault['loc'][0]}".upper()
        reason = re.sub(r"^Input should be", "must be", fault["msg"])
        raise ChurnError(f"{name}: {excerpt(fault['input'])} is not accepted: {reason}") from None
