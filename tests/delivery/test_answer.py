"""Answers as they come in, in pieces of any size."""

from __future__ import annotations

import pytest

from hookpost_server.delivery.answer import MAX_HEAD, MAX_RAW, Answer, NotHttpError
from hookpost_server.delivery.sender import BODY_CAP
from hookpost_server.domain.delivery import Outcome

OK = b"HTTP/1.1 200 OK\r\n"


def fed(*parts: bytes) -> Answer:
    answer = Answer()
    for part in parts:
        answer.feed(memoryview(part))
    return answer


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


LENGTH = OK + b"Content-Length: 5\r\nX-One:\r\nX-Two: a b \r\n\r\nhello"
CHUNKED = (
    OK + b"transfer-encoding: chunked\r\nx-one:\r\nx-two: a b\r\n\r\n"
    b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nx-trailer: t\r\n\r\n"
)
INTERIM = b"HTTP/1.1 103 Early\r\nlink: x\r\nretry-after: 9\r\n\r\n" + LENGTH


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("data", [LENGTH, CHUNKED, INTERIM], ids=["length", "chunked", "interim"])
def test_pieces_make_no_difference(data: bytes, size: int) -> None:
    answer = fed(*in_pieces(data, size))
    assert answer.done
    assert answer.keeps
    outcome = answer.outcome()
    assert (outcome.status, outcome.body, outcome.truncated, outcome.retry_after) == (200, b"hello", False, None)
    assert outcome.headers[1:] == (("x-one", ""), ("x-two", "a b"))


@pytest.mark.parametrize(
    ("data", "done", "keeps"),
    [
        (OK + b"content-length: 0\r\n\r\n", True, True),
        (OK + b"content-length: 0\r\nConnection: close\r\n\r\n", True, False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", True, False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n", True, True),
        (b"HTTP/1.1 204 No\r\n\r\n", True, True),
        (OK + b"\r\nto the end", False, False),
        (OK + b"content-length: 9\r\n\r\nhalf", False, True),
        (OK + b"content-length: 0\r\n\r\n" + OK + b"content-length: 0\r\n\r\n", True, False),
        (OK + b"content-length: 0\r\n\r\n" + OK, True, False),
        (OK + b"content-length: 0\r\n\r\nnonsense", True, False),
    ],
)
def test_which_connections_can_serve_another(data: bytes, done: bool, keeps: bool) -> None:
    answer = fed(data)
    assert (answer.done, answer.keeps) == (done, keeps)
    assert answer.outcome().status in (200, 204)


def test_a_second_answer_is_not_the_first() -> None:
    late = b"HTTP/1.1 500 No\r\nretry-after: 5\r\nx: y\r\ncontent-length: 3\r\n\r\nbad"
    assert fed(OK + b"content-length: 2\r\n\r\nok" + late).outcome() == Outcome(
        result=fed(OK + b"content-length: 2\r\n\r\nok").outcome().result,
        status=200,
        headers=(("content-length", "2"),),
        body=b"ok",
    )


def test_the_end_of_the_connection_ends_what_has_no_length() -> None:
    for head, well, truncated in (
        (b"\r\n", True, False),
        (b"\r\n", False, True),
        (b"content-length: 9\r\n\r\n", True, True),
        (b"transfer-encoding: chunked\r\n\r\n2\r\n", True, True),
    ):
        answer = fed(OK + head + b"hi")
        answer.ended(well=well)
        assert answer.outcome().truncated is truncated, (head, well)
        assert answer.outcome().body == b"hi"


def test_bounds_of_memory() -> None:
    """A head, a trailer or a chunk's extension without an end is left long before the deadline."""
    endless = Answer()
    with pytest.raises(NotHttpError):
        for part in [OK + b"x: ", *[b"y" * 1000] * (MAX_HEAD // 1000 + 1)]:
            endless.feed(memoryview(part))
    for head in (b"0\r\nx: ", b"2;x="):
        answer = fed(OK + b"transfer-encoding: chunked\r\n\r\n" + head)
        count = 0
        while not answer.feed(memoryview(b"y" * 1000)):
            count += 1
            assert count * 1000 <= MAX_RAW
        assert answer.outcome().truncated


def test_no_more_of_the_body_than_is_kept() -> None:
    answer = Answer()
    parts = in_pieces(OK + b"content-length: 999999999\r\n\r\n" + b"x" * (2 * BODY_CAP), 4096)
    enough = next(number for number, part in enumerate(parts) if answer.feed(memoryview(part)))
    assert enough * 4096 <= BODY_CAP + 4096
    assert answer.outcome().body == b"x" * BODY_CAP
    assert answer.outcome().truncated
