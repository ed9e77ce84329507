"""Serves pictures on loopback from a process of its own, whose CPU nobody counts. Prints its port; ends with stdin."""

import asyncio
import sys

from aiohttp import web

from bench.engines.synth import jpeg


async def picture(request: web.Request) -> web.Response:
    number = int(request.match_info["number"])
    return web.Response(body=jpeg(number % 200, int(sys.argv[1])), content_type="image/jpeg")


async def serve() -> None:
    app = web.Application()
    app.router.add_get(r"/{number:\d+}.jpg", picture)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    for number in range(200):
        jpeg(number, int(sys.argv[1]))
    asyncio.run(serve())
