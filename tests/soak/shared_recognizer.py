"""One recognizer that threads share: `python -m tests.soak.shared_recognizer ARTIFACT`.

Four threads read plates and bad images, as bytes, files and arrays, one and many; a fifth takes all
file descriptors of the process now and then. After SIGTERM it prints JSON: how many calls, and how
many answers were wrong.
"""

import json
import os
import random
import resource
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from lprnet.runtime.image_io import decode_picture
from lprnet.runtime.recognizer import Recognizer
from lprnet.support.errors import UserError
from tests.soak.pictures import MOST_PIXELS, Picture, draw, pictures, read

THREADS, FILES = 4, 64
LARGEST = 70
"""Images in a call, more than one call of the artifact takes."""


class Shared:
    """The recognizer and its images, in `folder` as files too."""

    def __init__(self, artifact: Path, folder: Path) -> None:
        self.good, self.bad = pictures(Recognizer(artifact))
        self.recognizer = Recognizer(artifact, threads=2)
        self.ended = threading.Event()
        self.counts, self.folder = Counter[str](), folder
        self.lock = threading.Lock()
        for index, one in enumerate([*self.good, *self.bad]):
            (folder / str(index)).write_bytes(one.content)

    def count(self, what: str, found: object, expected: object) -> None:
        with self.lock:
            self.counts[what] += 1
            self.counts["wrong"] += found != expected

    def work(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self.ended.is_set():
            try:
                rng.choice([self.one, self.many, self.file, self.array])(rng)
            except Exception as error:
                self.count(f"raised {error!r}", True, False)

    def one(self, rng: random.Random) -> None:
        (one,) = draw(rng, self.good, self.bad, 1)
        self.count("images", read(self.recognizer, one.content), one.text)

    def many(self, rng: random.Random) -> None:
        """A bad one among them refuses all."""
        some: list[Picture] = draw(rng, self.good, self.bad, LARGEST)
        texts = [one.text for one in some]
        try:
            contents = [one.content for one in some]
            plates = self.recognizer.read_many(contents, max_pixels=MOST_PIXELS)
            self.count("lists", [plate.text for plate in plates], texts)
        except UserError:
            self.count("lists refused", None in texts, True)

    def file(self, rng: random.Random) -> None:
        """Without a file descriptor it is refused too."""
        index = rng.randrange(len(self.good) + len(self.bad))
        expected = [*self.good, *self.bad][index].text
        found = read(self.recognizer, str(self.folder / str(index)))
        if found is None and expected is not None:
            self.count("files without a descriptor", 0, 0)
        else:
            self.count("files", found, expected)

    def array(self, rng: random.Random) -> None:
        one = rng.choice(self.good)
        pixels = decode_picture(one.content, "it")
        self.count("arrays", self.recognizer.read(pixels).text, one.text)

    def take_descriptors(self) -> None:
        """All of them, for a fifth of a second, every five."""
        while not self.ended.is_set():
            taken = []
            try:
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                self.count("times without descriptors", 0, 0)
            time.sleep(0.2)
            for descriptor in taken:
                os.close(descriptor)
            self.ended.wait(5)


def main() -> None:
    with TemporaryDirectory() as folder:
        shared = Shared(Path(sys.argv[1]), Path(folder))
        signal.signal(signal.SIGTERM, lambda *_: shared.ended.set())
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
        threads = [threading.Thread(target=shared.work, args=(seed,)) for seed in range(THREADS)]
        threads.append(threading.Thread(target=shared.take_descriptors))
        for thread in threads:
            thread.start()
        print("started", flush=True)
        shared.ended.wait()
        for thread in threads:
            thread.join()
        print(json.dumps(shared.counts), flush=True)


if __name__ == "__main__":
    main()
