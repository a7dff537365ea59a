"""The main job on generated messages; `tests/e2e/roundtrip DIR` does the same on a directory."""

import pathlib
import sys

import pytest

from roundtrip import roundtrip
from samples import write_samples


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_generated_messages(tmp_path, protocol):
    write_samples(tmp_path)
    result = roundtrip(tmp_path, protocol)
    assert result.delivered >= 60
    assert not result.problems, "\n".join(result.problems)
