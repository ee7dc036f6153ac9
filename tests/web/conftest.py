"""One gateway for all tests of a module: each test makes its own application."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from svix.api import Svix

from tests.web.served_gateway import ServedGateway


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    folder: Path = tmp_path_factory.mktemp("site")
    with ServedGateway(folder) as made:
        yield made


@pytest.fixture(scope="module")
def svix(served: ServedGateway) -> Svix:
    """The official SDK with an admin key."""
    return served.svix


@pytest.fixture
def app_id(served: ServedGateway) -> str:
    """A fresh application."""
    return str(served.http.post("/app", json={"name": "shop"}).json()["id"])
