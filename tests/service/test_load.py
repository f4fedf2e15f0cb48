"""`python -m tests.load` counts what it says that it counts."""

import asyncio

from tests.load.client import closed_loop, open_loop, request
from tests.service.served import Served, picture


def test_right_wrong_and_refused_answers_are_told_apart(server: Served) -> None:
    host = "{}:{}".format(*server.address)
    right = request([picture()] * 2, ["A", "A"], host)
    wrong = request([picture()] * 2, ["A", "B"], host)
    refused = request([picture()] * 65, ["A"] * 65, host)
    result = asyncio.run(open_loop(server.address, [right, wrong, refused], 30, 1))
    assert result.statuses == {200: 20, 400: 10}
    assert (result.wrong, result.plates, len(result.seconds)) == (10, 40, 20)
    result = asyncio.run(closed_loop(server.address, [right], 4, 0.5))
    assert set(result.statuses) == {200}
    assert result.wrong == 0
    assert result.summary(0.5)["plates_per_second"] == round(result.plates / 0.5)


def test_a_service_that_is_gone_is_counted(server: Served) -> None:
    right = request([picture()], ["A"], "127.0.0.1:1")
    result = asyncio.run(open_loop(("127.0.0.1", 1), [right], 10, 0.5))
    assert result.statuses == {-1: 5}
