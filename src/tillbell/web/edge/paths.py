"""The paths of the API, and what is noted about a request in its ASGI scope."""

from __future__ import annotations

BASE = "/api/v1"
CASHIER = "/v1/api/mozarto/cashier"  # a platform's path, outside of `BASE`
IMPORT_PAGES = "/imports/"
EXPORT_LINK = "/export-link/"  # followed by the token of a link, and the name of the file
# Places in the ASGI scope.
REQUEST_ID = "tillbell.request_id"
ROUTE = "tillbell.route"  # the path with names in place of its values
JSON_BODY = "tillbell.json"  # the body, decoded
IGNORED = "tillbell.ignored"  # members of the body that nobody read, a list of their paths
STREAM = "tillbell.stream"  # the parts of an answer's body, an asynchronous generator of bytes
AS_CHOSEN = "tillbell.as_chosen"  # set if the answer is what somebody chose, not one of ours
APPLICATION = "tillbell.application"  # id of the application that a request is about


def is_api(path: str) -> bool:
    """Tell whether a path belongs to the API."""
    return path.startswith(f"{BASE}/") or path in (CASHIER, f"{CASHIER}/")


def is_upload(method: str, path: str) -> bool:
    """Tell whether a request brings a file, whose body is read part by part."""
    steps = path.split("/")
    if method != "POST":
        return False
    is_to_api = path.startswith(f"{BASE}/app/") and steps[-2:-1] == ["import"]
    return is_to_api or path.startswith(IMPORT_PAGES)


def is_ingest(path: str) -> bool:
    """Tell whether SDKs of Svix ask here for sources of the hosted product, which we have not."""
    return path.startswith("/ingest/")


def without_slash(path: str) -> str:
    """Return a path of the API without one slash at its end: Svix's server serves both.

    >>> without_slash("/api/v1/app/"), without_slash("/api/v1/app//")
    ('/api/v1/app', '/api/v1/app/')
    """
    return path.removesuffix("/")
