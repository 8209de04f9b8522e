// Every queue has a bound, and something that happens there: clients that do not read, a broker that does not answer, history, keys,
// descriptors. (Silent and stalled clients: dead-peers.test.mjs.)
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { WebSocket } from 'ws'

import { ChatClient } from './support/client.mjs'
import { logFields, story, waitFor } from './support/herold.mjs'
import { OP, RawSocket, closePayload, frame } from './support/raw.mjs'

const KIB = 1024
const MIB = 1024 * 1024

const counters = async (herold) => (await herold.status()).counters
const rssBytes = (pid) => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * KIB

/** A client of the chat, subscribed to a channel, that does not read from now on. */
async function stalled(herold, channel) {
	const raw = await RawSocket.upgraded(herold.address)

	for (const request of [{ type: 'login', userId: randomBytes(6).toString('hex'), name: 'stalled' }, { type: 'subscribe', channel }]) {
		raw.write(frame(OP.TEXT, JSON.stringify(request)))
		for (let answer; answer?.type !== `${request.type}_ok`;)
			answer = JSON.parse((await raw.frame()).payload.toString())
	}
	raw.pause()
	return raw
}

/** Publishes until the condition holds; returns how many that took. */
async function publishUntil(herold, channel, data, condition, most = 400) {
	for (let i = 1; i <= most; i++) {
		await herold.api('publish', { channel, data })
		if (await condition())
			return i
	}
	throw new Error(`not after ${most} publications`)
}

story('a client that does not read is closed, can come back, and holds nobody up', { options: { workers: 1, client_queue_bytes: '64k',
	history_bytes: '4m' } }, async (herold) => {
	const fast = await ChatClient.login(herold, { userId: 'fast' })
	const { epoch } = await fast.ask({ type: 'subscribe', channel: 'news' }, 'subscribe_ok')
	const [late, never] = [await stalled(herold, 'news'), await stalled(herold, 'news')]
	const data = 'x'.repeat(200000)
	const count = await publishUntil(herold, 'news', data, async () => (await counters(herold)).closed.slow_client === 2)

	// Whoever reads on after all learns why; whoever does not is ended all the same.
	late.resume()
	const close = await late.closeFrame()

	assert.deepEqual([close.code, close.reason], [1013, 'too slow, reconnect to recover'])
	late.destroy()
	await waitFor(async () => (await herold.status()).workers[0].websockets === 1, 'nobody but the fast one is left')
	await waitFor(() => fast.received.filter((m) => m.type === 'publication').length === count, 'all publications')
	assert.deepEqual(fast.received.filter((m) => m.type === 'publication').map((m) => m.offset), Array.from({ length: count }, (_, i) => i + 1))
	assert.ok((await counters(herold)).client_queue_bytes < 2 * MIB, 'what waited for them is free')
	// Not all of it in one answer, because that has to fit, too: or else the client is told.
	const back = await ChatClient.login(herold, { userId: 'back' })
	const small = await back.ask({ type: 'subscribe', channel: 'news', since: { epoch, offset: count - 1 } }, 'subscribe_ok')

	assert.deepEqual([small.recovered, small.messages.map((m) => m.offset)], [true, [count]])
	never.destroy()
})

// A large message goes on in the buffer in which it came: in the worker, in the broker, in the other worker and to each of their clients.
story('large messages on /broadcast come whole and in order, and leave nothing behind', { options: { workers: 2, max_message_bytes: '16m',
	link_queue_bytes: '256m', client_queue_bytes: '256m', compression: 'dedicated', compression_memory: '1m' } }, async (herold) => {
	const clients = []
	const open = async (perMessageDeflate) => {
		const client = { socket: new WebSocket(`${herold.wsUrl}/broadcast`, { perMessageDeflate, maxPayload: 17 * MIB }), got: [] }

		client.socket.on('message', (data) => client.got.push(data))
		await new Promise((done) => client.socket.once('open', done))
		return client
	}

	do
		clients.push(await open(clients.length % 2 === 0))
	while (clients.length < 4 || (await herold.status()).workers.some((w) => w.websockets === 0))
	// Nobody is told from when on he gets what is published.
	await waitFor(() => {
		clients[0].socket.send('')
		return clients.every((client) => client.got.length > 0)
	}, 'all to be there')
	// No client may have more than 16 MiB under way.
	const batches = [[16 * MIB], [100, 256 * KIB + 1, 64 * KIB, 1, 3 * MIB, 256 * KIB, 65000], [16 * MIB], [5 * MIB + 17, 300]]
	const sent = []
	const large = (client) => client.got.filter((data) => data.length > 0)

	for (const batch of batches) {
		for (const data of batch.map((size) => randomBytes(size))) {
			sent.push(data)
			clients[1].socket.send(data)
		}
		await waitFor(() => clients.every((client) => large(client).length === sent.length), 'all messages')
	}
	for (const client of clients)
		assert.ok(large(client).every((data, i) => data.equals(sent[i])), 'the same bytes')
	await waitFor(async () => {
		const now = await counters(herold)

		return now.link_queue_bytes === 0 && now.client_queue_bytes === 0 && now.client_input_bytes < MIB && now.allocated_bytes < 16 * MIB
	}, 'nothing to be left')
	for (const client of clients)
		client.socket.terminate()
})

story('who sends to /echo and does not read is not read from', { options: { workers: 1 } }, async (herold) => {
	const { workers: [worker] } = await herold.pids()
	const socket = new WebSocket(`${herold.wsUrl}/echo`, { perMessageDeflate: false })
	const message = randomBytes(256 * KIB)
	const count = 128
	let got = 0

	await new Promise((done) => socket.once('open', done))
	socket.on('message', (data) => {
		got++
		assert.ok(data.equals(message))
	})
	const before = rssBytes(worker)

	socket.pause()
	for (let i = 0; i < count; i++)
		socket.send(message)
	await waitFor(async () => (await counters(herold)).reads_paused > 0, 'a pause')
	// It takes no more, whatever more there is.
	const taken = await waitFor(async () => {
		const first = (await counters(herold)).messages_received

		return (await counters(herold)).messages_received === first && first
	}, 'it stands still')

	assert.ok(taken < count / 2, `${taken} messages taken`)
	assert.ok((await counters(herold)).client_queue_bytes < MIB, 'bounded by the pause and one message')
	if (!(process.env.BIN ?? '').includes('asan'))
		assert.ok(rssBytes(worker) - before < 8 * MIB, `${rssBytes(worker) - before} bytes more`)
	const other = await ChatClient.open(herold, { path: '/echo' })

	other.send('"me too"')
	await other.next((m) => m === 'me too')
	socket.resume()
	await waitFor(() => got === count, 'all echoes', 20000)
	socket.close()
})

story('large echoes to one who reads late are whole and in order, with small ones between them', { options: { workers: 1 } }, async (herold) => {
	const raw = await RawSocket.upgraded(herold.address, { path: '/echo' })
	const messages = Array.from({ length: 400 }, (_, i) => randomBytes(i % 3 === 2 ? 20 : 4000 + 97 * i))

	raw.pause()
	for (const message of messages)
		raw.write(frame(OP.BINARY, message))
	// The socket takes a part of a frame, and then nothing.
	await waitFor(async () => (await counters(herold)).slow_readers === 1, 'it does not take them')
	raw.resume()
	for (const message of messages)
		assert.ok((await raw.message()).payload.equals(message))
	raw.write(frame(OP.CLOSE, closePayload(1000)))
	await raw.closeFrame()
	assert.equal((await counters(herold)).client_queue_bytes, 0)
	raw.destroy()
})

/** Chat clients of one worker that are logged in, in the room, and settled. */
const several = (herold, count) => Promise.all(Array.from({ length: count }, (_, i) => ChatClient.login(herold, { userId: `u${i}` })))

story('publications beyond the bound of the link are refused, the others are not lost', { options: { workers: 1, link_queue_bytes: '2m', client_queue_bytes: '64m',
	max_message_bytes: '1k', history_bytes: '64k', broker_timeout_ms: 30000 } }, async (herold) => {
	const [reader, ...clients] = await several(herold, 7)
	const { broker } = await herold.pids()
	const data = 'x'.repeat(15 * KIB)
	const settled = (client) => client.received.filter((m) => m.ref !== undefined)

	await reader.ask({ type: 'subscribe', channel: 'news' }, 'subscribe_ok')
	process.kill(broker, 'SIGSTOP')
	for (const [at, client] of clients.entries())
		for (let i = 0; i < 60; i++)
			client.send({ type: 'publish', channel: 'news', data: `${at} ${i} ${data}`, ref: `${at} ${i}` })
	await waitFor(() => clients.some((client) => settled(client).some((m) => m.code === 'unavailable')), 'a refusal')
	process.kill(broker, 'SIGCONT')
	await waitFor(() => clients.every((client) => settled(client).length === 60), 'a final word on each')
	const answers = clients.flatMap(settled)
	const refused = answers.filter((m) => m.type === 'error')
	const acks = answers.filter((m) => m.type === 'ack')

	assert.ok(refused.every((m) => m.code === 'unavailable'))
	assert.ok(acks.length > 60, `${acks.length} acknowledged`)
	assert.equal((await counters(herold)).publications_unavailable, refused.length)
	const again = await clients[0].ask({ type: 'publish', channel: 'news', data: 'again', ref: 'again' })

	await reader.next((m) => m.data === 'again')
	assert.deepEqual(reader.received.filter((m) => m.type === 'publication').map((m) => m.data.split(' ', 2).join(' ')),
		[...acks.sort((a, b) => a.offset - b.offset), again].map((m) => m.ref), 'what was acknowledged, once each, and nothing else')
})

story('publications without an answer in time are uncertain until they are asked for again', { options: { workers: 1, broker_timeout_ms: 300 } },
	async (herold) => {
		const [sender, reader] = await several(herold, 2)
		const broadcaster = await ChatClient.open(herold, { path: '/broadcast' })
		const { broker } = await herold.pids()

		process.kill(broker, 'SIGSTOP')
		broadcaster.send('"lost?"')
		assert.equal((await sender.ask({ type: 'chat', message: 'hello', ref: 'r' })).code, 'uncertain')
		// On /broadcast there is no other way to say it.
		assert.deepEqual(await broadcaster.closed, { code: 1011, reason: 'internal error: a message could not be delivered' })
		assert.equal((await sender.ask({ type: 'users', ref: 'u' })).code, 'unavailable')
		const api = await herold.admin('/api/publish', { method: 'POST', body: '{"channel":"news","data":1,"idempotency_key":"k"}' })

		assert.deepEqual([api.status, api.json.status], [504, 504])
		process.kill(broker, 'SIGCONT')
		const ack = await waitFor(async () => {
			const answer = await sender.ask({ type: 'chat', message: 'hello', ref: 'r' })

			return answer.type === 'ack' && answer
		}, 'an acknowledgement')

		assert.equal(ack.offset, 1)
		assert.equal((await herold.api('publish', { channel: 'news', data: 1, idempotency_key: 'k' })).offset, 1)
		await sender.ask({ type: 'chat', message: 'the next', ref: 's' })
		await waitFor(() => reader.texts().length >= 2, 'both messages')
		assert.deepEqual(reader.texts(), ['hello', 'the next'], 'seen exactly once')
		assert.ok((await counters(herold)).publications_uncertain >= 2)
	})

const history = async (herold, channel, query = '') => (await herold.admin(`/api/history?channel=${channel}&limit=1000${query}`)).json

story('history: so many, so long, so large', { options: { workers: 1, room_history: 5, room_history_seconds: 3, history_bytes: '8k',
	history_total_bytes: '1m' } }, async (herold) => {
	const client = await ChatClient.login(herold, { userId: 'u' })
	const since = async (channel, epoch, offset) => {
		const answer = await client.ask({ type: 'subscribe', channel, since: { epoch, offset } }, 'subscribe_ok')

		await client.ask({ type: 'unsubscribe', channel }, 'unsubscribe_ok')
		return [answer.recovered, answer.messages.map((m) => m.offset)]
	}
	const fill = async (channel, count, data) => {
		for (let i = 0; i < count; i++)
			await herold.api('publish', { channel, data })
		return history(herold, channel)
	}
	const many = await fill('many', 7, 1)

	assert.deepEqual(many.publications.map((p) => p.offset), [3, 4, 5, 6, 7])
	assert.deepEqual(await since('many', many.epoch, 2), [true, [3, 4, 5, 6, 7]])
	assert.deepEqual(await since('many', many.epoch, 1), [false, []], 'the second is gone')
	assert.equal((await counters(herold)).history_dropped, 0, 'as many as there should be')

	const large = await fill('large', 4, 'x'.repeat(3000))

	assert.deepEqual(large.publications.map((p) => p.offset), [3, 4])
	assert.deepEqual(await since('large', large.epoch, 1), [false, []])
	assert.equal((await counters(herold)).history_dropped, 2, 'and that is counted')
	// The newest is kept, whatever its size, so that whoever missed just that one can recover.
	const huge = await fill('huge', 2, 'x'.repeat(20000))

	assert.deepEqual(huge.publications.map((p) => p.offset), [2])

	const channels = Array.from({ length: 200 }, (_, i) => `c${i}`)
	const { channels: results } = await herold.api('broadcast', { channels, data: 'x'.repeat(7000) })

	assert.deepEqual((await history(herold, 'c0')).publications, [], 'the oldest of all went first')
	assert.deepEqual(await since('c0', results.c0.epoch, 0), [false, []])
	assert.deepEqual(await since('c199', results.c199.epoch, 0), [true, [1]])
	const status = await herold.status()

	assert.ok(status.broker.history_bytes <= MIB && status.broker.history_bytes > MIB - 16 * KIB, `${status.broker.history_bytes} bytes`)
	await waitFor(async () => (await herold.status()).broker.history_messages === 0, 'all of it is too old')
	assert.deepEqual(await since('many', many.epoch, 7), [true, []], 'nothing was missed')
	assert.deepEqual(await since('many', many.epoch, 6), [false, []])
})

story('keys of publications: so long, so many', { options: { workers: 1, idempotency_seconds: 1, idempotency_total_bytes: '64k' } }, async (herold) => {
	const publish = (key) => herold.api('publish', { channel: 'news', data: 1, idempotency_key: key })
	const first = await publish('k')

	assert.deepEqual(await publish('k'), { ...first, repeated: true })
	const late = await waitFor(async () => {
		const answer = await publish('k')

		return !answer.repeated && answer
	}, 'the key is forgotten')

	assert.equal(late.offset, first.offset + 1)
	const before = await publish('old')

	await herold.api('broadcast', { channels: Array.from({ length: 1000 }, (_, i) => `c${i}`), data: 1, idempotency_key: 'k' })
	assert.deepEqual(await publish('old'), { ...before, offset: before.offset + 1 }, 'the oldest went first')
	const { idempotency_dropped: dropped, idempotency_hits: hits } = await counters(herold)

	assert.ok(dropped > 0 && hits >= 1, `${dropped} dropped, ${hits} hits`)
})

story('no descriptor is left', { options: { workers: 1, log_level: 'debug' }, under: ['prlimit', '--nofile=40:40'] }, async (herold) => {
	const inside = []
	let refused

	while (refused === undefined) {
		const raw = await RawSocket.open(herold.address)

		raw.write('GET /ws HTTP/1.1\r\nHost: a\r\n')
		await waitFor(async () => raw.bytes.length > 0 || raw.ended || (await herold.status()).workers[0].connections > inside.length, 'inside or refused')
		if (raw.bytes.length > 0)
			refused = raw
		else
			inside.push(raw)
	}
	assert.equal(inside.length, Number(logFields(await herold.waitLog(/open files/)).connections_per_worker))
	for (let i = 0; i < 5; i++) {
		const { status, headers, body } = await refused.response()

		assert.deepEqual([status, headers['retry-after'], headers.connection], [503, '5', 'close'])
		assert.equal(body, 'The server has as many clients as it takes.\n')
		await refused.finished()
		refused = await RawSocket.open(herold.address)
	}
	assert.equal(herold.lines.filter((line) => /no descriptor is free/.test(line)).length, 1, 'one line for all of them')
	assert.ok((await counters(herold)).connections_refused_full >= 5)
	// Those inside are served, and each that leaves makes room.
	inside[0].write('\r\n')
	assert.equal((await inside[0].response()).status, 426)
	for (const raw of inside)
		raw.destroy()
	refused.destroy()
	await waitFor(async () => {
		const client = await ChatClient.open(herold, { path: '/echo' })

		return client.close()
	}, 'room for a newcomer')
})
