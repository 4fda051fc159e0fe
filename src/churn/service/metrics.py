"""Metrics for Prometheus."""

import functools
import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import HistogramMetricFamily

from churn.model.plain.encoder import Customer, RowEncoder
from churn.service.served_model import Score, ServedModel

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SCORE_BOUNDS = tuple(number / 20 for number in range(1, 21))


class ScoreHistogram:
    """Histogram of scores, by fingerprint."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def add(self, fingerprint: str, scores: Iterable[Score]) -> None:
        """Count scores."""
        counts = self._counts.setdefault(fingerprint, [0] * len(SCORE_BOUNDS))
        total = 0.0
        for score in scores:
            counts[bisect_left(SCORE_BOUNDS, score.probability)] += 1
            total += score.probability
        self._sums[fingerprint] = self._sums.get(fingerprint, 0.0) + total

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The histogram, as Prometheus reads it."""
        family = HistogramMetricFamily(
            "churn_score", "Probability of churn of scored customers", labels=["fingerprint"]
        )
        for fingerprint, counts in list(self._counts.items()):
            cumulative = list(itertools.accumulate(counts))
            buckets = [(f"{bound:g}", float(count)) for bound, count in zip(SCORE_BOUNDS, cumulative, strict=True)]
            family.add_metric([fingerprint], [*buckets, ("+Inf", float(cumulative[-1]))], self._sums[fingerprint])
        yield family


class ServiceMetrics:
    """All metrics of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.scores = ScoreHistogram()
        self.registry.register(self.scores)
        on = self.registry
        self._requests = Counter("churn_requests", "Requests", ["route", "status"], registry=on)
        self._seconds = Histogram("churn_request_seconds", "Time of a request", ["route"], buckets=SECONDS, registry=on)
        rows = Counter("churn_rows", "Scored customers", ["contact"], registry=on)
        self._contacts, self._others = rows.labels("true"), rows.labels("false")
        self._gaps = Counter("churn_missing_values", "Missing values", ["column"], registry=on)
        self._unknown = Counter(
            "churn_unknown_labels", "Labels that were not seen in training", ["column"], registry=on
        )
        self._events = Counter(
            "churn_model_events", "Models loaded, absent or refused", ["model", "event"], registry=on
        )
        self._recorded = Counter("churn_recorded_rows", "Rows for shadow and log", ["outcome"], registry=on)
        self._model = Gauge("churn_model_info", "Models", ["role", "fingerprint", "version", "path"], registry=on)
        self._named: set[tuple[str, ...]] = set()
        # Looking up labels takes longer than counting.
        self._of_route = functools.cache(
            lambda route, status: (self._requests.labels(route, status), self._seconds.labels(route))
        )
        self._reference = Gauge(
            "churn_reference_score_share",
            "Share of the training customers with at most this out-of-fold probability of churn",
            ["fingerprint", "le"],
            registry=on,
        )
        self.ready = Gauge("churn_ready", "1 if the service takes requests", registry=on)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is one of few, never a path that a client sends."""
        requests, times = self._of_route(route, status)
        requests.inc()
        times.observe(seconds)

    def scored(self, model: ServedModel, customers: Sequence[Customer], scores: Sequence[Score]) -> None:
        """Count decisions, scores, gaps and unknown labels."""
        contacts = sum(score.contact for score in scores)
        self._contacts.inc(contacts)
        self._others.inc(len(scores) - contacts)
        self.scores.add(model.origin.fingerprint, scores)
        if model.proved.encoder is not None:
            self._count_values(model.proved.encoder, customers)

    def _count_values(self, encoder: RowEncoder, customers: Iterable[Customer]) -> None:
        for customer in customers:
            for name in encoder.numbers:
                if customer[name] is None:
                    self._gaps.labels(name).inc()
            for name, label in encoder.labels.items():
                value = customer[name]
                if value is None:
                    self._gaps.labels(name).inc()
                elif value not in label.places:
                    self._unknown.labels(name).inc()

    def followed(self, role: str, event: str, model: ServedModel | None) -> None:
        """Count what became of a look for a model, and name the one that serves; `role` is model or shadow."""
        self._events.labels(role, event).inc()
        for labels in [one for one in self._named if one[0] == role]:
            self._model.remove(*labels)
        self._named = {one for one in self._named if one[0] != role}
        if model is not None:
            labels = (role, model.origin.fingerprint, model.origin.version or "", str(model.proved.path))
            self._model.labels(*labels).set(1)
            self._named.add(labels)
            self._show_reference(model)

    def _show_reference(self, model: ServedModel) -> None:
        """The distribution that `churn_score` of the same model is compared with, at the same bounds."""
        if model.parts.reference is None:
            return
        for bound in SCORE_BOUNDS:
            share = model.parts.reference.scores.share_at_or_below(bound)
            self._reference.labels(model.origin.fingerprint, f"{bound:g}").set(share)

    def recorded(self, outcome: str, rows: int) -> None:
        """Count rows for the shadow and the log."""
        self._recorded.labels(outcome).inc(rows)

    def text(self) -> bytes:
        """All metrics in Prometheus's format."""
        return generate_latest(self.registry)
