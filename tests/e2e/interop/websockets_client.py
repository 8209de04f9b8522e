"""websockets_client - Python's websockets, exercised; prints the report"""
import asyncio

import websockets

from exercise import arguments, binary_of, messages, show, trust

URL, COMPRESSION, SIZES, IDLE, CA = arguments()


def connect():
    # A ping of its own would be life of its own.
    return websockets.connect(URL, compression="deflate" if COMPRESSION else None, max_size=None, ping_interval=None, ssl=trust(CA))


async def main():
    report = {"echoes": 0, "wrong": []}
    async with connect() as socket:
        report["extensions"] = ", ".join(each.name for each in socket.extensions)
        for name, data in messages(SIZES):
            await socket.send(data)
            if await socket.recv() == data:
                report["echoes"] += 1
            else:
                report["wrong"].append(name)
        await socket.ping(b"from the client")
        await asyncio.sleep(IDLE)
        # A list goes out as fragments.
        await socket.send(["still", " ", "here"])
        report["after"] = await socket.recv()
        await socket.close(3000, "bye ☺")
        report["close"] = socket.close_code
    async with connect() as greedy:
        try:
            await greedy.send(binary_of(SIZES[-1] + 1))
            await greedy.recv()
        except websockets.ConnectionClosed as closed:
            report["refusal"] = [closed.code, closed.reason]
    show(report)


asyncio.run(main())
