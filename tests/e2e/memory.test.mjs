// The bound of all memory that clients take: who is let go at it, who is not let in near it, and who notices nothing. The kernel's part is the
// whole machine's, so bounds are set above what it has at the start.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'

import { ChatClient } from './support/client.mjs'
import { logFields, story, waitFor } from './support/herold.mjs'
import { OP, RawSocket, frame, handshake } from './support/raw.mjs'

const KIB = 1024
const MIB = 1024 * 1024
const PAGE = Number(execFileSync('getconf', ['PAGESIZE']).toString())

const tcpBytes = () => Number(/^TCP:.* mem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'utf8'))[1]) * PAGE
const memoryOf = async (herold) => (await herold.status()).memory
const closedBy = async (herold) => (await herold.status()).counters.closed.memory_pressure
const linesLike = (herold, pattern) => herold.lines.filter((line) => pattern.test(line))

/** Subscribed to a channel, and never reads again. */
async function stalled(herold, i) {
	const raw = await RawSocket.upgraded(herold.address)

	for (const request of [{ type: 'login', userId: `stalled${i}`, name: 'stalled' }, { type: 'subscribe', channel: 'news' }]) {
		raw.write(frame(OP.TEXT, JSON.stringify(request)))
		for (let answer; answer?.type !== `${request.type}_ok`;)
			answer = JSON.parse((await raw.message()).payload.toString())
	}
	raw.pause()
	return raw
}

async function several(count, make) {
	const all = []

	for (let i = 0; i < count; i += 20)
		all.push(...await Promise.all(Array.from({ length: Math.min(20, count - i) }, (_, k) => make(i + k))))
	return all
}

story('readers that never read are let go, and nobody else', { timeout: 120000, options: { get memory_bytes() { return tcpBytes() + 256 * MIB }, client_queue_bytes: '64m',
	compression: 'off', room_announce_limit: 1 } }, async (herold) => {
	const readers = await several(8, (i) => ChatClient.login(herold, { userId: `reader${i}` }))
	const idle = await several(20, () => RawSocket.upgraded(herold.address, { path: '/echo' }))

	await Promise.all(readers.map((reader) => reader.ask({ type: 'subscribe', channel: 'news' }, 'subscribe_ok')))
	const stuck = await several(200, (i) => stalled(herold, i))
	const data = 'x'.repeat(16 * KIB)
	let count = 0, most = 0

	for (let closed = 0; closed < 100;) {
		await herold.api('publish', { channel: 'news', data })
		count++
		const { memory, counters } = await herold.status()

		most = Math.max(most, memory.used)
		closed = counters.closed.memory_pressure
		assert.ok(count < 2000, `${closed} are gone after ${count} publications, with ${memory.used} of ${memory.memory_bytes} bytes in use`)
	}
	const { memory_bytes: bound } = await memoryOf(herold)

	assert.ok(most <= bound, `${most} of ${bound}`)
	await waitFor(() => readers.every((reader) => reader.received.filter((m) => m.type === 'publication').length === count), 'all publications')
	for (const reader of readers)
		assert.deepEqual(reader.received.filter((m) => m.type === 'publication').map((m) => m.offset), Array.from({ length: count }, (_, i) => i + 1))
	const { websockets, counters } = await waitFor(async () => {
		const { counters } = await herold.status()

		return counters.websockets === 228 - counters.closed.memory_pressure && { websockets: counters.websockets, counters }
	}, 'all others are there')

	assert.ok(websockets >= 28)
	assert.deepEqual([counters.closed.slow_client, counters.closed.send_timeout], [0, 0], 'nothing else was a reason')
	for (const raw of idle) {
		raw.write(frame(OP.TEXT, 'still here'))
		assert.equal((await raw.message()).payload.toString(), 'still here')
	}
	for (const raw of [...stuck, ...idle])
		raw.destroy()
	await waitFor(async () => !(await memoryOf(herold)).is_tight, 'there is enough again')
	await waitFor(() => /enough/.test(linesLike(herold, /memory is tight|enough memory/).at(-1)), 'the log says so')
	assert.ok(linesLike(herold, /memory is tight/).length <= 3, 'no line for each of them')
	assert.deepEqual(linesLike(herold, /reason=memory_pressure/), [])
})

/** Of a message of 4 MiB that never becomes whole. */
const WHOLE_BYTES = 4 * MIB
const HALF = frame(OP.BINARY, Buffer.alloc(WHOLE_BYTES)).subarray(0, 3900 * KIB)

story('who sends by halves is let go with a reason, and newcomers are let in all the time', { options: { get memory_bytes() { return tcpBytes() + 256 * MIB }, workers: 1,
	max_message_bytes: WHOLE_BYTES, log_level: 'debug' } }, async (herold) => {
	const idle = await RawSocket.upgraded(herold.address, { path: '/echo' })
	const senders = await several(100, () => RawSocket.upgraded(herold.address, { path: '/echo' }))
	const { memory_bytes: bound } = await memoryOf(herold)
	let most = 0

	for (const raw of senders) {
		const { memory: { client_input: input }, counters: { closed: { memory_pressure: closed } } } = await herold.status()

		raw.write(HALF)
		await waitFor(async () => {
			const { memory, counters } = await herold.status()

			most = Math.max(most, memory.used)
			assert.equal(memory.is_short, false, JSON.stringify(memory))
			return memory.client_input >= input + HALF.length || counters.closed.memory_pressure > closed
		}, 'it is there, or others had to go for it')
		const newcomer = await RawSocket.upgraded(herold.address)

		newcomer.destroy()
	}
	assert.ok(most <= bound, `${most} of ${bound}`)
	const tight = logFields(await herold.waitLog(/memory is tight/))

	assert.equal(Number(tight.memory_bytes), bound)
	assert.ok(Number(tight.used) > bound * 0.85 && Number(tight.client_input) > 100 * MIB, JSON.stringify(tight))
	const closed = await closedBy(herold)

	assert.ok(closed >= 10 && closed < 90, `${closed} were let go`)
	await waitFor(() => senders.filter((raw) => raw.ended).length === closed, 'their ends')
	for (const raw of senders.filter((each) => each.ended)) {
		const close = await raw.closeFrame()

		assert.deepEqual([close.code, close.reason], [1013, 'the server is short of memory, reconnect to recover'])
	}
	// Whoever was not let go, and finishes, has lost nothing.
	const lasting = senders.find((raw) => !raw.ended)

	lasting.write(Buffer.alloc(MIB))
	await waitFor(() => lasting.bytes.length >= WHOLE_BYTES, 'the whole message')
	idle.write(frame(OP.TEXT, 'still here'))
	assert.equal((await idle.message()).payload.toString(), 'still here')
	for (const raw of senders)
		raw.destroy()
	await waitFor(async () => {
		const { client_input: input, is_tight: isTight } = await memoryOf(herold)

		return input === 0 && !isTight
	}, 'all of it is free')
	assert.equal((await herold.status()).counters.upgrades_refused_memory, 0)
})

/** Connections from the test to itself on which nothing is read: so much of the kernel's memory is no client's of Herold. */
class Pinned {
	#sockets = []
	#server = createServer({ pauseOnConnect: true }, (socket) => this.#sockets.push(socket))

	async more() {
		assert.ok(this.#sockets.length < 6000, 'the kernel does not take it')
		if (!this.#server.listening)
			await once(this.#server.listen(0, '127.0.0.1'), 'listening')
		const socket = connect(this.#server.address().port, '127.0.0.1')

		this.#sockets.push(socket)
		socket.on('error', () => {})
		await once(socket, 'connect')
		socket.write(Buffer.alloc(MIB))
	}

	async end() {
		for (const socket of this.#sockets)
			socket.destroy()
		this.#server.close()
		await once(this.#server, 'close')
	}
}

story('newcomers are refused while others have the memory, and nobody else notices', { options: { get memory_bytes() { return tcpBytes() + 128 * MIB } } }, async (herold) => {
	const idle = await several(20, () => RawSocket.upgraded(herold.address, { path: '/echo' }))
	const allAreThere = async () => {
		for (const raw of idle) {
			raw.write(frame(OP.TEXT, 'still here'))
			assert.equal((await raw.message()).payload.toString(), 'still here')
		}
	}
	const knock = async () => {
		const raw = await RawSocket.open(herold.address)

		raw.write(handshake())
		const response = await raw.response()

		raw.destroy()
		return response
	}

	assert.equal((await knock()).status, 101)
	const pinned = new Pinned()

	try {
		// Others on this machine may give theirs back meanwhile.
		const { status, headers, body } = await waitFor(async () => {
			for (let memory = await memoryOf(herold); memory.tcp_sockets <= memory.memory_bytes + 30 * MIB; memory = await memoryOf(herold))
				await pinned.more()
			return (await memoryOf(herold)).is_short && knock()
		}, 'memory is short', 40000)

		assert.deepEqual([status, JSON.parse(body)], [503, { status: 503, error: 'The server is short of memory; try again.' }])
		assert.match(headers['retry-after'], /^[1-5]$/)
		assert.equal((await fetch(herold.url)).status, 200, 'pages are there')
		await allAreThere()
		const { counters } = await herold.status()

		assert.deepEqual([counters.upgrades_refused_memory, counters.websockets], [1, idle.length])
	} finally {
		await pinned.end()
	}
	await waitFor(async () => !(await memoryOf(herold)).is_tight, 'there is enough again')
	assert.equal((await knock()).status, 101)
	await allAreThere()
	const { counters } = await herold.status()

	assert.deepEqual([counters.closed.memory_pressure, counters.upgrades_refused_memory], [0, 1], 'nobody had to go')
	await waitFor(() => linesLike(herold, /enough memory/).length === 1, 'a line when that has lasted')
	assert.equal(linesLike(herold, /memory is tight/).length, 1)
	for (const raw of idle)
		raw.destroy()
})

story('what is counted is shown', { options: { workers: 1, max_message_bytes: WHOLE_BYTES } }, async (herold) => {
	const line = logFields(await herold.waitLog(/memory that clients may take/))
	const memory = await memoryOf(herold)
	const raw = await RawSocket.upgraded(herold.address, { path: '/echo' })

	assert.equal(memory.memory_bytes, Math.floor(Number(line.there_is) / 2), 'half of what there is')
	assert.equal(memory.memory_bytes, Number(line.memory_bytes))
	assert.deepEqual([memory.client_queues, memory.client_input, memory.link_queues, memory.is_tight, memory.is_short], [0, 0, 0, false, false])
	assert.equal(memory.used, memory.tcp_sockets)
	raw.write(HALF)
	await waitFor(async () => {
		const { client_input: input, used, tcp_sockets: sockets } = await memoryOf(herold)

		return input >= HALF.length && input <= 2 * WHOLE_BYTES && used === input + sockets
	}, 'what was sent by halves')
	raw.destroy()
	await waitFor(async () => (await memoryOf(herold)).client_input === 0, 'it is free')
})
