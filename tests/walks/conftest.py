"""One gateway for all walks of a module: each walk has an application of its own."""

from collections.abc import Iterator

import pytest

from tests.web.served_gateway import ServedGateway


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedGateway]:
    with ServedGateway(tmp_path_factory.mktemp("site")) as made:
        yield made
