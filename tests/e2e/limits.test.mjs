// What one client may take, counted for all workers together: each refusal with its status or close code, its sentence and its counter,
// and nothing of it stays behind
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import test from 'node:test'

import { ChatClient } from './support/client.mjs'
import { Herold, logFields, sleep, story, waitFor } from './support/herold.mjs'
import { OP, RawSocket, frame, handshake } from './support/raw.mjs'
import { secure } from './support/secure.mjs'
import { file } from './support/tokens.mjs'

const OVER = { code: 1008, reason: 'Rate limit exceeded' }
const WARNING = { type: 'error', code: 'rate_limited', message: 'too much in too short a time' }
/** Without limits of connections, so that each story has one limit; clients are whom the header of the PROXY protocol names. */
const OPTIONS = { limit_exempt: '', listen: '127.0.0.1:0 proxy_protocol', trusted_proxies: '127.0.0.1', log_level: 'debug', address_connects_per_second: 0 }
const limited = (name, { workers = 2, ...options }, fn) => story(name, { options: { ...OPTIONS, workers, ...options } }, async (herold, t) => {
	await fn(herold, t)
	await isEmpty(herold)
})

const counters = async (herold) => (await herold.status()).counters
const perWorker = async (herold) => (await herold.status()).workers.map((worker) => worker.connections)

/** Nobody is there, and nobody is counted. */
async function isEmpty(herold) {
	await waitFor(async () => (await perWorker(herold)).every((count) => count === 0), 'the end of all connections')
	const { limits } = await herold.status()

	assert.equal(limits.connections, 0)
	assert.equal(limits.uncounted, 0)
	assert.ok(limits.used <= 40, `${limits.used} entries`)
}

let port = 1024
/** Connected, as this client. */
async function from(herold, client) {
	const raw = await RawSocket.open(herold.address)
	const family = client.includes(':') ? 'TCP6' : 'TCP4'

	raw.write(`PROXY ${family} ${client} ${family === 'TCP6' ? '::1' : '192.0.2.1'} ${port++} 443\r\n`)
	return raw
}

/** What an upgrade of this client is answered: { raw, status, headers, error }. */
async function upgrade(herold, client, request) {
	const raw = await from(herold, client)

	raw.write(handshake({ path: '/echo', ...request }))
	const { status, headers, body } = await raw.response()

	return { raw, status, headers, error: status === 101 ? undefined : JSON.parse(body).error }
}

async function welcome(herold, client, request) {
	const { raw, status, error } = await upgrade(herold, client, request)

	assert.equal(status, 101, error)
	return raw
}

/** An upgrade that is refused, and ended with its answer. */
async function refused(herold, client, status, sentence, request) {
	const answer = await upgrade(herold, client, request)

	assert.deepEqual([answer.status, answer.error], [status, sentence])
	assert.match(answer.headers['retry-after'], /^\d+$/)
	assert.equal(answer.headers.connection, 'close')
	await answer.raw.finished()
	return Number(answer.headers['retry-after'])
}

/** Says something, and what comes back: 'echo', or the warning, or the close frame. */
async function say(raw, text = 'hello') {
	raw.write(frame(OP.TEXT, text))
	return answered(raw, text)
}

async function answered(raw, text) {
	const { opcode, payload, code, reason } = await raw.frame()

	if (opcode === OP.CLOSE)
		return { code, reason }
	return payload.toString() === text ? 'echo' : JSON.parse(payload)
}

function assertWarning(answer, most = 60) {
	const { retry_after: seconds, ...rest } = answer

	assert.deepEqual(rest, WARNING)
	assert.ok(seconds > 0 && seconds <= most && Number.isInteger(Math.round(seconds * 1e6) / 1e3), `${seconds}`)
	return seconds
}

async function leave(...all) {
	for (const raw of all) {
		raw.destroy()
		await raw.finished()
	}
}

/** Two connections of a client, on different workers. */
async function onBothWorkers(herold, client, begin = welcome) {
	const first = await begin(herold, client)
	const [before] = await Promise.all([perWorker(herold)])

	for (;;) {
		const other = await begin(herold, client)

		if ((await perWorker(herold)).every((count, i) => count > 0 || before[i] > 0))
			return [first, other]
		await leave(other)
	}
}

limited('two connections of an address on two workers have one budget of messages', {}, async (herold) => {
	const [here, there] = await onBothWorkers(herold, '203.0.113.7')
	const start = Date.now()
	let passed = 0, answer = 'echo'

	for (const [raw, count] of [[here, 60], [there, 40]]) {
		raw.write(Buffer.concat(Array.from({ length: count }, () => frame(OP.TEXT, 'hello'))))
		for (let i = 0; i < count; i++, passed++)
			assert.equal(await answered(raw, 'hello'), 'echo')
	}
	for (; answer === 'echo'; passed += answer === 'echo')
		answer = await say(there)
	// One comes back every 0.6 seconds; in time, none.
	assert.ok(passed >= 100 && passed <= 100 + Math.ceil((Date.now() - start) / 600), `${passed} messages in ${Date.now() - start} ms`)
	await sleep(assertWarning(answer, 0.6) * 1000 + 20)
	assert.equal(await say(here), 'echo', 'who has waited may go on')
	assertWarning(await say(here), 0.6)
	assert.deepEqual(await say(there), OVER)
	assert.deepEqual(await say(here), OVER)
	await Promise.all([here.finished(), there.finished()])
	const { limited_messages, limited_messages_closed, closed } = await counters(herold)

	assert.deepEqual([limited_messages, limited_messages_closed, closed.rate_limited], [2, 2, 2])
	// Another address has not used any of its own.
	const other = await welcome(herold, '203.0.113.8')

	assert.equal(await say(other), 'echo')
	await leave(other)
})

story('the chat says which message was too much, and it is not published', { options: { limit_exempt: '', messages_per_minute: 4, log_level: 'debug' } }, async (herold) => {
	const anna = await ChatClient.login(herold, { userId: 'anna' })

	await anna.ask({ type: 'chat', message: 'one', ref: 1 })
	await anna.ask({ type: 'chat', message: 'two', ref: 2 })
	await anna.ask({ type: 'chat', message: 'three', ref: 3 })
	const { ref, ...warning } = await anna.ask({ type: 'chat', message: 'four', ref: { is: ['four'] } }, 'error')

	assert.deepEqual(ref, { is: ['four'] })
	assertWarning(warning, 15)
	anna.send('what is no JSON is not read')
	assert.deepEqual(await anna.closed, OVER)
	const { chat_errors: errors, limited_messages, limited_messages_closed } = await counters(herold)

	assert.deepEqual([errors.rate_limited, limited_messages, limited_messages_closed], [1, 1, 1])
	assert.deepEqual((await herold.admin('/api/history?channel=room:lobby')).json.publications.map((p) => p.data.message), ['one', 'two', 'three'])
	assert.equal(logFields(herold.lines.find((line) => line.includes('reason=rate_limited'))).code, '1008')
})

story('a warning without a ref, and on /broadcast', { options: { limit_exempt: '', messages_per_minute: 1 } }, async (herold) => {
	const chat = await ChatClient.open(herold)

	assert.equal((await chat.ask('{}', 'error')).code, 'bad_type')
	chat.send('no JSON')
	const { ref, ...warning } = await chat.next((m) => m.code === 'rate_limited')

	assert.equal(ref, undefined)
	assertWarning(warning)
	// The address was told; that this is another connection changes nothing.
	const broadcast = await ChatClient.open(herold, { path: '/broadcast' })

	broadcast.send('hello')
	assert.deepEqual(await broadcast.closed, OVER)
	await chat.close()
})

story('broadcast warns in its own words', { options: { limit_exempt: '', messages_per_minute: 1 } }, async (herold) => {
	const client = await ChatClient.open(herold, { path: '/broadcast' })

	client.send('{"type":"mine"}')
	await client.next('mine')
	client.send('{"type":"mine"}')
	assertWarning(await client.next('error'))
	client.send('{"type":"mine"}')
	assert.deepEqual(await client.closed, OVER)
	assert.equal(client.received.filter((m) => m.type === 'mine').length, 1)
})

story('logins, rooms and channels', { options: { limit_exempt: '', joins_per_minute: 4, client_channels: 4 } }, async (herold) => {
	const anna = await ChatClient.login(herold, { userId: 'anna' })
	const warned = async (message) => {
		const { ref, ...warning } = await anna.ask({ ...message, ref: 'x' })

		assert.equal(ref, 'x')
		assertWarning(warning, 15)
	}

	await anna.ask({ type: 'join', room: 'tea' }, 'join_ok')
	for (let i = 0; i < 2; i++) {
		await anna.ask({ type: 'subscribe', channel: 'scores' }, 'subscribe_ok')
		await anna.ask({ type: 'unsubscribe', channel: 'scores' }, 'unsubscribe_ok')
	}
	assert.equal((await anna.ask({ type: 'join', room: 'tea', ref: 'again' })).code, 'already_in_room')
	await warned({ type: 'subscribe', channel: 'scores' })
	assert.equal((await anna.ask({ type: 'chat', message: 'goes on', ref: 2 })).type, 'ack')
	anna.send({ type: 'join', room: 'coffee' })
	assert.deepEqual(await anna.closed, OVER)
	const ben = await ChatClient.open(herold)

	ben.send({ type: 'login', userId: 'ben', name: 'Ben' })
	assert.deepEqual(await ben.closed, OVER, 'a login is one, too')
	const { limited_joins, limited_joins_closed, chat_errors: errors } = await counters(herold)

	assert.deepEqual([limited_joins, limited_joins_closed, errors.rate_limited], [1, 2, 1])
})

limited('bytes', { bytes_per_second: 10, max_message_bytes: 1024, chat_message_bytes: 256 }, async (herold) => {
	const raw = await welcome(herold, '203.0.113.7')
	const large = 'x'.repeat(1000)

	assert.equal(await say(raw, large), 'echo')
	assertWarning(await say(raw, large), 110)
	assert.equal(await answered(raw, large), 'echo', 'what is here already is not left out')
	assert.deepEqual(await say(raw, large), OVER)
	await raw.finished()
	const { limited_bytes, limited_bytes_closed, limited_messages } = await counters(herold)

	assert.deepEqual([limited_bytes, limited_bytes_closed, limited_messages], [1, 1, 0])
})

limited('control frames count, too', { bytes_per_second: 10, max_message_bytes: 4096, chat_message_bytes: 256 }, async (herold) => {
	const raw = await welcome(herold, '203.0.113.7')

	for (const opcode of [OP.PING, OP.PONG, OP.PING])
		raw.write(frame(opcode, ''))
	assert.deepEqual([(await raw.frame()).opcode, (await raw.frame()).opcode], [OP.PONG, OP.PONG])
	raw.write(frame(OP.PING, ''))
	assertWarning(await answered(raw), 450)
	assert.equal((await raw.frame()).opcode, OP.PONG)
	raw.write(Buffer.concat(Array.from({ length: 1000 }, () => frame(OP.PING, ''))))
	assert.deepEqual(await answered(raw), OVER)
	await raw.finished()
	const { limited_bytes, limited_bytes_closed } = await counters(herold)

	assert.deepEqual([limited_bytes, limited_bytes_closed], [1, 1])
})

limited('the answer to a ping is no burden of who was asked', { bytes_per_second: 10, max_message_bytes: 1024, chat_message_bytes: 256, heartbeat_seconds: 1 }, async (herold) => {
	const raw = await welcome(herold, '203.0.113.7')

	// One that nobody asked for would be too much.
	for (let pings = 0; pings < 3; pings++) {
		assert.equal((await raw.frame()).opcode, OP.PING)
		raw.write(frame(OP.PONG, ''))
	}
	assert.equal((await raw.frame()).opcode, OP.PING, 'no warning')
	assert.equal((await counters(herold)).limited_bytes, 0)
	raw.destroy()
})

limited('what comes with the handshake counts, too', { bytes_per_second: 10, max_message_bytes: 1024, chat_message_bytes: 256 }, async (herold) => {
	const raw = await from(herold, '203.0.113.7')
	const large = 'x'.repeat(1000)

	raw.write(Buffer.concat([Buffer.from(handshake({ path: '/echo' })), frame(OP.TEXT, large)]))
	assert.equal((await raw.response()).status, 101)
	assert.equal(await answered(raw, large), 'echo')
	assertWarning(await say(raw, large), 110)
	assert.equal(await answered(raw, large), 'echo')
	assert.deepEqual(await say(raw, large), OVER)
	await raw.finished()
	const { limited_bytes, limited_bytes_closed } = await counters(herold)

	assert.deepEqual([limited_bytes, limited_bytes_closed], [1, 1])
})

const BUSY = 'too many requests from this address'

limited('requests, of an address, on all its connections', { bytes_per_second: 256, max_message_bytes: 4096, chat_message_bytes: 256 }, async (herold) => {
	const page = 'GET /icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n'
	const raw = await from(herold, '203.0.113.7')

	raw.write(page.repeat(50))
	for (let i = 0; i < 2; i++)
		assert.equal((await raw.response()).status, 200)
	const { status, headers, body } = await raw.response()

	assert.deepEqual([status, JSON.parse(body), headers.connection], [429, { status: 429, error: BUSY }, 'close'])
	assert.match(headers['retry-after'], /^(1[0-9]|20)$/)
	await raw.finished()
	assert.equal(raw.bytes.length, 0, 'the others are not answered')
	// It is all the same what is asked for, and that others were refused changes nothing.
	await refused(herold, '203.0.113.7', 429, BUSY)
	await refused(herold, '203.0.113.7', 429, BUSY, { path: '/nothing' })
	await leave(await welcome(herold, '203.0.113.8'))
	const { limited_requests, http_status: answers, limited_bytes } = await counters(herold)

	assert.deepEqual([limited_requests, answers['429'], limited_bytes], [3, 3, 0])
	await herold.waitLog(/reason=limit_reached .*429 too many requests from this address/)
	assert.ok(herold.lines.some((line) => /warn .*clients are refused, a limit is reached.*too many requests from this address.*option=bytes_per_second/.test(line)))
})

const CROWDED = 'too many connections from this address'

limited('connections of an address, on all workers, also after one has died', { address_connections: 8 }, async (herold) => {
	const [first, second] = await onBothWorkers(herold, '203.0.113.7')
	const all = [first, second]

	while (all.length < 8)
		all.push(await welcome(herold, '203.0.113.7'))
	await refused(herold, '203.0.113.7', 429, CROWDED)
	await leave(await welcome(herold, '203.0.113.8'))
	const { workers: [victim] } = await herold.status()

	assert.ok(victim.connections > 0 && victim.connections < 8)
	process.kill(victim.pid, 'SIGKILL')
	await waitFor(() => all.filter((raw) => raw.ended).length === victim.connections, 'its connections have ended')
	await waitFor(async () => {
		const { workers } = await herold.status()

		return workers.length === 2 && workers.every((worker) => worker.ready && worker.pid !== victim.pid)
	}, 'another worker is there')
	for (let i = 0; i < victim.connections; i++)
		all.push(await welcome(herold, '203.0.113.7'))
	await refused(herold, '203.0.113.7', 429, CROWDED)
	assert.equal((await herold.status()).limits.connections, 8)
	assert.equal((await counters(herold)).limited_address_connections, 2)
	await leave(...all.filter((raw) => !raw.ended))
})

limited('IPv6 is counted by the /64', { address_connections: 2 }, async (herold) => {
	const all = [await welcome(herold, '2001:db8:0:1::1'), await welcome(herold, '2001:db8:0:1:ffff:ffff:ffff:ffff')]

	await refused(herold, '2001:db8:0:1:2:3:4:5', 429, CROWDED)
	all.push(await welcome(herold, '2001:db8:0:2::1'))
	// IPv4 is the whole address, in either form.
	all.push(await welcome(herold, '203.0.113.1'), await welcome(herold, '203.0.113.2'), await welcome(herold, '::ffff:203.0.113.1'))
	await refused(herold, '203.0.113.1', 429, CROWDED)
	await leave(...all)
})

limited('new connections of an address', { address_connects_per_second: 1 }, async (herold) => {
	const answers = await Promise.all(Array.from({ length: 12 }, () => upgrade(herold, '203.0.113.7')))
	const late = answers.filter(({ status }) => status === 429)

	assert.ok(late.length >= 1 && late.length < 12, `${late.length} refused`)
	for (const { error, headers } of late) {
		assert.equal(error, 'too many new connections from this address')
		assert.match(headers['retry-after'], /^[1-6]$/)
	}
	assert.equal((await counters(herold)).limited_connects, late.length)
	assert.equal((await counters(herold)).upgrades, 12 - late.length)
	await leave(await welcome(herold, '203.0.113.8'))
	await leave(...answers.map(({ raw }) => raw))
	await herold.waitLog(/reason=limit_reached .*too many new connections from this address/)
	// A line for the first of a flood, of each worker at most.
	const lines = herold.lines.filter((line) => line.includes('clients are refused, a limit is reached'))

	assert.ok(lines.length === 1 || lines.length === 2, `${lines.length} lines`)
})

limited('WebSockets of all clients: a herd is spread out', { handshakes_per_second: 1 }, async (herold) => {
	const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => upgrade(herold, `203.0.113.${i}`)))
	const early = answers.filter(({ status }) => status === 503)
	const waits = early.map(({ headers }) => Number(headers['retry-after']))

	assert.ok(early.length >= 20 && early.length < 40, `${early.length} refused`)
	assert.ok(early.every(({ error }) => error === 'too many WebSockets are being opened at the moment'))
	// Time goes on meanwhile; and the row is 30 seconds long.
	const turns = waits.filter((wait) => wait <= 30)

	assert.ok(new Set(turns).size > turns.length - 5, waits.join())
	assert.ok(waits.every((wait) => wait >= 1 && wait <= early.length + 2) && Math.max(...waits) > 15, waits.join())
	assert.equal((await counters(herold)).limited_handshakes, early.length)
	// A browser's page does not see what its WebSocket was refused with; but what its plain GET is.
	const unseen = await Promise.all(Array.from({ length: 20 }, (_, i) => upgrade(herold, `203.0.113.${i}`, { headers: { Origin: 'http://localhost' } })))

	assert.ok(unseen.every(({ status, headers }) => status === 101 || Number(headers['retry-after']) <= 6), 'no place in the row')
	const raw = await from(herold, '203.0.113.7')

	raw.write('GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n')
	const { status, headers } = await raw.response()

	assert.ok(status === 503 && Number(headers['retry-after']) > 10, `${status}, ${headers['retry-after']}`)
	// Pages are none of it.
	const page = await from(herold, '203.0.113.8')

	page.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
	assert.equal((await page.response()).status, 200)
	unseen.push({ raw: page })
	await leave(...unseen.map((answer) => answer.raw))
	await leave(raw, ...answers.map(({ raw }) => raw))
})

const FULL = 'the server has as many clients as it takes'

limited('connections of the host', { max_connections: 3 }, async (herold) => {
	const all = []

	for (let i = 1; i <= 3; i++)
		all.push(await welcome(herold, `203.0.113.${i}`))
	await refused(herold, '203.0.113.4', 503, FULL)
	await leave(all.pop())
	await waitFor(async () => (await herold.status()).limits.connections === 2, 'one less')
	all.push(await welcome(herold, '203.0.113.4'))
	await refused(herold, '203.0.113.5', 503, FULL)
	assert.equal((await counters(herold)).limited_connections, 2)
	await leave(...all)
})

limited('connections of a worker', { workers: 1, worker_connections: 1 }, async (herold) => {
	const only = await welcome(herold, '203.0.113.1')

	await refused(herold, '203.0.113.2', 503, FULL)
	assert.equal((await counters(herold)).limited_connections, 1)
	await leave(only)
})

const TOKENS = ['anna', 'ben'].map((user) => ({ token: `the-token-of-${user}`, user }))
const as = (user) => ({ headers: { Authorization: `Bearer the-token-of-${user}` } })
const withTokens = () => ({ auth: 'token', token_file: file('limits.json', TOKENS) })

limited('connections of a user', { ...withTokens(), user_connections: 2 }, async (herold) => {
	const all = [await welcome(herold, '203.0.113.1', as('anna')), await welcome(herold, '203.0.113.2', as('anna'))]

	await refused(herold, '203.0.113.3', 429, 'too many connections of this user', as('anna'))
	all.push(await welcome(herold, '203.0.113.3', as('ben')))
	await leave(all.shift())
	await waitFor(async () => (await herold.status()).limits.connections === 2, 'one less')
	all.push(await welcome(herold, '203.0.113.3', as('anna')))
	assert.equal((await counters(herold)).limited_user_connections, 1)
	// Whoever has no token is refused for that, and holds nothing.
	const { status, raw } = await upgrade(herold, '203.0.113.4')

	assert.equal(status, 401)
	await leave(raw, ...all)
})

limited('with tokens a user has one budget, from wherever, and others have their own', { ...withTokens(), messages_per_minute: 3 }, async (herold) => {
	const [one, other] = [await welcome(herold, '203.0.113.1', as('anna')), await welcome(herold, '203.0.113.2', as('anna'))]
	const ben = await welcome(herold, '203.0.113.1', as('ben'))

	for (const raw of [one, other, one, ben, ben, ben])
		assert.equal(await say(raw), 'echo')
	assertWarning(await say(other), 20)
	assert.deepEqual(await say(one), OVER)
	assertWarning(await say(ben), 20)
	await leave(one, other, ben)
})

story('behind a proxy that says X-Forwarded-For', { options: { limit_exempt: '', trusted_proxies: '127.0.0.1', address_connections: 1, max_connections: 2,
	messages_per_minute: 2, bytes_per_second: 1, max_message_bytes: 16384, log_level: 'debug' } }, async (herold) => {
	const ask = async (client, headers) => {
		const raw = await RawSocket.open(herold.address)

		raw.write(handshake({ path: '/echo', headers: { 'X-Forwarded-For': client, ...headers } }))
		return { raw, ...await raw.response() }
	}
	// Any number of pages, also on one connection: the proxy itself is nobody's client.
	const pages = await Promise.all(Array.from({ length: 5 }, () => RawSocket.open(herold.address)))

	for (const raw of pages) {
		raw.write('GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n')
		assert.equal((await raw.response()).status, 200)
	}
	const first = await ask('203.0.113.1'), second = await ask('10.1.1.1, 203.0.113.1'), third = await ask('203.0.113.2'), fourth = await ask('203.0.113.3')

	assert.deepEqual([first, second, third, fourth].map(({ status }) => status), [101, 429, 101, 503])
	assert.equal(JSON.parse(second.body).error, CROWDED)
	assert.equal(JSON.parse(fourth.body).error, FULL)
	// A plain GET learns why.
	pages[0].write('GET /ws HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n')
	assert.equal((await pages[0].response()).status, 503)
	assert.deepEqual([await say(first.raw), await say(first.raw)], ['echo', 'echo'])
	assertWarning(await say(first.raw), 30)
	assert.equal(await say(third.raw), 'echo')
	assert.equal((await herold.status()).limits.connections, 2)
	await leave(first.raw, second.raw, fourth.raw)
	await waitFor(async () => (await herold.status()).limits.connections === 1, 'one less')
	// And who is refused for another reason holds nothing: 426, it asks for no WebSocket.
	pages[1].write('GET /ws HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n')
	assert.equal((await pages[1].response()).status, 426)
	const again = await ask('203.0.113.1')

	assert.equal(again.status, 101)
	assert.deepEqual(await say(again.raw), OVER, 'what was used stays used')
	await leave(third.raw, again.raw, ...pages)
	await isEmpty(herold)
})

limited('who is exempt', { limit_exempt: '203.0.113.0/24,2001:db8::/32', address_connections: 1, max_connections: 1, messages_per_minute: 1, handshakes_per_second: 1,
	address_connects_per_second: 1, joins_per_minute: 1 }, async (herold) => {
	const all = []

	for (let i = 0; i < 6; i++)
		all.push(await welcome(herold, i < 3 ? '203.0.113.7' : '2001:db8::7'))
	for (const raw of all)
		assert.deepEqual([await say(raw), await say(raw), await say(raw)], ['echo', 'echo', 'echo'])
	assert.equal((await herold.status()).limits.connections, 0)
	const other = await welcome(herold, '198.51.100.1')

	assert.equal(await say(other), 'echo')
	assertWarning(await say(other))
	assert.equal((await herold.status()).limits.connections, 1)
	await leave(other, ...all)
})

/** Half of its connection stays open when the other side ends. */
async function stubborn(herold) {
	const [host, at] = herold.address.split(':')
	const raw = new RawSocket(connect({ host, port: Number(at), allowHalfOpen: true }))

	await new Promise((done) => raw.socket.once('connect', done).once('error', done))
	return raw
}

story('who is refused at the door and does not go: so many are told, and all are ended', {
	options: { limit_exempt: '', workers: 1, address_connections: 1, address_connects_per_second: 0 },
}, async (herold) => {
	const client = await ChatClient.open(herold)
	const crowd = await Promise.all(Array.from({ length: 400 }, () => stubborn(herold)))

	await waitFor(() => crowd.every((raw) => raw.ended), 'the end of all')
	const told = crowd.filter((raw) => raw.bytes.toString().startsWith('HTTP/1.1 429 Too Many Requests'))
	const { limited_address_connections, closed } = await counters(herold)

	assert.ok(told.length >= 256 && told.length < 400, `${told.length} told`)
	assert.ok(told.every((raw) => raw.bytes.toString().endsWith(`{"status":429,"error":"${CROWDED}"}\n`)))
	assert.equal(limited_address_connections, 400)
	await waitFor(async () => (await perWorker(herold))[0] === 1, 'they are gone')
	assert.equal((await counters(herold)).closed.limit_reached, told.length)
	assert.equal(closed.rate_limited, 0)
	for (const raw of crowd)
		raw.destroy()
	await client.close()
	await isEmpty(herold)
})

story('with TLS the door is closed without a word', {
	options: { limit_exempt: '', workers: 1, tls_listen: '127.0.0.1:0', tls_self_signed: 'on', address_connections: 1 },
}, async (herold) => {
	const held = await RawSocket.open(herold.address)

	await waitFor(async () => (await perWorker(herold))[0] === 1, 'it is there')
	const raw = new RawSocket(connect(herold.tls))

	await raw.finished()
	assert.equal(raw.bytes.length, 0)
	assert.equal((await counters(herold)).limited_address_connections, 1)
	held.destroy()
	await isEmpty(herold)
	const { host, port: at } = herold.tls
	const welcomed = await secure({ host, port: at, rejectUnauthorized: false })

	welcomed.destroy()
})

test('without a limit nothing is counted, and 0 means none', async () => {
	const none = { messages_per_minute: 0, bytes_per_second: 0, joins_per_minute: 0, address_connects_per_second: 0, address_connections: 0, handshakes_per_second: 0 }
	const herold = await Herold.start({ options: { limit_exempt: '', ...none } })

	try {
		const client = await ChatClient.login(herold, { userId: 'anna' })

		for (let i = 0; i < 300; i++)
			client.send({ type: 'chat', message: `${i}`, ref: i })
		await client.next((m) => m.type === 'ack' && m.ref === 299)
		assert.equal(client.received.filter((m) => m.type === 'error').length, 0)
		await client.close()
		await isEmpty(herold)
		await herold.stop()
	} finally {
		herold.kill()
	}
})
