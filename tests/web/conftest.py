"""One site for all tests of a module: each makes its own application."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from svix.api import Svix

from tests.web.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("site")
    with Site(folder) as made:
        yield made


@pytest.fixture(scope="module")
def svix(site: Site) -> Svix:
    """The official SDK with an admin key."""
    return site.svix


@pytest.fixture
def app_id(site: Site) -> str:
    """A fresh application."""
    return str(site.http.post("/app", json={"name": "shop"}).json()["id"])
