// The same bytes to `ws` and to Herold: what a client sees is the same, but for the differences that are named here.
import assert from 'node:assert/strict'
import { WebSocketServer } from 'ws'

import { outcome } from './support/conformance.mjs'
import { sleep, story } from './support/herold.mjs'
import { OP, RawSocket } from './support/raw.mjs'
import { STREAM_MAX, streamOf } from './support/streams.mjs'

const STREAMS = Number(process.env.STREAMS ?? 450)
const FIRST_SEED = Number(process.env.SEED ?? 1)
const AT_ONCE = 24
const END_MS = 100

/** Why the two may differ. `theirs` may be what ws does where Herold does `ours`, both behind what is the same. */
const RULES = {
	// RFC 6455 8.1 lets an endpoint fail as soon as a byte cannot be UTF-8; ws looks at a text when it is complete, and may by then have
	// met another error, answered pings, or be waiting for the rest.
	'invalid UTF-8 ends it at once': { ours: ['close 1007', 'end'], theirs: () => true },
	// RFC 6455 5.2: "the minimal number of bytes MUST be used"; ws takes any.
	'a length in more bytes than it needs is refused': { ours: ['close 1002', 'end'], theirs: () => true },
	// RFC 6455 5.2: "the most significant bit MUST be 0"; to ws it is a message that is too big.
	'the highest bit of a length is a protocol error': { ours: ['close 1002', 'end'], theirs: (rest) => rest[0] === 'close 1009' },
}

/** Takes a header apart: null when it is not whole, 'wrong' when both refuse it, 'wide', 'highest' or the frame. */
function header(bytes, at, open) {
	const [first, second] = bytes.subarray(at, at + 2)
	const opcode = first & 15
	const short = second & 127
	const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0
	const payloadAt = at + 2 + lengthBytes + 4

	if (second === undefined)
		return null
	if ((first & 0x70) !== 0 || (second & 0x80) === 0 || (opcode & 7) > 2 || (opcode >= 8 && (first < 0x80 || short > 125)) ||
	    (opcode === 0) !== (open !== null) && opcode < 8)
		return 'wrong'
	if (at + 2 + lengthBytes > bytes.length)
		return null
	const length = lengthBytes === 0 ? BigInt(short) : lengthBytes === 2 ? BigInt(bytes.readUInt16BE(at + 2)) : bytes.readBigUInt64BE(at + 2)

	if (length >= 2n ** 63n)
		return 'highest'
	if (length < (lengthBytes === 2 ? 126n : lengthBytes === 8 ? 65536n : 0n))
		return 'wide'
	if (opcode < 8 && length + BigInt(open?.bytes ?? 0) > STREAM_MAX)
		return 'wrong'
	const payload = bytes.subarray(payloadAt, payloadAt + Number(length)).map((byte, i) => byte ^ bytes[payloadAt - 4 + (i & 3)])

	return { opcode, isLast: first >= 0x80, payload, next: payloadAt + Number(length), length: Number(length) }
}

/** The name of the first rule that the stream touches, or null; found without either server. */
function ruleOf(bytes) {
	let open = null

	for (let at = 0; at < bytes.length;) {
		const frame = header(bytes, at, open)

		if (frame === 'highest')
			return 'the highest bit of a length is a protocol error'
		if (frame === 'wide')
			return 'a length in more bytes than it needs is refused'
		if (frame === null || frame === 'wrong' || frame.opcode === OP.CLOSE)
			return null
		at = frame.next
		if (frame.opcode > OP.CLOSE)
			continue
		open ??= { bytes: 0, utf8: frame.opcode === OP.TEXT ? new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }) : null }
		open.bytes += frame.length
		try {
			open.utf8?.decode(frame.payload, { stream: at > bytes.length || !frame.isLast })
		} catch {
			return 'invalid UTF-8 ends it at once'
		}
		if (frame.isLast)
			open = null
	}
	return null
}

/** Everything that a client sees that sends these pieces and then ends its side. */
async function seenBy(address, pieces) {
	const raw = await RawSocket.upgraded(address, { path: '/echo' })
	const all = []

	await raw.writePieces(pieces)
	const ending = sleep(END_MS).then(() => raw.end())

	do
		all.push(await outcome(raw))
	while (all.at(-1) !== 'end')
	await ending
	raw.destroy()
	return all
}

function echoServer() {
	const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, maxPayload: STREAM_MAX })

	server.on('connection', (socket) => {
		socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
		socket.on('error', () => {})
	})
	return new Promise((done) => server.on('listening', () => done(server)))
}

/** Compares, and returns the name of the rule that explains the difference; null when there is none. */
async function compare(seed, ours, theirs) {
	const { kind, bytes, pieces } = streamOf(seed)
	const rule = ruleOf(bytes)
	const [own, other] = await Promise.all([seenBy(ours, pieces), seenBy(theirs, pieces)])
	const what = `SEED=${seed} STREAMS=1 (${kind}, ${bytes.length} bytes, ${rule ?? 'no rule'})`

	if (rule === null) {
		assert.deepEqual(own, other, what)
		return null
	}
	const same = own.slice(0, -RULES[rule].ours.length)

	// What the rule says of Herold is asserted also when ws happens to do the same.
	assert.deepEqual(own.slice(same.length), RULES[rule].ours, what)
	assert.deepEqual(other.slice(0, same.length), same, what)
	assert.ok(RULES[rule].theirs(other.slice(same.length)), `${what}: ${other}`)
	return own.join() === other.join() ? null : rule
}

story('the same streams to ws and to Herold', { options: { max_message_bytes: STREAM_MAX } }, async (herold, t) => {
	const server = await echoServer()
	const seeds = Array.from({ length: STREAMS }, (_, i) => FIRST_SEED + i)
	const explained = new Map(Object.keys(RULES).map((rule) => [rule, 0]))

	try {
		await Promise.all(Array.from({ length: AT_ONCE }, async () => {
			while (seeds.length > 0) {
				const rule = await compare(seeds.shift(), herold.address, `127.0.0.1:${server.address().port}`)

				if (rule !== null)
					explained.set(rule, explained.get(rule) + 1)
			}
		}))
	} finally {
		server.close()
		server.clients.forEach((client) => client.terminate())
	}
	for (const [rule, count] of explained) {
		t.diagnostic(`${count} of ${STREAMS}: ${rule}`)
		assert.ok(count > 0 || process.env.SEED !== undefined, `the rule is needed: ${rule}`)
	}
})
