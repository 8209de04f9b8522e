// Compression as it pays: a publication compressed once for all who get it, clients of all kinds side by side, what it costs in memory,
// and bombs. What is on the wire, byte for byte: deflate.test.mjs.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { deflateRawSync } from 'node:zlib'
import { WebSocket } from 'ws'

import { ChatClient } from './support/client.mjs'
import { DeflateClient } from './support/deflate-client.mjs'
import { story, waitFor } from './support/herold.mjs'
import { OP, RawSocket, closePayload, frame } from './support/raw.mjs'

const OFFERS = [
	false,
	true,
	{ serverNoContextTakeover: true },
	{ clientNoContextTakeover: true },
	{ serverNoContextTakeover: true, clientNoContextTakeover: true },
	{ serverMaxWindowBits: 9 },
	{ serverMaxWindowBits: 12, clientMaxWindowBits: 10 },
	{ clientMaxWindowBits: 9, threshold: 0 },
	{ serverMaxWindowBits: 15, clientMaxWindowBits: 15, threshold: 0 },
]
const MIB = 1024 * 1024
const IS_ASAN = /asan/.test(process.env.BIN ?? '')
const json = (bytes, mark) => JSON.stringify({ mark, text: 'all work and no play '.repeat(Math.ceil(bytes / 21)).slice(0, bytes) })

async function opened(url, perMessageDeflate) {
	const socket = new WebSocket(url, { perMessageDeflate })
	const client = { socket, got: [] }

	socket.on('message', (data) => client.got.push(data.toString()))
	await new Promise((done, fail) => socket.once('open', done).once('error', fail))
	return client
}

const sum = (status, name) => {
	const found = JSON.stringify(status).match(new RegExp(`"${name}":(\\d+)`))

	assert.ok(found, `${name} is in /status`)
	return Number(found[1])
}

for (const compression of ['shared', 'dedicated', 'off']) {
	story(`all offers side by side, compression ${compression}`, { options: { compression, workers: 1 } }, async (herold) => {
		const clients = await Promise.all(OFFERS.map((offer) => opened(`${herold.wsUrl}/broadcast`, offer)))
		const echoes = await Promise.all(OFFERS.map((offer) => opened(`${herold.wsUrl}/echo`, offer)))
		const sent = []

		for (const { socket } of clients)
			assert.equal(socket.extensions !== '', compression !== 'off' && socket !== clients[0].socket)
		// Subscribed, all of them: the first one to publish hears itself, and so does everybody else.
		clients[0].socket.send('begin')
		await waitFor(() => clients.every(({ got }) => got.length > 0), 'the begin')
		for (const size of [0, 10, 400, 1023, 1100, 5000, 40000, 10, 300000, 1100, 10]) {
			for (const from of [0, 1, 5]) {
				sent.push(json(size, sent.length))
				clients[from].socket.send(sent.at(-1))
				await waitFor(() => clients.every(({ got }) => got.length === sent.length + 1), `message ${sent.length}`)
			}
			for (const [i, { socket, got }] of echoes.entries()) {
				socket.send(json(size, i))
				await waitFor(() => got.shift() === json(size, i), 'the echo')
			}
		}
		for (const { got } of clients)
			assert.deepEqual(got.slice(1), sent)
		for (const { socket } of [...clients, ...echoes])
			socket.close()
	})
}

story('deflate calls are publications times wire forms', { options: { workers: 1 } }, async (herold) => {
	const url = `${herold.wsUrl}/broadcast`
	const open = (count, offer) => Promise.all(Array.from({ length: count }, () => opened(url, offer)))
	const groups = [await open(10, false), await open(20, true), await open(10, { serverMaxWindowBits: 12 })]
	const all = groups.flat()
	const calls = async (count, size) => {
		const before = sum(await herold.status(), 'deflate_calls')
		const seen = all[0].got.length

		for (let i = 0; i < count; i++)
			all[0].socket.send(json(size, i))
		await waitFor(() => all.every(({ got }) => got.length === seen + count), 'all messages')
		return sum(await herold.status(), 'deflate_calls') - before
	}

	assert.equal(await calls(1, 10), 0, 'too small')
	assert.equal(await calls(50, 2000), 50, 'a window of 12 bits holds them: the same bytes for all')
	assert.equal(await calls(50, 20000), 100, 'it does not hold these: two forms')
	assert.equal(await calls(2, 300000), 0, 'too large to be compressed at once')
	for (const { socket } of all)
		socket.close()
})

for (const compression of ['shared', 'dedicated']) {
	story(`the chat, compression ${compression}`, { options: { compression, compression_min_bytes: 0 } }, async (herold) => {
		const users = await Promise.all(OFFERS.map((perMessageDeflate, i) =>
			ChatClient.login(herold, { userId: `u${i}`, name: `U${i}` }, { perMessageDeflate })))

		for (const user of users)
			await user.ask({ type: 'join', room: 'r' }, 'join_ok')
		for (let i = 0; i < 20; i++)
			users[i % users.length].socket.send(JSON.stringify({ type: 'chat', room: 'r', message: `${i} ${'so to speak '.repeat(i * 10)}`, ref: `m${i}` }))
		for (const user of users)
			await waitFor(() => user.received.filter(({ type, message }) => type === 'chat' && /so to speak|^0 /.test(message)).length === 20, 'all messages')
		const orders = users.map((user) => user.received.filter(({ type }) => type === 'chat').map(({ message }) => message))

		for (const order of orders)
			assert.deepEqual(order, orders[0])
		await Promise.all(users.map((user) => (user.socket.close(), user.closed)))
	})
}

const rssOf = (pid) => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024

story('bombs: refused at the limit, one after the other and many at once', { options: { workers: 1, max_message_bytes: '1m' } }, async (herold) => {
	const headers = { 'Sec-WebSocket-Extensions': 'permessage-deflate' }
	const bomb = deflateRawSync(Buffer.alloc(64 * MIB), { finishFlush: 2 }).subarray(0, -4)
	const { workers: [worker] } = await herold.pids()
	const throwOne = async (bytes) => {
		const raw = await RawSocket.upgraded(herold.address, { path: '/echo', headers })

		raw.write(bytes)
		return raw
	}
	const refused = async (raw) => {
		const close = await raw.closeFrame()

		assert.deepEqual([close.code, close.reason], [1009, 'message too big: the message is larger than this server accepts'])
		raw.destroy()
	}

	assert.ok(bomb.length < 70000)
	await refused(await throwOne(frame(OP.BINARY, bomb, { rsv: 4 })))
	const before = rssOf(worker)
	// The build with sanitizers keeps what is freed.
	const grown = (most) => IS_ASAN || assert.ok(rssOf(worker) - before < most * MIB, `${rssOf(worker) - before} bytes more`)

	for (let i = 0; i < 20; i++)
		await refused(await throwOne(frame(OP.BINARY, bomb, { rsv: 4 })))
	grown(4)
	// Each may have as much as a message may have.
	for (const raw of await Promise.all(Array.from({ length: 20 }, () => throwOne(frame(OP.BINARY, bomb, { rsv: 4 })))))
		await refused(raw)
	grown(20 + 8)
	assert.equal(sum(await herold.status(), 'inflate_calls'), 0, 'none was a whole message')
})

/* Some kilobytes that are messages of 50 MiB. */
async function manyLarge(herold, count = 50) {
	const client = await DeflateClient.open(herold.address, { offer: 'permessage-deflate' })
	const one = Buffer.concat(client.frames(OP.BINARY, Buffer.alloc(MIB)))

	client.raw.pause()
	client.raw.write(Buffer.concat(Array.from({ length: count }, () => one)))
	await waitFor(async () => sum(await herold.status(), 'reads_paused') > 0, 'a client that has enough to read')
	return client
}

story('a few bytes that are many large messages: what comes back waits until it is taken', { options: { workers: 1, client_queue_bytes: '2m' } },
	async (herold) => {
		const client = await manyLarge(herold)

		client.raw.write(frame(OP.CLOSE, closePayload(1000)))
		client.raw.resume()
		for (let i = 0; i < 50; i++) {
			const { opcode, payload } = await client.next()

			assert.deepEqual([opcode, payload.length], [OP.BINARY, MIB], `message ${i}`)
		}
		assert.equal((await client.next()).code, 1000)
		await client.raw.finished()
		assert.equal(sum(await herold.status(), 'slow_client'), 0)
	})

story('the same amid a drain: the close handshake is found behind them', { options: { workers: 1, drain_seconds: 0 } }, async (herold) => {
	const client = await manyLarge(herold)

	client.raw.write(frame(OP.CLOSE, closePayload(1001)))
	herold.terminate()
	await herold.waitLog(/message="?draining/)
	client.raw.resume()
	assert.equal((await client.raw.closeFrame()).code, 1001)
	await client.raw.finished()
	const line = await herold.waitLog(/reason=going_away/)

	assert.doesNotMatch(line, /unanswered|close_timeout/)
})

story('corrupt data', {}, async (herold) => {
	const raw = await RawSocket.upgraded(herold.address, { path: '/echo', headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' } })

	raw.write(frame(OP.TEXT, Buffer.from([0xff, 0xff]), { rsv: 4 }))
	const close = await raw.closeFrame()

	assert.deepEqual([close.code, close.reason], [1007, 'compressed data is not valid: the compressed data is corrupt'])
	raw.destroy()
	await herold.waitLog(/reason=bad_compression/)
})

story('an idle connection that compresses costs no more than one that does not', { options: { workers: 1 } }, async (herold) => {
	const allocated = async () => sum(await herold.status(), 'allocated_bytes')
	const costs = {}

	// The first of each kind makes what all later ones share.
	for (const extension of [undefined, 'permessage-deflate; client_max_window_bits', undefined, 'permessage-deflate; client_max_window_bits']) {
		const headers = { 'Sec-WebSocket-Extensions': extension }
		const before = await allocated()
		const raws = await Promise.all(Array.from({ length: 500 }, async () => {
			const raw = await RawSocket.upgraded(herold.address, { path: '/echo', headers })

			raw.write(frame(OP.TEXT, 'x'.repeat(2000)))
			assert.equal((await raw.frame()).rsv, extension === undefined ? 0 : 4)
			return raw
		}))

		costs[extension !== undefined] = (await allocated() - before) / 500
		for (const raw of raws)
			raw.destroy()
		await waitFor(async () => sum(await herold.status(), 'websockets') === 0, 'the end of all')
	}
	assert.ok(costs.false > 100, `${costs.false} bytes`)
	assert.ok(costs.true <= costs.false + 100, `${costs.true} and ${costs.false} bytes`)
})
