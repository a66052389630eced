"""Events on their way from Ray's workers to the driver; without torch, so that the mailbox is a small process."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from ablations.training.events import Event, StepDone

STEP_INTERVAL_SECONDS = 0.2  # between two messages on a run's steps
DELIVERY_SECONDS = 10.0  # that a run's last events may take


class Mailbox:
    """Actor that keeps events until the driver takes them."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def put(self, events: list[Event]) -> None:
        """Keep these events, in their order."""
        self._events.extend(events)

    def take(self) -> list[Event]:
        """The events since the last call."""
        taken, self._events = self._events, []
        return taken


class EventSender:
    """Observer that sends events to the mailbox and waits for nothing; steps are summed up, a few times a second."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox
        self._steps: StepDone | None = None
        self._sent_at = time.monotonic()
        self._last: Any = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepDone):
            before = self._steps.images if self._steps else 0
            self._steps = replace(event, images=before + event.images)
            if time.monotonic() - self._sent_at >= STEP_INTERVAL_SECONDS:
                self._send()
        else:
            self._send(event)

    def deliver(self) -> None:
        """Wait until all events have arrived, so that they come before the run's end."""
        import ray

        if self._last is not None:
            ray.wait([self._last], timeout=DELIVERY_SECONDS)

    def _send(self, *events: Event) -> None:
        steps = [] if self._steps is None else [self._steps]
        self._last = self._mailbox.put.remote([*steps, *events])
        self._steps, self._sent_at = None, time.monotonic()
