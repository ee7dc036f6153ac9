"""Settings: what this process was started with. They are changed by its operator, not here."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import Field

from tillbell.app import Gateway
from tillbell.config import FIELDS
from tillbell.setting_text import shown
from tillbell.web.api.routes import GatewayOf, resource
from tillbell.web.api.shapes import Out

_DEFAULT = "default"


class SettingRow(NamedTuple):
    """One setting of this process."""

    name: str
    value: str  # masked if it is a secret
    origin: str
    meaning: str

    @property
    def is_default(self) -> bool:
        """Tell whether nobody has set it."""
        return self.origin == _DEFAULT


class GatewaySettingOut(Out):
    """One setting."""

    name: str
    value: str = Field(description="As text; secrets are masked.")
    origin: str = Field(description="Where it was set: file, variable or option; or `default`.")
    meaning: str = Field(description="What it is, in words.")


router = resource("/setting", "Setting")


@router.get("")
async def list_(gateway: GatewayOf) -> list[GatewaySettingOut]:
    """List what this process was started with, by name. Each process of a cluster has its own."""
    return [GatewaySettingOut(**row._asdict()) for row in sorted(setting_rows(gateway))]


def setting_rows(gateway: Gateway) -> list[SettingRow]:
    """Return the settings of this process, in the order of the documentation."""
    rows = []
    for name, field in FIELDS.items():
        value = getattr(gateway.settings, name)
        known = "set" if value != field.default and field.default is not None else _DEFAULT
        origin = gateway.setting_origins.get(name, known)
        rows.append(SettingRow(name, shown(value), origin, field.metadata["doc"]))
    return rows
