"""Whether a write may happen: compare and swap, decided without any I/O."""

from __future__ import annotations

from attrs import evolve

from .._exceptions import StaleRecord
from .._records import Record


def is_repetition(stored: Record | None, record: Record) -> bool:
    """Whether the write of ``record`` was made before, so that only its acknowledgement was lost.

    Args:
        stored: what is filed under the record's seller now.

    Raises:
        StaleRecord: the write must not be made, because somebody else's came first.
    """
    if stored is None:
        if record.revision:
            msg = (
                f"the record of seller {record.seller!r} was removed, or its seller moved to "
                "another record, in the meantime; read again"
            )
            raise StaleRecord(msg)
        return False
    if stored.revision == record.revision:
        return False
    # the first write of a record may have been given any revision, see TokenStore.remove
    was_next = record.revision in (0, stored.revision - 1)
    if was_next and stored == evolve(record, revision=stored.revision):
        return True
    msg = (
        f"the record of seller {record.seller!r} is at revision {stored.revision}, and this write "
        f"was made for revision {record.revision}: somebody else's came first; read again"
    )
    raise StaleRecord(msg)
