// The bound of all memory that clients take: who is let go at it, who is not let in near it, and who notices nothing. The kernel's part is the
// whole machine's, so bounds are set above what it has at the start.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

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

/** Remembers figures of /status, and by how much one is above the bound without what the kernel came to take lately, before the next look. */
class Excess {
	#seen = []

	of({ used, memory_bytes: bound, tcp_sockets: sockets }) {
		const now = Date.now()

		this.#seen = [...this.#seen.filter(({ at }) => now - at < 500), { at: now, sockets }]
		return used - bound - (sockets - Math.min(...this.#seen.map((each) => each.sockets)))
	}
}

/** Subscribed to a channel, and never reads again. */
async function stalled(herold, i) {
	const raw = await RawSocket.upgraded(herold.address)

	for (const request of [{ type: 'login', userId: `stalled${i}`, name: 'stalled' }, { type: 'subscribe', channel: 'news' }]) {
		raw.write(frame(OP.TEXT, JSON.stringify(request)))
		for (let answer; answer?.type !== `${request.type}_ok`;)
			answer = JSON.parse((await raw.frame()).payload.toString())
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
	const excess = new Excess()
	let count = 0, most = -Infinity

	for (let closed = 0; closed < 100;) {
		await herold.api('publish', { channel: 'news', data })
		count++
		const { memory, counters } = await herold.status()

		most = Math.max(most, excess.of(memory))
		closed = counters.closed.memory_pressure
		assert.ok(count < 2000, `${closed} are gone after ${count} publications, with ${memory.used} of ${memory.memory_bytes} bytes in use`)
	}
	const { memory_bytes: bound } = await memoryOf(herold)

	// What comes before the next look: each worker's 256th part of the bound; and then two publications for all.
	assert.ok(most <= 2 * bound / 256 + 2 * 208 * data.length, `${most} bytes above the bound of ${bound}`)
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
		assert.equal((await raw.frame()).payload.toString(), 'still here')
	}
	for (const raw of [...stuck, ...idle])
		raw.destroy()
	await waitFor(async () => !(await memoryOf(herold)).is_short, 'there is enough again')
	assert.match(linesLike(herold, /memory is short|enough memory/).at(-1), /enough/)
	assert.ok(linesLike(herold, /memory is short/).length <= 10, 'no line for each of them')
	assert.deepEqual(linesLike(herold, /reason=memory_pressure/), [])
})

/** Of a message of 4 MiB that never becomes whole. */
const WHOLE_BYTES = 4 * MIB
const HALF = frame(OP.BINARY, Buffer.alloc(WHOLE_BYTES)).subarray(0, 3900 * KIB)

story('who sends by halves is let go with a reason; before that, newcomers are not let in', { options: { get memory_bytes() { return tcpBytes() + 256 * MIB }, workers: 1,
	max_message_bytes: WHOLE_BYTES, log_level: 'debug' } }, async (herold) => {
	const idle = await RawSocket.upgraded(herold.address, { path: '/echo' })
	const senders = await several(100, () => RawSocket.upgraded(herold.address, { path: '/echo' }))
	const { memory_bytes: bound } = await memoryOf(herold)
	const excess = new Excess()
	let sent = 0

	const sendHalf = async () => {
		const { client_input: before } = await memoryOf(herold)

		senders[sent++].write(HALF)
		return waitFor(async () => {
			const memory = await memoryOf(herold)

			return (memory.client_input >= before + HALF.length || memory.client_input < before) && memory
		}, 'it is there')
	}

	assert.equal((await memoryOf(herold)).is_short, false)
	while (!(await sendHalf()).is_short)
		assert.equal(await closedBy(herold), 0)
	const short = logFields(await herold.waitLog(/memory is short/))

	assert.equal(Number(short.memory_bytes), bound)
	assert.ok(Number(short.used) > bound * 0.9 && Number(short.client_input) > 100 * MIB, JSON.stringify(short))
	const late = await RawSocket.open(herold.address)

	late.write(handshake())
	const { status, headers, body } = await late.response()

	assert.deepEqual([status, JSON.parse(body)], [503, { status: 503, error: 'The server is short of memory; try again.' }])
	assert.match(headers['retry-after'], /^[1-5]$/)
	assert.equal((await fetch(herold.url)).status, 200, 'pages are there')
	assert.equal((await herold.status()).counters.upgrades_refused_memory, 1)
	assert.equal(await closedBy(herold), 0, 'nobody had to go for that')

	while (sent < senders.length)
		assert.ok(excess.of(await sendHalf()) <= bound / 256 + 2 * WHOLE_BYTES)
	const closed = await closedBy(herold)

	assert.ok(closed >= 10 && closed < 90, `${closed} were let go`)
	const ended = senders.filter((raw) => raw.ended)

	assert.equal(ended.length, closed)
	for (const raw of ended) {
		const close = await raw.closeFrame()

		assert.deepEqual([close.code, close.reason], [1013, 'the server is short of memory, reconnect to recover'])
	}
	// Whoever was not let go, and finishes, has lost nothing.
	const lasting = senders.find((raw) => !raw.ended)

	lasting.write(Buffer.alloc(MIB))
	await waitFor(() => lasting.bytes.length >= WHOLE_BYTES, 'the whole message')
	idle.write(frame(OP.TEXT, 'still here'))
	assert.equal((await idle.frame()).payload.toString(), 'still here')
	for (const raw of senders)
		raw.destroy()
	await waitFor(async () => {
		const { client_input: input, is_short: isShort } = await memoryOf(herold)

		return input === 0 && !isShort
	}, 'all of it is free')
	assert.match(linesLike(herold, /memory is short|enough memory/).at(-1), /enough/)
	const back = await RawSocket.upgraded(herold.address)

	back.destroy()
})

story('what is counted is shown', { options: { workers: 1, max_message_bytes: WHOLE_BYTES } }, async (herold) => {
	const line = logFields(await herold.waitLog(/memory that clients may take/))
	const memory = await memoryOf(herold)
	const raw = await RawSocket.upgraded(herold.address, { path: '/echo' })

	assert.equal(memory.memory_bytes, Math.floor(Number(line.there_is) / 2), 'half of what there is')
	assert.equal(memory.memory_bytes, Number(line.memory_bytes))
	assert.deepEqual([memory.client_queues, memory.client_input, memory.link_queues, memory.is_short], [0, 0, 0, false])
	assert.equal(memory.used, memory.tcp_sockets)
	raw.write(HALF)
	await waitFor(async () => {
		const { client_input: input, used, tcp_sockets: sockets } = await memoryOf(herold)

		return input >= HALF.length && input <= 2 * WHOLE_BYTES && used === input + sockets
	}, 'what was sent by halves')
	raw.destroy()
	await waitFor(async () => (await memoryOf(herold)).client_input === 0, 'it is free')
})
