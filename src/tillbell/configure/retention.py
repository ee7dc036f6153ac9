"""Retention: for how many days things are kept, by the settings or as somebody says here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tillbell.config import FIELDS, Settings
from tillbell.deliver.record_changes import RecordChanges
from tillbell.errors import Invalid, Problem
from tillbell.model.records import Retention

_ID = "retention"
# The members, and the setting that counts where nobody has said anything.
SETTINGS = {
    "body_days": "body_retention_days",
    "history_days": "history_retention_days",
    "audit_days": "audit_retention_days",
}


class KeptFor(NamedTuple):
    """For how many days things are kept."""

    body_days: int
    history_days: int
    audit_days: int


class RetentionPeriods:
    """Reads and changes for how long things are kept."""

    def __init__(self, records: RecordChanges, settings: Settings) -> None:
        self._records = records
        self._settings = settings

    async def chosen(self) -> Retention:
        """Return what somebody has said here."""
        stored = await self._records.read_all(Retention)
        return stored[0] if stored else Retention(id=_ID)

    async def current(self) -> KeptFor:
        """Return what counts."""
        return self._kept_for(await self.chosen())

    async def change(self, days: Mapping[str, int | None]) -> Retention:
        """Say for how long some of it is kept; None: as the settings say.

        `Invalid` names what is out of its limits.
        """

        def changed(before: Retention | None) -> Retention:
            retention = before or Retention(id=_ID)
            after = msgspec.structs.replace(retention, **days)
            self._check(after)
            return retention if before is not None and after == before else after

        return (await self._records.change_or_add(Retention, "", _ID, changed)).record

    def _kept_for(self, chosen: Retention) -> KeptFor:
        return KeptFor(
            **{
                name: own
                if (own := getattr(chosen, name)) is not None
                else getattr(self._settings, setting)
                for name, setting in SETTINGS.items()
            }
        )

    def _check(self, chosen: Retention) -> None:
        for name, setting in SETTINGS.items():
            least, most = FIELDS[setting].metadata["limits"]
            days = getattr(chosen, name)
            if days is not None and not least <= days <= most:
                raise _wrong(name, f"{days} is not between {least} and {most}")
        periods = self._kept_for(chosen)
        if periods.history_days < periods.body_days:
            raise _wrong("history_days", "must not be less than the days of payloads")


def _wrong(name: str, problem: str) -> Invalid:
    first, _, second = name.partition("_")
    return Invalid(Problem(("body", first + second.capitalize()), problem))
