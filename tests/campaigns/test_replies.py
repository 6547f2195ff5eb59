"""A share of the search for replies that a driver misreads."""

from campaign import commit_seed
from replies import search


def test_garbled_reply_is_an_error_or_gives_its_own_numbers():
    ended = search(250, commit_seed())
    assert ended["GarbledReplyError"] > 20
    assert ended["accepted"] > 5
