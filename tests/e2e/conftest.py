import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from sanger import Instance  # noqa: E402


@pytest.fixture
def instance():
    """A started instance with the account ann@example.org."""
    with Instance() as i:
        i.add_account("ann@example.org")
        yield i


@pytest.fixture(scope="module")
def shared_instance():
    """One started instance for all tests of a module; each test uses accounts of its own."""
    with Instance() as i:
        yield i
