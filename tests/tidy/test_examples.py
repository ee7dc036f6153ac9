"""Examples in docstrings are run: what they show is what happens."""

from __future__ import annotations

import doctest
import importlib

import pytest

from tests.tidy.source import Source, python

with_examples = [source for source in python("src") if ">>> " in source.text]


@pytest.mark.parametrize("source", with_examples, ids=lambda source: source.module)
def test_examples_are_true(source: Source) -> None:
    outcome = doctest.testmod(importlib.import_module(source.module))

    assert outcome.attempted
    assert not outcome.failed
