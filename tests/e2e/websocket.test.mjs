// RFC 6455 as a well-behaved client meets it: messages byte for byte, control frames, the close handshake, the opening one; and HTTP
// on the same port.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WebSocket } from 'ws'

import { ChatClient } from './support/client.mjs'
import { story, waitFor } from './support/herold.mjs'
import { OP, RawSocket, acceptOf, closePayload, frame, handshake } from './support/raw.mjs'

const MIB = 1024 * 1024
const get = (path, headers = '', method = 'GET') => `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`

/** A client that keeps what it gets as it came: client.got has [isBinary, Buffer]. */
async function open(url) {
	const socket = new WebSocket(url, { perMessageDeflate: false })
	const client = { socket, got: [] }

	socket.on('message', (data, isBinary) => client.got.push([isBinary, data]))
	client.closed = new Promise((done) => socket.on('close', (code, reason) => done([code, reason.toString()])))
	await new Promise((done, fail) => socket.once('open', done).once('error', fail))
	return client
}

const digest = (list) => list.map(([isBinary, data]) => `${isBinary} ${data.length} ${createHash('sha1').update(data).digest('hex')}`)

story('/echo: byte for byte', { options: { max_message_bytes: '8m' } }, async (herold) => {
	const client = await open(`${herold.wsUrl}/echo`)
	const sent = []

	for (const size of [0, 1, 125, 126, 127, 65535, 65536, MIB, 8 * MIB]) {
		for (const data of [randomBytes(size), 'é'.repeat(size >> 1) + (size % 2 === 1 ? '\0' : '')]) {
			sent.push([Buffer.isBuffer(data), Buffer.from(data)])
			client.socket.send(data)
		}
	}
	await waitFor(() => client.got.length === sent.length, 'all echoes', 20000)
	assert.deepEqual(digest(client.got), digest(sent))
	client.socket.send(Buffer.alloc(8 * MIB + 1))
	assert.equal((await client.closed)[0], 1009)
})

// A byte of each fragment's number in it shows if one is lost or doubled.
story('4 MiB in fragments of 64 bytes, with pings between them', { options: { max_message_bytes: '4m' } }, async (herold) => {
	const raw = await RawSocket.upgraded(herold.address, { path: '/echo' })
	const message = randomBytes(4 * MIB)
	const count = message.length / 64
	const frames = []

	for (let i = 0; i < count; i++) {
		frames.push(frame(i === 0 ? OP.BINARY : OP.CONTINUATION, message.subarray(i * 64, i * 64 + 64), { fin: i === count - 1, mask: Buffer.from([i, 7, i >> 8, 1]) }))
		if (i % 1000 === 0)
			frames.push(frame(OP.PING, `ping ${i}`))
	}
	raw.write(Buffer.concat(frames))
	for (let i = 0; i < count; i += 1000) {
		const pong = await raw.frame()

		assert.deepEqual([pong.opcode, pong.payload.toString()], [OP.PONG, `ping ${i}`])
	}
	const echo = await raw.frame(20000)

	assert.deepEqual([echo.opcode, echo.fin, echo.rsv, echo.masked], [OP.BINARY, true, 0, false])
	assert.ok(echo.payload.equals(message), 'the same 4 MiB')
	raw.destroy()
})

story('control frames and the close handshake', {}, async (herold, t) => {
	const opened = () => RawSocket.upgraded(herold.address, { path: '/echo' })

	await t.test('a ping is answered with its payload, a pong with nothing', async () => {
		const raw = await opened()

		for (const payload of [Buffer.alloc(0), randomBytes(5), randomBytes(125)]) {
			raw.write(Buffer.concat([frame(OP.PONG, 'not asked for'), frame(OP.PING, payload)]))
			const pong = await raw.frame()

			assert.deepEqual([pong.opcode, pong.payload.toString('hex')], [OP.PONG, payload.toString('hex')])
		}
		raw.destroy()
	})
	await t.test('a close frame is answered with its code', async () => {
		for (const [payload, code] of [['', undefined], ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]
			.map((each) => [closePayload(each, 'auf Wiedersehen ☺'), each])]) {
			const raw = await opened()

			// What follows a close frame is not looked at.
			raw.write(Buffer.concat([frame(OP.TEXT, 'last words'), frame(OP.CLOSE, payload), frame(OP.TEXT, 'too late', { rsv: 7 })]))
			assert.equal((await raw.frame()).payload.toString(), 'last words')
			const close = await raw.frame()

			assert.deepEqual([close.opcode, close.code], [OP.CLOSE, code])
			assert.equal(await raw.frame(), null, 'nothing but the end follows')
		}
	})
	await t.test('the server closes, the client answers or does not', async () => {
		const answering = await ChatClient.open(herold)
		const silent = await RawSocket.upgraded(herold.address)
		const start = Date.now()

		answering.send(Buffer.from('binary'))
		silent.write(frame(OP.BINARY, 'binary'))
		assert.deepEqual(await answering.closed, { code: 1003, reason: 'data of this kind is not accepted here: the chat takes text only' })
		assert.ok(Date.now() - start < 1500, 'the handshake is over as soon as it is answered')
		assert.equal((await silent.closeFrame()).code, 1003)
		// Messages after the server's close frame count for nothing; the close frame is waited for, but not for ever.
		silent.write(frame(OP.TEXT, 'I am still talking'))
		await silent.finished()
		await herold.waitLog(/reason=bad_data .*then=close_timeout/)
		assert.equal((await herold.status()).counters.close_timeouts, 1)
	})
	await t.test('the client goes without a word', async () => {
		const gone = await opened()
		const broken = await opened()

		gone.end()
		broken.socket.resetAndDestroy()
		await herold.waitLog(/reason=client_eof/)
		await herold.waitLog(/reason=client_reset/)
	})
	await t.test('one line for each connection that ends', async () => {
		const raw = await opened()
		const before = herold.lines.filter((line) => /reason=client_close/.test(line)).length

		raw.write(Buffer.concat([frame(OP.TEXT, '12345'), frame(OP.CLOSE, closePayload(4321, 'enough "of" it'))]))
		await raw.finished()
		const line = await waitFor(() => herold.lines.filter((each) => /reason=client_close/.test(each))[before], 'the line')

		assert.match(line, / info worker [01] pid=\d+ area=conn message="closed by the client" conn=[\w-]{19} peer=127\.0\.0\.1:\d+ reason=client_close code=4321 detail="enough \\"of\\" it" bytes_in=\d+ bytes_out=\d+ messages_in=1 messages_out=1 duration_ms=\d+$/)
	})
})

story('the opening handshake', {}, async (herold, t) => {
	await t.test('the answer', async () => {
		const raw = await RawSocket.open(herold.address)
		const key = randomBytes(16).toString('base64')

		raw.write(handshake({ path: '/echo?x=1', headers: { Upgrade: 'h2c, WebSocket', Connection: 'keep-alive, upgrade', Origin: 'http://localhost',
			'Sec-WebSocket-Key': key, 'Sec-WebSocket-Extensions': 'x-unknown; a=1', 'Sec-WebSocket-Protocol': 'chat' } }))
		const { status, headers } = await raw.response()

		assert.equal(status, 101)
		assert.deepEqual(headers, { upgrade: 'websocket', connection: 'Upgrade', 'sec-websocket-accept': acceptOf(key) })
		raw.destroy()
	})
	await t.test('frames in the same segment, and byte by byte', async () => {
		const raw = await RawSocket.open(herold.address)
		const slow = await RawSocket.open(herold.address)
		const all = Buffer.concat([Buffer.from(handshake({ path: '/echo' })), frame(OP.TEXT, 'first'), frame(OP.TEXT, 'sec', { fin: false }),
			frame(OP.CONTINUATION, 'ond')])

		raw.write(all)
		for (const byte of all) {
			slow.write(Buffer.from([byte]))
			await new Promise(setImmediate)
		}
		for (const each of [raw, slow]) {
			assert.equal((await each.response()).status, 101)
			assert.equal((await each.frame()).payload.toString(), 'first')
			assert.equal((await each.frame()).payload.toString(), 'second')
			each.destroy()
		}
	})
	await t.test('behind requests on the same connection', async () => {
		const raw = await RawSocket.open(herold.address)

		raw.write(get('/herold.js') + get('/icon.svg', 'If-None-Match: "another"\r\n') + handshake({ path: '/echo' }))
		assert.equal((await raw.response()).headers['content-type'], 'text/javascript; charset=utf-8')
		assert.equal((await raw.response()).headers['content-type'], 'image/svg+xml')
		assert.equal((await raw.response()).status, 101)
		raw.write(frame(OP.TEXT, 'here we are'))
		assert.equal((await raw.frame()).payload.toString(), 'here we are')
		raw.destroy()
	})
})

story('the page and its files', {}, async (herold) => {
	const raw = await RawSocket.open(herold.address)
	const ask = (...request) => {
		raw.write(get(...request))
		return raw.response()
	}

	for (const [path, type, start] of [['/', 'text/html; charset=utf-8', '<!doctype html>'], ['/chat.css', 'text/css; charset=utf-8', ''],
		['/chat.js', 'text/javascript; charset=utf-8', '/'], ['/herold.js', 'text/javascript; charset=utf-8', '/'],
		['/view.js', 'text/javascript; charset=utf-8', '/'], ['/icon.svg', 'image/svg+xml', '<svg']]) {
		const { status, headers, body } = await ask(path)

		assert.deepEqual([status, headers['content-type'], headers.connection], [200, type, 'keep-alive'], path)
		assert.ok(body.toLowerCase().startsWith(start), path)
		assert.match(headers.etag, /^"[0-9a-f]{16,}"$/)
		assert.equal(headers['cache-control'], 'no-cache')
		assert.equal(headers['x-content-type-options'], 'nosniff')
		assert.match(headers['content-security-policy'], /^default-src 'none'; script-src 'self'; /)
		assert.doesNotMatch(headers['content-security-policy'], /unsafe|\*/)
		const known = await ask(path, `If-None-Match: ${headers.etag}\r\n`)

		assert.deepEqual([known.status, known.headers.etag, known.headers['content-length']], [304, headers.etag, undefined], path)
		// Nothing follows the head of either: else it would stand before the next answer.
		raw.write(get(`${path}?again`, '', 'HEAD'))
		const length = headers['content-length']

		await waitFor(() => raw.bytes.includes(`Content-Length: ${length}\r\n`) && raw.bytes.includes('\r\n\r\n'), 'the head')
		raw.bytes = raw.bytes.subarray(raw.bytes.indexOf('\r\n\r\n') + 4)
		assert.equal(raw.bytes.length, 0, 'HEAD has no body')
	}
	raw.write(get('/', 'Connection: close\r\n') + get('/'))
	assert.equal((await raw.response()).headers.connection, 'close')
	await raw.finished()
	assert.equal(raw.bytes.length, 0, 'and no further answer')
	const old = await RawSocket.open(herold.address)

	old.write('GET / HTTP/1.0\r\n\r\n')
	assert.equal((await old.response()).headers.connection, 'close')
	await old.finished()
})

story('/broadcast: one order for all, on both workers', {}, async (herold) => {
	const clients = []

	do
		clients.push(await open(`${herold.wsUrl}/broadcast`))
	while (clients.length < 4 || (await herold.status()).workers.some((w) => w.websockets === 0))
	// Who is connected gets what is published from a moment on that nobody is told of.
	await waitFor(async () => {
		clients[0].socket.send('ready?')
		await new Promise((done) => clients[0].socket.once('message', done))
		return clients.every((client) => client.got.length > 0)
	}, 'all to be there')
	const sent = []

	for (let i = 0; i < 100; i++) {
		for (const [at, client] of clients.entries()) {
			const data = i % 2 === 0 ? `${at} ${i} é` : Buffer.concat([Buffer.from([at, i, 0xff]), randomBytes(i * 10)])

			sent.push([Buffer.isBuffer(data), Buffer.from(data)])
			client.socket.send(data)
		}
	}
	const end = (client) => client.got.filter(([isBinary, data]) => isBinary || data.toString() !== 'ready?')

	await waitFor(() => clients.every((client) => end(client).length === sent.length), 'all messages')
	assert.deepEqual(digest(end(clients[0])).sort(), digest(sent).sort())
	for (const [at, client] of clients.entries()) {
		assert.deepEqual(digest(end(client)), digest(end(clients[0])), 'the same order')
		const own = (list) => digest(list.filter(([isBinary, data]) => isBinary ? data[0] === at : data.toString().startsWith(`${at} `)))

		assert.deepEqual(own(end(clients[0])), own(sent), 'of each sender in its order')
	}
})

const socketPath = join(tmpdir(), `herold-test-${process.pid}.sock`)

story('IPv4, IPv6 and unix sockets', { options: { listen: `127.0.0.1:0,[::1]:0,unix:${socketPath}` } }, async (herold) => {
	const [v4, v6, unix] = await waitFor(() => herold.addresses.length === 3 && herold.addresses, 'three addresses')

	assert.match(v4, /^127\.0\.0\.1:\d+$/)
	assert.match(v6, /^\[::1\]:\d+$/)
	assert.equal(unix, `unix:${socketPath}`)
	for (const url of [`ws://${v4}/echo`, `ws://${v6}/echo`, `ws+unix:${socketPath}:/echo`]) {
		// Workers share a unix socket: several connections find several of them.
		for (let i = 0; i < 4; i++) {
			const client = await open(url)

			client.socket.send(url)
			await waitFor(() => client.got.length === 1, 'the echo')
			assert.equal(client.got[0][1].toString(), url)
			client.socket.close()
			await client.closed
		}
	}
	await herold.waitLog(/peer=\[?::1\]?:\d+/)
	await herold.waitLog(/peer=unix:/)
	await herold.stop()
	const refused = await new Promise((done) => connect(socketPath).once('error', done))

	assert.equal(refused.code, 'ENOENT', 'the name of the socket is gone')
	rmSync(socketPath, { force: true })
})
