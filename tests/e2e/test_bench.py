"""The benchmark itself runs; what it measures is no test's business."""

import os
import subprocess

import pytest

from sanger import TOP


@pytest.mark.once
def test_quick_benchmark():
    """Every row appears, each with a figure for both servers."""
    done = subprocess.run([TOP / "tests" / "bench" / "run", "quick"], capture_output=True, text=True,
                          timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    for title in ("LMTP", "LMTP, ten-rule filter", "Syncs of a delivery", "Logins", "Memory", "IDLE", "APPEND", "STORE",
                  "COPY", "FETCH ENVELOPE", "FETCH FLAGS", "FETCH BODY[]", "SELECT", "SEARCH TEXT", "SEARCH of 500, indexed"):
        assert f"\n{title}" in done.stdout, done.stdout


@pytest.mark.once
def test_quick_submissions():
    """Each row with a figure for all three servers."""
    if os.getuid() != 0:
        pytest.skip("only root can run Postfix")
    done = subprocess.run([TOP / "tests" / "bench" / "submissions", "quick"], capture_output=True,
                          text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    for title in ("Submissions accepted", "Submissions relayed"):
        assert done.stdout.count(f"\n{title}") == 2, done.stdout
