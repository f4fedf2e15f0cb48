"""`lprnet serve` as a process: its connections, its end, and what it refuses to start with."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from lprnet.commands.dispatch import verb_parser
from lprnet.commands.serve import limits
from lprnet.service.limits import Limits
from lprnet.service.server import listen
from tests.processes import wait_until
from tests.runtime.own_process import run as run_code
from tests.service.served import SECONDS, Served, form, picture, running, served

HELD = Path(__file__).with_name("held_server.py")
FILES = form(picture())


@contextmanager
def held(letter: Path, folder: Path, queue: int, seconds: float) -> Iterator[tuple[Served, Path]]:
    """A service that reads one image a batch, and none before the file is there."""
    gate = folder / "gate"
    command: list[str | Path] = [sys.executable, HELD, letter, gate, str(queue), str(seconds)]
    with running(command, folder / "log") as server:
        yield server, gate


@pytest.fixture(scope="module")
def impatient(letter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A request may take a second."""
    log = tmp_path_factory.mktemp("impatient") / "log"
    with served(letter, log, "--max-seconds", "1") as one:
        yield one


def ask(server: Served, images: int = 1) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/read", files=FILES * images, timeout=SECONDS)


def reads_again(server: Served) -> None:
    """Return once a request is read; a busy machine may take longer than the service allows."""
    wait_until(lambda: ask(server).status_code == 200, server.process, server.log)


def wait_for(server: Served, sample: str, value: float) -> None:
    wait_until(lambda: server.metric(sample) >= value, server.process, server.log)


def test_the_bounds_without_a_flag_are_those_of_the_library() -> None:
    assert limits(verb_parser("serve", "serve").parse_args([])) == Limits()


def test_no_answer_waits_for_the_client_to_acknowledge_a_packet() -> None:
    with (
        listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_clients_share_it(server: Served) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(server, 3), range(40)))
    assert {answer.status_code for answer in answers} == {200}
    assert all([one["text"] for one in a.json()["images"]] == ["A"] * 3 for a in answers)


def test_requests_sent_at_once_on_one_connection_are_all_answered(server: Served) -> None:
    with socket.create_connection(server.address, SECONDS) as connection:
        ready = b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n"
        last = ready[:-2] + b"Connection: close\r\n\r\n"
        connection.sendall(ready * 5 + last)
        assert received(connection).count(b'{"ready":true}') == 6


def received(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    parts = []
    try:
        while part := connection.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"POST /v1/read HTTP/1.1\r\nHos",
        b"POST /v1/read HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /v2 HT",
    ],
)
def test_a_client_that_does_not_go_on_is_cut_off(impatient: Served, begun: bytes) -> None:
    with socket.create_connection(impatient.address, SECONDS) as connection:
        connection.sendall(begun)
        answer = received(connection)  # which ends, for the server closes it
    assert b" 408 " in answer or b"Content-Length: 100" not in begun
    reads_again(impatient)


def test_a_client_that_does_not_read_is_cut_off(impatient: Served) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(SECONDS)
        connection.connect(impatient.address)
        cut_off = False
        while not cut_off:  # answers fill both buffers, then the requests do
            try:
                connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
            except (ConnectionResetError, BrokenPipeError):
                cut_off = True
    reads_again(impatient)


def test_a_full_queue_is_503_and_the_next_request_is_read(letter: Path, tmp_path: Path) -> None:
    with held(letter, tmp_path, 4, 60) as (server, gate), ThreadPoolExecutor(32) as pool:
        asked = [pool.submit(ask, server) for _ in range(32)]
        wait_for(server, 'lprnet_requests_total{path="/v1/read",status="503"}', 1)
        gate.touch()
        answers = [one.result() for one in asked]
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 503}
        for answer in answers:
            if answer.status_code == 503:
                assert answer.headers["Retry-After"] == "1"
                assert "ask again" in answer.json()["detail"]
        assert ask(server).status_code == 200


def test_images_of_a_client_that_went_away_are_not_read(letter: Path, tmp_path: Path) -> None:
    patience = httpx.Timeout(SECONDS, read=0.5)
    with held(letter, tmp_path, 512, 60) as (server, gate), ThreadPoolExecutor(8) as pool:

        def go_away(_: int) -> None:
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{server.url}/v1/read", files=FILES * 4, timeout=patience)

        list(pool.map(go_away, range(8)))
        wait_for(server, 'lprnet_requests_total{path="/v1/read",status="499"}', 8)
        gate.touch()
        assert ask(server).status_code == 200
        wait_for(server, 'lprnet_images_total{outcome="abandoned"}', 32)
        assert server.metric('lprnet_images_total{outcome="read"}') == 1


def test_a_request_that_takes_too_long_is_503(letter: Path, tmp_path: Path) -> None:
    with held(letter, tmp_path, 512, 1) as (server, gate):
        answer = ask(server, 4)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        gate.touch()
        reads_again(server)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_at_a_signal_it_finishes_what_it_accepted(
    letter: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with held(letter, tmp_path, 512, 60) as (server, gate), ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(ask, server, 4) for _ in range(6)]
        # Each thread has one batch in hand.
        wait_until(
            lambda: (
                server.metric("lprnet_queue_images") + server.metric("lprnet_batch_images_count")
                >= 24
            ),
            server.process,
            server.log,
        )
        server.process.send_signal(number)
        wait_until(lambda: not accepts(server), server.process, server.log)
        gate.touch()
        for one in asked:
            assert [image["text"] for image in one.result().json()["images"]] == ["A"] * 4
        assert server.process.wait(SECONDS) == 0
        assert "Traceback" not in server.log.read_text()


def accepts(server: Served) -> bool:
    try:
        with socket.create_connection(server.address, SECONDS):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def few_files(letter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service that may open 96 files, and so 32 connections."""
    limited = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96)); "
    limited += "sys.argv = sys.argv[1:]; runpy.run_module('lprnet.commands', run_name='__main__')"
    command: list[str | Path] = [sys.executable, "-c", limited, "lprnet", "serve", "--port=0"]
    log = tmp_path_factory.mktemp("few-files") / "log"
    with running([*command, "--artifact", letter], log) as server:
        yield server


def test_more_connections_than_open_files_allow_are_refused(few_files: Served) -> None:
    opened = [socket.create_connection(few_files.address, SECONDS) for _ in range(40)]
    refused = [one for one in opened[32:] if b" 503 " in one.recv(1 << 16)]
    assert len(refused) == 8
    for one in opened:
        one.close()
    reads_again(few_files)


def test_a_crowd_at_one_moment_takes_not_all_open_files(few_files: Served) -> None:
    """asyncio would accept all of them before it closes the first, and print a traceback each."""
    few_files.process.send_signal(signal.SIGSTOP)
    crowd = [socket.create_connection(few_files.address, SECONDS) for _ in range(150)]
    few_files.process.send_signal(signal.SIGCONT)
    answers = [one.recv(1 << 16) for one in crowd[32:]]
    assert all(b" 503 " in answer for answer in answers)
    for one in crowd:
        one.close()
    reads_again(few_files)
    assert "Traceback" not in few_files.log.read_text()


def test_without_a_free_descriptor_images_of_all_formats_are_read(letter: Path) -> None:
    """What reads them is imported before the service begins."""
    code = """
from pathlib import Path
from lprnet.service.settings import Settings
from lprnet.service.limits import Limits
from lprnet.service.start import application_of
from tests.service.served import picture
images = {format: picture(format) for format in (".png", ".jpg", ".bmp", ".webp", ".tiff")}
settings = Settings(Path(sys.argv[1]), "127.0.0.1", 0, None, 0.0, None, "1", 1)
application_of(settings, Limits())
import resource
from lprnet.runtime.image_header import still_picture
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
for format, image in images.items():
    still_picture(image)
print("read")
"""
    assert run_code(letter, code) == "read\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["--host", "no such host"], "cannot listen on no such host"),
        (["--token-file", "short"], "short: is no token"),
        (["--token-file", "two"], "two: is no token"),
        (["--port", "70000"], "out of range"),
    ],
)
def test_what_it_cannot_start_with_is_a_sentence(
    letter: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "short").write_text("secret\n")
    (tmp_path / "two").write_text("a-token-of-16-letters\nand another\n")
    assert said in failed(letter, tmp_path, *arguments)


def test_a_port_that_is_taken(letter: Path, tmp_path: Path, server: Served) -> None:
    assert "cannot listen" in failed(letter, tmp_path, "--port", str(server.address[1]))


def failed(letter: Path, folder: Path, *arguments: str) -> str:
    """What it says on stderr, one line, with exit code 2."""
    command = [sys.executable, "-m", "lprnet.commands", "serve", "--artifact", str(letter)]
    ran = subprocess.run(
        [*command, "--port=0", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    lines = ran.stderr.splitlines()
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Traceback" not in ran.stderr
    return lines[-1]


def test_the_token_of_a_file_is_asked_for(letter: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-of-visible-characters\n")
    with served(letter, tmp_path / "log", "--token-file", tmp_path / "token") as server:
        assert ask(server).status_code == 401
        headers = {"Authorization": "Bearer a-token-of-visible-characters"}
        answer = httpx.post(f"{server.url}/v1/read", files=FILES, headers=headers, timeout=SECONDS)
        assert answer.status_code == 200
        assert "token" not in server.log.read_text()
