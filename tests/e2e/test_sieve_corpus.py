"""Sieve scripts that Sanger and Pigeonhole run on the same messages: the same is done, unless the case
says why not."""

import pytest

from sieve_corpus import SIEVE_TEST, Pigeonhole, Sanger, corpus, judge


@pytest.fixture(scope="session")
def sanger():
    with Sanger() as s:
        yield s


@pytest.fixture(scope="session")
def pigeonhole():
    if SIEVE_TEST is None:
        pytest.skip("needs Pigeonhole's sieve-test (dovecot-sieve)")
    with Pigeonhole() as p:
        yield p


def test_the_corpus_is_as_big_as_promised():
    assert sum(case.pigeonhole for case in corpus()) >= 300


@pytest.mark.parametrize("case", [c for c in corpus() if c.pigeonhole], ids=lambda c: c.id)
def test_same_as_pigeonhole(case, sanger, pigeonhole):
    ours, said = sanger.result(case)
    theirs, their_words = pigeonhole.result(case)
    wrong = judge(case, ours, theirs)
    assert wrong is None, f"{case.script.decode('utf-8', 'replace')}\n{said}\n{their_words}"


@pytest.mark.parametrize("case", [c for c in corpus() if not c.pigeonhole], ids=lambda c: c.id)
def test_as_the_rfc_says(case, sanger):
    ours, said = sanger.result(case)
    assert judge(case, ours, None) is None, f"{case.script.decode('utf-8', 'replace')}\n{said}"
