"""Damaged requests: `python -m tests.load.fuzz --artifact FILE --count 100000`.

Each is a good request with some bytes changed, left out, repeated or put in, sent on a connection
of its own. Exits with 1 where an answer is 5xx, busy (503) apart, or the service no
longer reads.
"""

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import httpx

from tests.service.served import Served, form, picture, served

AT_ONCE = 128
SECONDS = 60


def seeds(host: str) -> list[bytes]:
    """Good requests of every kind."""
    image = picture(".jpg", (94, 24))
    binary = len(image).to_bytes(4, "little") + image
    tensor = {"name": "images", "datatype": "BYTES", "shape": [1]}
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": len(binary)}}]})
    url = f"http://{host}"
    infer = f"{url}/v2/models/lprnet/infer"
    length = {"Inference-Header-Content-Length": str(len(head))}
    requests = [
        httpx.Request("GET", f"{url}/v2/models/lprnet/versions/1/ready"),
        httpx.Request("GET", f"{url}/metrics"),
        httpx.Request("POST", f"{url}/v1/read?alternatives=3", files=form(image, image)),
        httpx.Request("POST", f"{url}/v1/read", json={"images": ["iVBORw0KGgo=", "AAAA"]}),
        httpx.Request("POST", infer, json={"inputs": [{**tensor, "data": ["AAAA"]}]}),
        httpx.Request("POST", infer, content=head.encode() + binary, headers=length),
    ]
    return [raw(request) for request in requests]


def raw(request: httpx.Request) -> bytes:
    """The bytes of a request."""
    lines = [f"{request.method} {request.url.raw_path.decode()} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + request.read()


def damaged(request: bytes, chance: random.Random) -> bytes:
    """`request` with changes in its head or its body, whose new length its head mostly says."""
    head, blank, body = request.partition(b"\r\n\r\n")
    if not body or chance.random() < 0.4:
        return changed(head, chance) + blank + body
    shorter = changed(body, chance)
    if chance.random() < 0.95:
        stated = f"Content-Length: {len(shorter)}".encode()
        head = re.sub(rb"content-length: \d+", stated, head, flags=re.IGNORECASE)
    return head + blank + shorter


def changed(content: bytes, chance: random.Random) -> bytes:
    """`content` with one to four changes."""
    result = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(result) + 1)
        junk = chance.randbytes(chance.choice((1, 1, 2, 8, 64)))
        match chance.randrange(5):
            case 0:
                result[place : place + len(junk)] = junk
            case 1:
                result[place:place] = junk
            case 2:
                del result[place : place + len(junk)]
            case 3:
                result[place:place] = result[place : place + chance.choice((4, 40, 400))]
            case 4:
                del result[place:]
    return bytes(result)


async def send(address: tuple[str, int], content: bytes) -> int:
    """The status of the first answer; 0 where the connection ends without one."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(content)
        head = await asyncio.wait_for(reader.read(64), SECONDS)
        return int(head[9:12]) if head.startswith(b"HTTP/1.1 ") else 0
    except OSError:
        return 0
    finally:
        writer.close()


async def fuzz(server: Served, count: int, seed: int) -> Counter[int]:
    """How often each status came."""
    good = seeds("{}:{}".format(*server.address))
    statuses = Counter[int]()
    numbers = iter(range(seed, seed + count))

    async def work() -> None:
        for number in numbers:
            chance = random.Random(number)
            statuses[await send(server.address, damaged(chance.choice(good), chance))] += 1

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return statuses


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.fuzz", description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        served(options.artifact, Path(folder, "log"), "--max-seconds", "1") as server,
    ):
        statuses = asyncio.run(fuzz(server, options.count, options.seed))
        answer = httpx.post(f"{server.url}/v1/read", files=form(picture()), timeout=SECONDS)
        memory = server.metric("process_resident_memory_bytes")
        log = server.log.read_text()
    print(json.dumps({"statuses": statuses, "memory_mb": round(memory / 1e6)}))
    failed = {status for status in statuses if status >= 500} - {503}
    return int(bool(failed) or answer.status_code != 200 or "Traceback" in log)


if __name__ == "__main__":
    sys.exit(main())
