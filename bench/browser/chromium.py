"""A headless Chromium on loopback, spoken to over its DevTools protocol. It ends with the `async with`."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = "/usr/bin/chromium"
WIDTH, HEIGHT, DENSITY = 1280, 720, 2
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
    f"--window-size={WIDTH},{HEIGHT}",
)  # fmt: skip
START_S = 60.0
CALL_S = 30.0


class Tab:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one command; events that come before it are passed over. Raises TimeoutError."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        async with asyncio.timeout(CALL_S):
            while True:
                message = json.loads((await self._socket.receive()).data)
                if message.get("id") == self._number:
                    return message.get("result", {})

    async def evaluate(self, script: str) -> Any:
        """The value of a script, once its promise is kept."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)


@asynccontextmanager
async def chromium(resolve: str) -> AsyncIterator[Tab]:
    """A tab of a fresh browser. `resolve` maps host names, as `--host-resolver-rules` has it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            PROGRAM, *FLAGS, f"--user-data-dir={folder}", f"--host-resolver-rules={resolve}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = await _port_of(Path(folder) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    pages = [t for t in await answer.json() if t["type"] == "page"]
                async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    tab = Tab(socket)
                    await tab.call("Page.enable")
                    await tab.call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT,
                                   deviceScaleFactor=DENSITY, mobile=False)  # fmt: skip
                    yield tab
        finally:
            process.terminate()
            await process.wait()


async def _port_of(file: Path) -> int:
    async with asyncio.timeout(START_S):
        while not file.exists() or not file.read_text().strip():
            await asyncio.sleep(0.1)
    return int(file.read_text().split()[0])
