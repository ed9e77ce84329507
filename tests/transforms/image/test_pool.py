"""Decoder processes: what they give is what the function gives; one that ends or hangs costs one image."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from helpers.pictures import GOOD

from filters.reasons import Drop, Reason
from transforms.image.pool import DecodeQueue, Decoder, DecoderPool
from transforms.image.process import ImageSettings, Processed, process_image
from transforms.image.worker import send_bodies

SETTINGS = ImageSettings(size=64)
# The real program, but some bodies are poison.
POISONED = """
import os, time
from transforms.image import worker
real = worker.process_image
def process_image(body, settings):
    if body == b"abort":
        os.abort()
    if body == b"hang":
        time.sleep(60)
    if body == b"rubbish":
        os.write(int(worker.sys.argv[1]), b"\\0\\0\\0\\5hello")
        os._exit(0)
    if body == b"unknown reason":
        return worker.Drop("no reason of ours", None, "")
    if body == b"memory":
        bytearray(64 * 1024**3)
    return real(body, settings)
worker.process_image = process_image
worker.main()
"""


@pytest.fixture
def poisoned(tmp_path, monkeypatch):
    (tmp_path / "decoder.py").write_text(POISONED)
    monkeypatch.setattr(Decoder, "program", (str(tmp_path / "decoder.py"),))


def decoded(bodies, count=2, timeout_s=20.0):
    """All of `bodies` asked for at once."""
    pool = DecoderPool(count, SETTINGS, timeout_s)

    async def main():
        queue = DecodeQueue(pool)
        return await asyncio.gather(*(queue.process(body) for body in bodies))

    try:
        return asyncio.run(main())
    finally:
        pool.close()


def test_they_give_what_the_function_gives():
    bodies = [*GOOD.values(), b"", b"<html>", GOOD["baseline"][:99]]
    assert decoded(bodies) == [process_image(body, SETTINGS) for body in bodies]


@pytest.mark.parametrize(("poison", "how"), [(b"abort", "ended"), (b"rubbish", "ended"), (b"unknown reason", "ended"),
                                             (b"memory", "ended"), (b"hang", "hung")])  # fmt: skip
def test_poison_costs_one_image(poisoned, poison, how):
    good = GOOD["baseline"]
    bodies = [good] * 9 + [poison] + [good] * 9 + [poison]
    outcomes = decoded(bodies, timeout_s=5.0 if how == "hung" else 60.0)  # in which a busy machine starts a process
    lost = Drop(Reason.DECODER_CRASHED, None, how)
    assert [outcome == lost for outcome in outcomes] == [body == poison for body in bodies]
    assert all(isinstance(o, Processed) for o, body in zip(outcomes, bodies, strict=True) if body == good)


def test_one_that_somebody_kills_is_started_again():
    pool = DecoderPool(1, SETTINGS)
    body = GOOD["PNG"]
    expected = process_image(body, SETTINGS)
    try:
        assert pool.decode([body]) == [expected]
        children = psutil.Process().children()
        for child in children:
            child.send_signal(signal.SIGKILL)
            child.wait(10)
        assert pool.decode([body] * 3) == [expected] * 3
    finally:
        pool.close()


def test_five_hundred_mutilated_images_end_no_process():
    rng = random.Random(7)
    originals = list(GOOD.values())
    pool = DecoderPool(2, SETTINGS)
    try:
        pool.decode(originals)
        before = {child.pid for child in psutil.Process().children()}
        for _ in range(50):
            outcomes = pool.decode([flipped(rng.choice(originals), rng) for _ in range(10)])
            assert all(o.reason is not Reason.DECODER_CRASHED for o in outcomes if isinstance(o, Drop))
        after = {child.pid for child in psutil.Process().children()}
        assert before <= after
    finally:
        pool.close()


def flipped(body: bytes, rng: random.Random) -> bytes:
    data = bytearray(body)
    for _ in range(rng.randint(1, 20)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def test_they_end_with_the_process_that_started_them():
    reading, writing = os.pipe()
    if not (child := os.fork()):
        pool = DecoderPool(2, SETTINGS)
        pool.decode([b""])
        os.write(writing, b"%d" % psutil.Process().children()[0].pid)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    decoder = int(os.read(reading, 20))
    end = time.monotonic() + 10
    while psutil.pid_exists(decoder) and psutil.Process(decoder).status() != "zombie":
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("answers", [0, 1])
@pytest.mark.parametrize("left", [b"", b"\0", b"\0\0\0\5he"])
def test_one_whose_parent_is_gone_ends_without_a_word(answers, left):
    """Where answers were left unread its socket is reset, not closed."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, *Decoder.program, str(theirs.fileno()), SETTINGS.model_dump_json()]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE) as process:
        theirs.close()
        for _ in range(answers):
            send_bodies(ours, [GOOD["PNG"]])
            ours.recv(1)
        ours.sendall(left)
        ours.close()
        assert process.communicate(timeout=20)[1] == b""
    assert process.returncode == 0
