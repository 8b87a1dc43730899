"""A transaction of which a batch failed is never committed.

kafka-python (3.0.12, `Sender._dispatch_error`) gives up a batch that expires, or that may not be tried again, and
does not tell the batch's transaction. So the commit goes on and settles the offsets, and the records that were read
are lost. The Java client aborts every such transaction.
"""

from __future__ import annotations

from typing import Any

from kafka import KafkaProducer
from kafka.producer.transaction_manager import TransactionManager


def abort_with_batches(raw: KafkaProducer) -> None:
    """For a transactional producer that has not begun anything yet."""
    raw._transaction_manager.__class__ = _Careful
    raw._transaction_manager.wakeup = raw._sender.wakeup


class _Careful(TransactionManager):  # type: ignore[misc]
    def classify_batch_error(self, *arguments: Any, **options: Any) -> Any:
        """Asked only for a batch that is given up."""
        found = super().classify_batch_error(*arguments, **options)
        return self.ERROR_CLASS_ABORTABLE if found == self.ERROR_CLASS_RETRIABLE else found

    def transition_to_abortable_error(self, exc: BaseException) -> None:
        """The commit that waits in the sender's queue is refused at once, not when the next request comes."""
        super().transition_to_abortable_error(exc)
        self.wakeup()
