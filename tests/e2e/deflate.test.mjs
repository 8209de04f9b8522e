// permessage-deflate (RFC 7692): which offers are taken and what is answered, the examples of the RFC byte for byte, what is forbidden,
// corrupt data, bombs, limits.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { constants, deflateRawSync } from 'node:zlib'

import { close, only, pieces, pong, runRow, text } from './support/conformance.mjs'
import { DeflateClient, Deflater, parseExtensions } from './support/deflate-client.mjs'
import { story } from './support/herold.mjs'
import { binaryOf, textOf } from './support/payload.mjs'
import { OP, RawSocket, chop, closePayload, fragments, frame, handshake } from './support/raw.mjs'

const MIB = 1024 * 1024
const PMD = 'permessage-deflate'
const TAKEN = {}

/** What is offered, and the parameters of the answer beside those of the mode; null: declined, 400: refused. */
const OFFERS = [
	[undefined, null],
	['', null],
	['x-unknown', null],
	['permessage-bzip2; blocks=8', null],
	[PMD, TAKEN],
	['Permessage-Deflate', TAKEN],
	[`${PMD}; client_max_window_bits`, TAKEN],
	[` ${PMD} ;client_max_window_bits ; server_no_context_takeover `, TAKEN],
	[`${PMD}; client_max_window_bits=10`, { client_max_window_bits: '10' }],
	[`${PMD}; client_max_window_bits=8`, { client_max_window_bits: '8' }],
	[`${PMD}; server_max_window_bits=9`, { server_max_window_bits: '9' }],
	[`${PMD}; server_max_window_bits="12"; client_max_window_bits="11"`, { server_max_window_bits: '12', client_max_window_bits: '11' }],
	[`${PMD}; server_max_window_bits=15`, { server_max_window_bits: '15' }],
	[`${PMD}; server_no_context_takeover; client_no_context_takeover`, TAKEN],
	[`x-unknown; a=b, ${PMD}`, TAKEN],
	[[`x-unknown`, `${PMD}; server_max_window_bits=10`, PMD], { server_max_window_bits: '10' }],
	[`, ,${PMD},`, TAKEN],
	...['server_max_window_bits', 'server_max_window_bits=8', 'server_max_window_bits=7', 'server_max_window_bits=16', 'server_max_window_bits=010',
		'server_max_window_bits=ten', 'server_max_window_bits=4294967305', 'server_max_window_bits=-9', 'client_max_window_bits=7',
		'client_max_window_bits=16', 'client_max_window_bits=99999999999999999999', 'server_no_context_takeover=1', 'client_no_context_takeover=true',
		'server_no_context_takeover; server_no_context_takeover', 'client_max_window_bits; client_max_window_bits=10', 'mystery', 'mystery=1',
		'client_max_window_bits=10; mystery'].flatMap((bad) => [
		[`${PMD}; ${bad}`, null],
		[`${PMD}; ${bad}, ${PMD}; server_max_window_bits=11`, { server_max_window_bits: '11' }],
		[[`${PMD}; ${bad}`, `${PMD}; ${bad}, ${PMD}`], TAKEN],
	]),
	[`${PMD}; server_max_window_bits=`, 400],
	[`${PMD}; =9`, 400],
	[`${PMD};`, 400],
	[`${PMD}; server_max_window_bits="9`, 400],
	[`${PMD} server_no_context_takeover`, 400],
	['per message deflate', 400],
	[`${PMD}, "quoted"`, 400],
]
const OF_MODE = {
	shared: { server_no_context_takeover: true, client_no_context_takeover: true },
	dedicated: {},
}

/* In dedicated mode only who is asked to does without a context. */
function modeParams(mode, offer) {
	const wanted = ['server_no_context_takeover', 'client_no_context_takeover'].filter((name) => mode === 'dedicated' && offer.includes(name))

	return { ...OF_MODE[mode], ...Object.fromEntries(wanted.map((name) => [name, true])) }
}

async function assertOffer(address, mode, [offer, expected]) {
	const raw = await RawSocket.open(address)
	const what = JSON.stringify(offer)

	raw.write(handshake({ path: '/echo', headers: { 'Sec-WebSocket-Extensions': offer } }))
	const { status, headers, body } = await raw.response()
	const answer = headers['sec-websocket-extensions']

	assert.equal(status, expected === 400 ? 400 : 101, `${what}: ${body}`)
	if (expected === 400 || expected === null) {
		assert.equal(answer, undefined, what)
	} else {
		const used = [offer].flat().at(-1).split(',').at(-1)

		assert.deepEqual(parseExtensions(answer), [{ name: PMD, params: { ...modeParams(mode, used), ...expected } }], `${what}: ${answer}`)
	}
	raw.destroy()
}

for (const mode of ['shared', 'dedicated']) {
	story(`offers, compression ${mode}`, { options: { compression: mode, compression_memory: '1m' } }, async (herold) => {
		for (const row of OFFERS)
			await assertOffer(herold.address, mode, row)
	})
}

story('compression off', { options: { compression: 'off' } }, async (herold) => {
	for (const [offer, expected] of OFFERS) {
		if (expected !== 400)
			await assertOffer(herold.address, 'off', [offer, null])
	}
	const client = await DeflateClient.open(herold.address, { offer: PMD })

	client.raw.write(frame(OP.TEXT, Buffer.from('f248cdc9c90700', 'hex'), { rsv: 4 }))
	assert.equal((await client.next()).code, 1002)
})

const hex = (digits) => Buffer.from(digits.replace(/ /g, ''), 'hex')
/** A compressed message, or its first frame. */
const deflated = (payload, { opcode = OP.TEXT, rsv = 4, ...more } = {}) => frame(opcode, payload, { rsv, ...more })
const alone = (data) => new Deflater({ keeps: false }).message(Buffer.from(data))
const HELLO = hex('f2 48 cd c9 c9 07 00')
/* What was before, once more. */
const REPEATED = hex('f2 00 11 00 00')
const rest = (payload, more) => frame(OP.CONTINUATION, payload, more)
const more = { fin: false }
const long = textOf(3000)

/** Fine: the examples of RFC 7692 7.2.3 (the words of a format), and what else deflate allows. */
const FINE = [
	{ name: 'Hello (7.2.3.1)', send: [deflated(HELLO)], expect: [text('Hello')] },
	{ name: 'Hello in two frames (7.2.3.1)', send: [deflated(HELLO.subarray(0, 3), more), only(), rest(HELLO.subarray(3))], expect: [text('Hello')] },
	{ name: 'Hello in a block without compression (7.2.3.3)', send: [deflated(hex('00 05 00 fa ff 48 65 6c 6c 6f 00'))], expect: [text('Hello')] },
	{ name: 'Hello in a final block (7.2.3.4)', send: [deflated(hex('f3 48 cd c9 c9 07 00 00')), deflated(HELLO)], expect: [text('Hello'), text('Hello')] },
	{ name: 'Hello in two blocks (7.2.3.5)', send: [deflated(hex('f2 48 05 00 00 00 ff ff ca c9 c9 07 00'))], expect: [text('Hello')] },
	{ name: 'empty (7.2.3.6)', send: [deflated(hex('00'))], expect: [text('')] },
	{ name: 'byte by byte', send: [pieces(chop(deflated(HELLO)))], expect: [text('Hello')] },
	{ name: 'a frame per byte, pings between', send: [Buffer.concat(fragments(OP.TEXT, HELLO, 1, { rsv: 4 }).flatMap((each) => [frame(OP.PING, 'p'), each]))],
		expect: [...Array.from(HELLO, () => pong('p')), text('Hello')] },
	{ name: 'empty frames around', send: [deflated('', more), rest('', more), rest(HELLO, more), rest('')], expect: [text('Hello')] },
	{ name: 'not compressed', send: [frame(OP.TEXT, 'plain'), deflated(HELLO), frame(OP.TEXT, 'plain', more), rest('')],
		expect: [text('plain'), text('Hello'), text('plain')] },
	{ name: 'twenty empty blocks', send: [deflated(Buffer.concat([Buffer.from('000000ffff'.repeat(20), 'hex'), HELLO]))], expect: [text('Hello')] },
	{ name: 'a character cut between blocks and frames', send: [deflated(hex('00 01 00 fe ff c3'), more), rest(hex('00 01 00 fe ff a4 00'))], expect: [text('ä')] },
	{ name: 'the limit itself', send: [(raw) => raw.write(deflated(alone(Buffer.alloc(MIB, 'a'))))], expect: [text(Buffer.alloc(MIB, 'a'))] },
	{ name: 'the limit itself, in a frame that is larger', send: [(raw) => raw.write(deflated(stored(Buffer.alloc(MIB, 'b'))))], expect: [text(Buffer.alloc(MIB, 'b'))] },
]

/* Blocks without compression: always some bytes more than what is in them. */
function stored(data) {
	const blocks = chop(data, 16384).map((part) => {
		const head = Buffer.alloc(5)

		head.writeUInt16LE(part.length, 1)
		head.writeUInt16LE(part.length ^ 0xffff, 3)
		return Buffer.concat([head, part])
	})

	return Buffer.concat([...blocks, hex('00')])
}

const zeros = (n) => alone(Buffer.alloc(n))
const fails = (name, code, ...send) => ({ name, send: [deflated(HELLO), ...send, frame(OP.PING, 'late')], expect: [text('Hello'), close(code)] })
/* Ends with the bad byte: nothing else comes. */
const failsAtOnce = (name, code, ...send) => ({ name, send: [deflated(HELLO), ...send], expect: [text('Hello'), close(code)] })

const WRONG = [
	fails('RSV1 on a continuation', 1002, deflated(HELLO.subarray(0, 3), more), rest(HELLO.subarray(3), { rsv: 4 })),
	fails('RSV1 on a continuation of a plain message', 1002, frame(OP.TEXT, 'a', more), rest(HELLO, { rsv: 4 })),
	fails('RSV1 on a ping', 1002, frame(OP.PING, 'a', { rsv: 4 })),
	fails('RSV1 on a pong', 1002, frame(OP.PONG, '', { rsv: 4 })),
	fails('RSV1 on a close frame', 1002, frame(OP.CLOSE, closePayload(1000), { rsv: 4 })),
	fails('RSV1 on a ping in a compressed message', 1002, deflated(HELLO.subarray(0, 3), more), frame(OP.PING, 'a', { rsv: 4 })),
	...[1, 2, 3, 5, 6, 7].map((rsv) => fails(`reserved bits ${rsv}`, 1002, deflated(HELLO, { rsv }))),
	fails('RSV1 on a reserved opcode', 1002, frame(5, HELLO, { rsv: 4 })),
	fails('a compressed message inside another', 1002, deflated(HELLO.subarray(0, 3), more), deflated(HELLO)),
	failsAtOnce('a block of the reserved kind', 1007, deflated(hex('06'), { length: 100 })),
	failsAtOnce('a block of the reserved kind in a fragment', 1007, deflated(hex('06 00 00'), more)),
	fails('a length that contradicts its complement', 1007, deflated(hex('00 05 00 fb ff 48 65 6c 6c 6f 00'))),
	{ name: 'a distance to before anything', send: [deflated(REPEATED)], expect: [close(1007)] },
	fails('code lengths that cannot be', 1007, deflated(hex('fc ff ff ff ff ff ff ff ff ff ff ff ff ff'))),
	fails('noise', 1007, deflated(Buffer.alloc(600, 0xff))),
	fails('plain text with RSV1', 1007, deflated('just text, never compressed at all')),
	fails('the end in a block of text', 1007, deflated(alone(long).subarray(0, 90))),
	fails('the end in a block without compression', 1007, deflated(hex('00 50 00 af ff 48 65'))),
	fails('the end in a block, in fragments', 1007, deflated(alone(long).subarray(0, 50), more), rest(alone(long).subarray(50, 90))),
	fails('bytes behind the final block', 1007, deflated(hex('f3 48 cd c9 c9 07 00 06'))),
	failsAtOnce('invalid UTF-8 in a frame that goes on', 1007, deflated(hex('00 02 00 fd ff 61 ff'), { length: 1000 })),
	failsAtOnce('invalid UTF-8 in a fragment', 1007, deflated(hex('00 02 00 fd ff ed a0'), more)),
	fails('invalid UTF-8, whole', 1007, deflated(alone(hex('61 c0 80')))),
	fails('the end in a character', 1007, deflated(alone(hex('61 e2 82')))),
	failsAtOnce('one byte too many', 1009, (raw) => raw.write(deflated(alone(Buffer.alloc(MIB + 1, 'a'))))),
	fails('one byte too many in fragments', 1009, deflated(blocks(MIB), { ...more, opcode: OP.BINARY }), rest(stored(hex('00')))),
	fails('a bomb of 64 MiB', 1009, (raw) => raw.write(deflated(zeros(64 * MIB), { opcode: OP.BINARY }))),
	failsAtOnce('a bomb in a frame that is not complete', 1009, (raw) => raw.write(deflated(zeros(2 * MIB), { opcode: OP.BINARY, length: 100000 }))),
	fails('bombs in fragments', 1009, ...Array.from({ length: 20 }, (_, i) => i === 0 ? deflated(blocks(100000), { ...more, opcode: OP.BINARY }) : rest(blocks(100000), more))),
	failsAtOnce('a frame that is larger than any message compressed', 1009, deflated('', { opcode: OP.BINARY, length: 2 ** 40 })),
	failsAtOnce('a frame far larger', 1009, deflated('', { opcode: OP.BINARY, length: 2n ** 62n })),
]

/* Zeros with the flush's bytes, so that they can stand in the middle of a message. */
function blocks(n) {
	return deflateRawSync(Buffer.alloc(n), { finishFlush: constants.Z_SYNC_FLUSH })
}

/** runRow() for who compresses: an offer goes before, and answers come plain because none is worth compressing. */
const runDeflateRow = (address, row) => runRow(address, row, { 'Sec-WebSocket-Extensions': PMD })

for (const mode of ['shared', 'dedicated']) {
	const options = { compression: mode, compression_min_bytes: '64m', compression_memory: '1m' }

	story(`compressed messages, fine and wrong, compression ${mode}`, { options, concurrency: 8 }, async (herold, t) => {
		const context = mode === 'shared' ? fails('a distance to before the message', 1007, deflated(REPEATED)) :
			{ name: 'a distance to before the message', send: [deflated(HELLO), deflated(REPEATED)], expect: [text('Hello'), text('Hello')] }

		await Promise.all([...FINE, ...WRONG, context].map((row) => t.test(row.name, () => runDeflateRow(herold.address, row))))
	})
}

story('contexts', { options: { compression: 'dedicated', compression_memory: '1m', compression_min_bytes: 0 } }, async (herold, t) => {
	const noise = binaryOf(5000)
	const echoes = async (offer, data, settings) => {
		const client = await DeflateClient.open(herold.address, { offer, ...settings })
		const sizes = []

		for (let i = 0; i < 3; i++) {
			client.send(OP.BINARY, data)
			const got = await client.next()

			assert.ok(got.payload.equals(data))
			sizes.push(got.wireBytes)
		}
		client.raw.destroy()
		return sizes
	}

	await t.test('a repeated message is next to nothing', async () => {
		const [first, second, third] = await echoes(PMD, noise)

		assert.ok(first >= 5000 && second < 100 && third < 100, `${first} ${second} ${third}`)
	})
	await t.test('and is not when the client wants none', async () => {
		const [first, second] = await echoes(`${PMD}; server_no_context_takeover`, noise)

		assert.ok(first >= 5000 && second >= 5000, `${first} ${second}`)
	})
	await t.test('or when the window is smaller than the message', async () => {
		const [, second] = await echoes(`${PMD}; server_max_window_bits=9`, noise)

		assert.ok(second >= 5000, `${second}`)
	})
	await t.test('a client may do without what it could have', async () => {
		const sizes = await echoes(PMD, noise, { keeps: false })

		assert.equal(sizes.length, 3)
	})
	await t.test('the example of RFC 7692 7.2.3.2', async () => {
		await runDeflateRow(herold.address, { name: '', send: [deflated(HELLO), deflated(REPEATED), closeAfterEchoes(2)], expect: [close(1000)] })
	})
})

/* Takes the echoes, compressed as they are, out of the way of what the row expects. */
function closeAfterEchoes(count) {
	return async (raw) => {
		for (let i = 0; i < count; i++)
			assert.equal((await raw.frame()).opcode, OP.TEXT)
		raw.write(frame(OP.CLOSE, closePayload(1000)))
	}
}

const residentKib = (pid) => Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])

story('a bomb costs no more than the message that it may be', { options: { workers: 1 } }, async (herold) => {
	const [{ pid }] = (await herold.status()).workers
	const bomb = deflated(zeros(256 * MIB), { opcode: OP.BINARY })
	const before = residentKib(pid)

	for (let i = 0; i < 10; i++) {
		const client = await DeflateClient.open(herold.address, { offer: PMD })

		client.raw.write(bomb)
		assert.equal((await client.next()).code, 1009)
		await client.raw.finished()
	}
	const grown = residentKib(pid) - before

	// A sanitizer keeps what is freed for a while.
	assert.ok(grown < (process.env.BIN?.endsWith('/asan') ? 65536 : 4096), `${grown} KiB more at the highest point`)
})
