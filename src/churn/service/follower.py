"""Follow a source of models: a new one is loaded beside the present one, proved, and put in its place."""

import logging
import random
import threading
import time
from collections.abc import Callable, Hashable

from churn.errors import ChurnError
from churn.service.served_model import ServedModel, make_served
from churn.service.sources import ModelSource, NoModelError

log = logging.getLogger(__name__)

JITTER = 0.2
"""Share of the time between looks that is random, so that replicas do not ask at once."""


class Follower:
    """Holds the present model of a source. Its attribute `model` is replaced as a whole, never changed."""

    def __init__(
        self, source: ModelSource, most_rows: int, on_event: Callable[[str], None], name: str = "model"
    ) -> None:
        self._source, self._most_rows, self._on_event, self._name = source, most_rows, on_event, name
        self._seen: Hashable = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.model: ServedModel | None = None
        self.loaded_at: float | None = None
        self.problem = ""

    def look(self) -> None:
        """Load the source's model if there may be another one; keep the present one if that fails."""
        try:
            signature = self._source.signature()
            if signature == self._seen:
                self.problem = ""
                return
            model = make_served(self._source.load(), self._most_rows)
            if self._source.signature() != signature:
                return  # it changed meanwhile; the next look loads it
        except NoModelError as error:
            self._keep(str(error), "absent")
        except ChurnError as error:
            self._keep(str(error), "refused")
        except Exception as error:  # a pickle can raise anything
            log.debug("traceback", exc_info=True)
            self._keep(f"the model cannot be loaded: {type(error).__name__}", "refused")
        else:
            self._seen = signature
            self._take(model)

    def start(self, seconds: float) -> None:
        """Look again and again in a thread."""
        self._thread = threading.Thread(target=self._follow, args=[seconds], name=f"follow-{self._name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _follow(self, seconds: float) -> None:
        while not self._ended.wait(seconds * random.uniform(1 - JITTER, 1 + JITTER)):  # noqa: S311 - no secret
            self.look()

    def _take(self, model: ServedModel) -> None:
        is_same = self.model is not None and self.model.origin == model.origin
        self.problem = ""
        if is_same:
            return
        self.model, self.loaded_at = model, time.time()
        self._on_event("loaded")
        origin, proved = model.origin, model.proved
        version = f"version {origin.version}, " if origin.version else ""
        why = f" ({proved.reason})" if proved.reason else ""
        log.info(
            "%s: %sstate %s, path %s%s, %s rows compared",
            self._name, version, origin.fingerprint, proved.path, why, f"{proved.compared:,}",
        )  # fmt: skip

    def _keep(self, problem: str, event: str) -> None:
        if problem == self.problem:
            return
        self.problem = problem
        self._on_event(event)
        kept = f"; the present one stays: {self.model.origin.fingerprint}" if self.model else ""
        log.warning("%s: %s%s", self._name, problem, kept)
