"""A recording that is under way: what the recorder knows of one that it was told to open. Recorder thread only."""

from collections import deque

from device.evidence.grouping import Grouping
from device.evidence.orders import CloseOrder, OpenOrder, StageOrder
from device.evidence.records import Noted, Record, SealedContext
from device.evidence.segmenter import Segmenter
from device.evidence.writer import RecordingWriter


class Recording:
    """What the recorder knows of a recording that it was told to open."""

    def __init__(self, order: OpenOrder, segmenter: Segmenter, context: SealedContext | None) -> None:
        self.order = order
        self.segmenter = segmenter
        self.context = context
        self.writer: RecordingWriter | None = None
        self.continues: str | None = None
        self.stages: list[StageOrder] = []
        self.notes: deque[Record] = deque()
        self.close: CloseOrder | None = None
        self.closed: str | None = None
        self.head_due_us = 0
        self.retry_at_us = 0
        self.failures = 0
        self.grouping = Grouping()

    @property
    def begun(self) -> bool:
        """Its first bytes are durable: the activation was journaled before them."""
        return self.continues is not None or (self.writer is not None and self.writer.head is not None)

    def may_say(self, noted: Noted) -> bool:
        """A recording whose end has been decided says nothing of what came after it."""
        return self.close is None or noted.at_us < self.close.end_us
