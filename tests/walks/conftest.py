"""One site for all walks of a module: each walk has a merchant of its own."""

from collections.abc import Iterator

import pytest

from tests.web.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as made:
        yield made
