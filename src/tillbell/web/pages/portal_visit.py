"""A visit of the portal: the same pages, for whoever holds a portal token of one application."""

from __future__ import annotations

from dataclasses import dataclass

from tillbell.errors import Forbidden
from tillbell.web.edge.access import ACCESS
from tillbell.web.edge.access import PAGES as PAGE_ACCESS
from tillbell.web.edge.auth import Access, Principal, Tenant
from tillbell.web.pages.page import Visit, with_query
from tillbell.web.pages.portal_look import PortalLook


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalVisit(Visit):
    """One request for a page of the portal."""

    token: Principal
    root: str  # what the paths of its pages begin with
    look: PortalLook

    @property
    def frame(self) -> str:
        """Return the template around the page."""
        return "portal.html"

    @property
    def is_portal(self) -> bool:
        """Tell that these are pages of one application."""
        return True

    @property
    def app_name(self) -> str | None:
        """Return None: the application stands in the path of every link."""
        return None

    @property
    def why_no_export(self) -> str | None:
        """Return None: what the holder may see, it may have as a file."""
        return None

    def principal(self, tenant: Tenant = Tenant.OWN) -> Principal:
        """Return who asks: the token."""
        del tenant  # it is bound to the one application
        return self.token

    def may_open(self, path: str) -> bool:
        """Tell whether the token may see a page of the dashboard that is in the portal too."""
        access = PAGE_ACCESS.get(f"GET {path}")
        return access is not None and not self._why_not(access)

    def refusal(self, operation: str) -> str:
        """Say why the token may not use an operation of the API; "" if it may."""
        return self._why_not(ACCESS[operation])

    def link(self, path: str, **query: str | int | None) -> str:
        """Return a link to a page of this portal."""
        query.pop("app", None)
        return with_query(f"{self.root}{path}", **query)

    def _why_not(self, access: Access) -> str:
        try:
            self.token.require(access)
        except Forbidden:
            return "Your link does not allow this. Ask for another one where you got it."
        return ""
