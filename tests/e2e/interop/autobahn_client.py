"""autobahn_client - Python's autobahn on asyncio, exercised; prints the report"""
import asyncio

from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import (
    PerMessageDeflateOffer, PerMessageDeflateResponse, PerMessageDeflateResponseAccept)

from exercise import arguments, binary_of, messages, show, trust

URL, COMPRESSION, SIZES, IDLE, CA = arguments()


class Client(WebSocketClientProtocol):
    """One connection: its messages and its end, to be waited for."""

    def onConnect(self, response):
        self.extensions = ", ".join(str(each.EXTENSION_NAME) for each in response.extensions)

    def onOpen(self):
        self.inbox = asyncio.Queue()
        self.closed = asyncio.get_running_loop().create_future()
        self.factory.opened.set_result(self)

    def onMessage(self, payload, isBinary):
        self.inbox.put_nowait(bytes(payload) if isBinary else payload.decode("utf8"))

    def onClose(self, wasClean, code, reason):
        self.closed.set_result([code, reason])

    def send(self, data):
        self.sendMessage(data if isinstance(data, bytes) else data.encode("utf8"), isBinary=isinstance(data, bytes))


def accept(response):
    if isinstance(response, PerMessageDeflateResponse):
        return PerMessageDeflateResponseAccept(response)
    return None


async def connect():
    loop = asyncio.get_running_loop()
    factory = WebSocketClientFactory(URL)
    factory.protocol = Client
    factory.opened = loop.create_future()
    # Its timers go by whole seconds rounded down: of the default one second for a close, nothing may be left.
    factory.setProtocolOptions(openHandshakeTimeout=20, closeHandshakeTimeout=20)
    if COMPRESSION:
        factory.setProtocolOptions(perMessageCompressionOffers=[PerMessageDeflateOffer()], perMessageCompressionAccept=accept)
    await loop.create_connection(factory, factory.host, factory.port, ssl=trust(CA))
    return await asyncio.wait_for(factory.opened, 20)


async def main():
    report = {"echoes": 0, "wrong": []}
    client = await connect()
    report["extensions"] = client.extensions
    for name, data in messages(SIZES):
        client.send(data)
        if await client.inbox.get() == data:
            report["echoes"] += 1
        else:
            report["wrong"].append(name)
    client.sendPing(b"from the client")
    await asyncio.sleep(IDLE)
    # As fragments.
    client.sendMessage("still here".encode("utf8"), fragmentSize=3)
    report["after"] = await client.inbox.get()
    client.sendClose(3000, "bye ☺")
    report["close"] = (await client.closed)[0]
    greedy = await connect()
    greedy.send(binary_of(SIZES[-1] + 1))
    code, reason = await greedy.closed
    # Its reason is more than the server's: "connection was closed uncleanly (...)".
    report["refusal"] = [code, reason]
    show(report)


asyncio.run(main())
