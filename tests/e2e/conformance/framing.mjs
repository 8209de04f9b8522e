// Framing, pings and pongs, reserved bits, opcodes (RFC 6455, 5.2 and 5.5)
import { binary, close, pieces, pong, text } from '../support/conformance.mjs'
import { binaryOf, textOf } from '../support/payload.mjs'
import { OP, chop, frame } from '../support/raw.mjs'

const SIZES = [0, 125, 126, 127, 128, 65535, 65536]

/* Every form of the length, and both kinds of payload. */
export const framing = [
	...SIZES.map((size) => ({ name: `text of ${size} bytes`, send: [frame(OP.TEXT, textOf(size))], expect: [text(textOf(size))] })),
	{ name: 'text of 65536 bytes in pieces of 997', send: [pieces(chop(frame(OP.TEXT, textOf(65536)), 997))], expect: [text(textOf(65536))] },
	...SIZES.map((size) => ({ name: `binary of ${size} bytes`, send: [frame(OP.BINARY, binaryOf(size))], expect: [binary(binaryOf(size))] })),
	{ name: 'binary of 65536 bytes in pieces of 997', send: [pieces(chop(frame(OP.BINARY, binaryOf(65536)), 997))], expect: [binary(binaryOf(65536))] },
]

const TEN = Array.from({ length: 10 }, (_, i) => `payload ${i}`)
const tenPings = TEN.map((each) => frame(OP.PING, each))

export const pings = [
	{ name: 'a ping without payload', send: [frame(OP.PING)], expect: [pong('')] },
	{ name: 'a ping with a text', send: [frame(OP.PING, 'Hello, wörld')], expect: [pong('Hello, wörld')] },
	{ name: 'a ping with bytes that are no text', send: [frame(OP.PING, Buffer.from('00fffefdfcfb00ff', 'hex'))], expect: [pong(Buffer.from('00fffefdfcfb00ff', 'hex'))] },
	{ name: 'a ping of 125 bytes', send: [frame(OP.PING, binaryOf(125))], expect: [pong(binaryOf(125))] },
	{ name: 'a ping of 126 bytes', send: [frame(OP.PING, binaryOf(126))], expect: [close(1002)] },
	{ name: 'a ping of 125 bytes byte by byte', send: [pieces(chop(frame(OP.PING, binaryOf(125))))], expect: [pong(binaryOf(125))] },
	{ name: 'a pong nobody asked for', send: [frame(OP.PONG)], expect: [] },
	{ name: 'a pong nobody asked for, with payload', send: [frame(OP.PONG, 'unasked')], expect: [] },
	{ name: 'a pong nobody asked for, and a ping', send: [frame(OP.PONG, 'unasked'), frame(OP.PING, 'asked')], expect: [pong('asked')] },
	{ name: 'ten pings at once', send: [Buffer.concat(tenPings)], expect: TEN.map(pong) },
	{ name: 'ten pings byte by byte', send: [pieces(chop(Buffer.concat(tenPings)))], expect: TEN.map(pong) },
]

const before = [frame(OP.TEXT, 'before')]
const after = frame(OP.PING, 'after')
const fails = (name, bad, sendsBefore = before, sendsAfter = [after]) => ({
	name, send: [...sendsBefore, bad, ...sendsAfter], expect: [...sendsBefore.map(() => text('before')), close(1002)],
})
/* Nothing else is sent: the first byte says enough. */
const failsAtFirstByte = (name, bad) => fails(`${name}, only its first byte`, bad.subarray(0, 1), before, [])

/* No extension is agreed on here. */
export const reserved = [
	fails('RSV3 on a text', frame(OP.TEXT, 'a', { rsv: 1 }), []),
	fails('RSV2 on a text behind a good one', frame(OP.TEXT, 'a', { rsv: 2 })),
	fails('RSV2 and RSV3 on a binary message', frame(OP.BINARY, 'a', { rsv: 3 })),
	failsAtFirstByte('RSV1 on a text', frame(OP.TEXT, 'a', { rsv: 4 })),
	fails('RSV1 and RSV3 on an empty binary message', frame(OP.BINARY, '', { rsv: 5 })),
	fails('RSV1 and RSV2 on a ping', frame(OP.PING, 'a', { rsv: 6 })),
	fails('all three on a close frame', frame(OP.CLOSE, '', { rsv: 7 })),
]

export const opcodes = [
	fails('opcode 3, empty', frame(3), []),
	fails('opcode 4 with payload', frame(4, 'reserved'), []),
	fails('opcode 5, empty, behind a text', frame(5)),
	fails('opcode 6 with payload, behind a text', frame(6, 'reserved')),
	failsAtFirstByte('opcode 7', frame(7, 'reserved')),
	fails('opcode 11, empty', frame(11), []),
	fails('opcode 12 with payload', frame(12, 'reserved'), []),
	fails('opcode 13, empty, behind a text', frame(13)),
	fails('opcode 14 with payload, behind a text', frame(14, 'reserved')),
	failsAtFirstByte('opcode 15', frame(15, 'reserved')),
]
