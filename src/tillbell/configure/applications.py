"""Changes of applications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tillbell.configure.names import checked_uid
from tillbell.configure.parts import Parts
from tillbell.deliver.config_cache import OPERATIONAL
from tillbell.deliver.record_changes import ChangedRecord
from tillbell.errors import NotFound
from tillbell.model.records import Application

# Replacing an application resets these fields unless they are named.
_UNSET: Mapping[str, Any] = {
    "throttle_rate": None,
    "metadata": {},
    "check_schemas": False,
    "order_reference": "orderId",
}


class Applications:
    """Creates, changes and removes applications. `fields` are fields of the record by name."""

    def __init__(self, parts: Parts) -> None:
        self._directory = parts.directory
        self._clock = parts.clock
        self._ids = parts.ids

    async def create(self, fields: Mapping[str, Any]) -> Application:
        """Add an application. `Conflict` if its uid is taken."""
        application = self._new(fields)
        await self._directory.add(application)
        return application

    async def get_or_create(
        self, uid: str, fields: Mapping[str, Any]
    ) -> ChangedRecord[Application]:
        """Return the application with this uid; create it if there is none."""

        def present(application: Application | None) -> Application:
            return application if application is not None else self._new({**fields, "uid": uid})

        return await self._directory.change_or_add(Application, "", uid, present)

    async def upsert(self, id_or_uid: str, fields: Mapping[str, Any]) -> ChangedRecord[Application]:
        """Replace an application, or create it with this uid.

        One that is named by its id loses its uid unless `fields` name one.
        """
        _refuse_operational(id_or_uid)
        uid = checked_uid(fields.get("uid"))

        def replaced(application: Application | None) -> Application:
            if application is None:
                return self._new({**fields, "uid": uid or id_or_uid})
            next_uid = uid if application.id == id_or_uid else uid or application.uid
            return msgspec.structs.replace(application, **{**_UNSET, **fields, "uid": next_uid})

        return await self._directory.change_or_add(Application, "", id_or_uid, replaced)

    async def patch(self, id_: str, fields: Mapping[str, Any]) -> Application:
        """Change the named fields. `NotFound` if the application does not exist."""
        _refuse_operational(id_)
        checked_uid(fields.get("uid"))

        def changed(application: Application) -> Application:
            return msgspec.structs.replace(application, **fields)

        return (await self._directory.change(Application, "", id_, changed)).record

    async def remove(self, id_: str) -> None:
        """Remove an application with everything in it."""
        _refuse_operational(id_)
        await self._directory.remove(Application, id_)

    def _new(self, fields: Mapping[str, Any]) -> Application:
        checked_uid(fields.get("uid"))
        now = self._clock.now()
        return Application(id=self._ids.new("app", now), created_at=now, updated_at=now, **fields)


def _refuse_operational(id_or_uid: str) -> None:
    if id_or_uid == OPERATIONAL:
        raise NotFound("There is no such application.")
