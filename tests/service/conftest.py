"""A service of the artifact that reads the letter A on every image: as an application, and as a
process with a port of its own.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from lprnet.runtime.artifact import write_artifact
from lprnet.runtime.recognizer import Recognizer
from lprnet.service.app import application
from lprnet.service.limits import Limits
from tests.runtime.tiny_artifact import artifact
from tests.service.served import Served, served


@pytest.fixture(scope="session")
def letter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact's path."""
    one = artifact("A", tmp_path_factory.mktemp("letter") / "a.so")
    write_artifact(one)
    return one.path


@pytest.fixture(scope="session")
def recognizer(letter: Path) -> Recognizer:
    return Recognizer(letter)


@pytest.fixture(scope="session")
def client(recognizer: Recognizer) -> Iterator[httpx.Client]:
    """Asks the application with the bounds that it has by default."""
    with TestClient(application(recognizer, Limits()), raise_server_exceptions=False) as one:
        yield one


@pytest.fixture(scope="session")
def server(letter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`lprnet serve` in a process of its own."""
    with served(letter, tmp_path_factory.mktemp("server") / "log") as one:
        yield one
