"""A network that can be made slow: a TCP proxy that holds what a client sends for 50 ms on request.

python -m rig.slow PORT TARGET_PORT      (SIGUSR1: slow, SIGUSR2: quick again)
"""

import asyncio
import signal
import sys

DELAY_SECONDS = 0.05
CHUNK = 262_144


async def main(port: int, target: int) -> None:
    """Forward for ever."""
    delay = 0.0

    def set_delay(seconds: float) -> None:
        nonlocal delay
        delay = seconds

    async def copy(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool
    ) -> None:
        try:
            while data := await reader.read(CHUNK):
                if held and delay:
                    await asyncio.sleep(delay)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(copy(reader, back, held=True), copy(there, writer, held=False))

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, set_delay, DELAY_SECONDS)
    loop.add_signal_handler(signal.SIGUSR2, set_delay, 0.0)
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
    except KeyboardInterrupt:
        sys.exit(0)
