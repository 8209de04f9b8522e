// herold.js in node: what it does when servers and connections misbehave (a scripted peer), and with the real programs
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket, WebSocketServer } from 'ws'

import { ChatClient } from './support/client.mjs'
import { story, waitFor } from './support/herold.mjs'
import { clientModule, record } from './support/module.mjs'

const QUICK = { WebSocket, userId: 'u1', name: 'Ada', room: 'lobby', minDelayMs: 10, maxDelayMs: 40, retryMs: 10 }

/** A server that answers as the test says: script(message, peer) for each message; peers are its connections. */
async function scripted(t, script, options = {}) {
	const { connect } = await clientModule()
	const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
	const peers = []
	const got = []

	await once(server, 'listening')
	server.on('connection', (socket) => {
		const peer = { socket, number: peers.length, send: (m) => socket.send(JSON.stringify(m)) }

		peers.push(peer)
		peer.send({ type: 'connection', id: `c${peer.number}` })
		socket.on('message', (data) => {
			const m = JSON.parse(data)

			got.push({ ...m, peer: peer.number })
			script(m, peer)
		})
	})
	const client = connect(`ws://127.0.0.1:${server.address().port}/ws`, { ...QUICK, ...options })

	t.after(() => {
		client.close()
		for (const { socket } of peers)
			socket.terminate()
		server.close()
	})
	return { client, events: record(client), peers, got, of: (type) => got.filter((m) => m.type === type) }
}

function loginOk(m, more = {}) {
	return { type: 'login_ok', userId: m.userId, name: m.name, resume: 'secret', room: m.room, epoch: 'e1', offset: 10, count: 1,
		users: [{ userId: m.userId, name: m.name }], messages: [], ...more }
}

function chatOf(m, offset, more = {}) {
	return { type: 'chat', userId: 'u1', name: 'Ada', message: m.message, room: m.room, id: `id${offset}`, epoch: 'e1', offset, time: 1, ...more }
}

function ackOf(m, offset) {
	return { type: 'ack', ref: m.ref, room: m.room, id: `id${offset}`, epoch: 'e1', offset }
}

const statuses = (events) => events.filter((e) => e.event === 'outbox').map((e) => e.status)

const lastOutbox = (events) => events.filter((e) => e.event === 'outbox').at(-1)

for (const code of ['unavailable', 'uncertain', 'busy']) {
	test(`a message that is refused as ${code} is sent again with the same ref`, async (t) => {
		const { client, events, of } = await scripted(t, (m, peer) => {
			if (m.type === 'login')
				peer.send(loginOk(m))
			else if (of('chat').length < 3)
				peer.send({ type: 'error', code, message: 'no', ref: m.ref })
			else
				peer.send(ackOf(m, 11))
		})
		const ref = client.send('hello')

		await waitFor(() => statuses(events).at(-1) === 'sent', 'the ack')
		assert.deepEqual(of('chat').map((m) => m.ref), [ref, ref, ref])
		assert.deepEqual(statuses(events), ['pending', 'sent'])
		assert.deepEqual(client.outbox, [])
	})
}

test('after a refusal what is written later waits, so that the order stays', async (t) => {
	const accepted = []
	let refusals = 0
	const { client } = await scripted(t, (m, peer) => {
		if (m.type === 'login')
			return peer.send(loginOk(m))
		if (m.message === 'one' && refusals++ < 2) {
			peer.send({ type: 'error', code: 'unavailable', message: 'no', ref: m.ref })
			if (refusals === 1)
				client.send('two')
			return
		}
		accepted.push(m.message)
		peer.send(ackOf(m, 10 + accepted.length))
	}, { retryMs: 50 })

	client.send('one')
	await waitFor(() => accepted.length === 2, 'both')
	assert.deepEqual(accepted.sort(), ['one', 'two'])
	assert.equal(refusals, 3)
})

test('a message that is wrong fails with the reason and is not sent again', async (t) => {
	const { client, events, of } = await scripted(t, (m, peer) => {
		peer.send(m.type === 'login' ? loginOk(m) : { type: 'error', code: 'bad_message', message: 'too long', ref: m.ref })
	})
	const ref = client.send('hello')

	await waitFor(() => statuses(events).at(-1) === 'failed', 'the failure')
	const { code, reason } = lastOutbox(events)

	assert.deepEqual([code, reason], ['bad_message', 'too long'])
	assert.deepEqual(of('chat').map((m) => m.ref), [ref])
})

test('what is written while offline goes out after the login, with resume and since, in every room', async (t) => {
	const { client, events, peers, of } = await scripted(t, (m, peer) => {
		if (m.type === 'login')
			peer.send(loginOk(m, peer.number === 0 ? {} : { recovered: true, messages: [chatOf({ message: 'missed', room: 'lobby' }, 11, { userId: 'u2' })], offset: 11 }))
		else if (m.type === 'join')
			peer.send({ type: 'join_ok', room: m.room, epoch: 'e1', offset: 3, count: 1, users: [], messages: [] })
		else if (m.type === 'subscribe')
			peer.send({ type: 'subscribe_ok', channel: m.channel, epoch: 'e1', offset: 5, messages: [] })
		else if (m.type === 'chat')
			peer.send(ackOf(m, 12))
	})

	client.join('ops')
	client.subscribe('scores')
	await waitFor(() => events.filter((e) => e.event === 'entered').length === 3, 'all places')
	assert.equal(of('login')[0].since, undefined)
	let ref

	client.on('state', ({ state }) => {
		if (state === 'waiting')
			ref ??= client.send('written offline')
	})
	peers[0].socket.terminate()
	await waitFor(() => statuses(events).at(-1) === 'sent', 'the ack')
	const [, login] = of('login')

	// node 18 does not show its crypto: then the server makes the secret.
	if (globalThis.crypto !== undefined)
		assert.match(of('login')[0].resume, /^[\w-]{22}$/)
	assert.equal(login.resume, 'secret')
	assert.deepEqual(login.since, { epoch: 'e1', offset: 10 })
	assert.deepEqual(of('join').at(-1).since, { epoch: 'e1', offset: 3 })
	assert.deepEqual(of('subscribe').at(-1).since, { epoch: 'e1', offset: 5 })
	assert.equal(of('chat')[0].ref, ref)
	assert.equal(events.filter((e) => e.event === 'chat' && e.message === 'missed').length, 1)
	assert.deepEqual(client.position('lobby'), { epoch: 'e1', offset: 11 })
})

test('a connection that acknowledges nothing is given up, and the message sent again', async (t) => {
	const { client, events, of, peers } = await scripted(t, (m, peer) => {
		if (m.type === 'login')
			peer.send(loginOk(m))
		else if (peer.number === 1)
			peer.send(ackOf(m, 11))
	}, { ackTimeoutMs: 100 })
	const ref = client.send('hello')

	await waitFor(() => statuses(events).at(-1) === 'sent', 'the ack')
	assert.equal(peers.length, 2)
	assert.deepEqual(of('chat').map((m) => m.ref), [ref, ref])
})

test('a message that costs the connection by its size fails, the others do not', async (t) => {
	const { client, events } = await scripted(t, (m, peer) => {
		if (m.type === 'login')
			peer.send(loginOk(m))
		else if (m.message.length > 100)
			peer.socket.close(1009, 'message too big')
		else if (peer.socket.readyState === WebSocket.OPEN)
			peer.send(ackOf(m, 11))
	})

	client.send('short')
	const ref = client.send('x'.repeat(101))

	client.send('after')
	await waitFor(() => client.outbox.length === 0, 'an empty outbox')
	assert.deepEqual(events.filter((e) => e.event === 'outbox' && e.status === 'failed').map((e) => [e.ref, e.code]), [[ref, 'too_big']])
	assert.equal(events.filter((e) => e.event === 'outbox' && e.status === 'sent').length, 2)
})

test('a doubtful message is not sent again when the server may have forgotten its ref', async (t) => {
	const { client, events, of } = await scripted(t, (m, peer) => {
		peer.send(m.type === 'login' ? loginOk(m) : { type: 'error', code: 'uncertain', message: 'no', ref: m.ref })
	}, { refLifetimeMs: 60 })

	client.send('hello')
	await waitFor(() => statuses(events).at(-1) === 'failed', 'the end of trying')
	assert.equal(lastOutbox(events).code, 'expired')
	assert.ok(of('chat').length > 1)
})

for (const order of ['ack first', 'message first']) {
	test(`an own message is known by its ref when it comes back, ${order}`, async (t) => {
		const { client, events } = await scripted(t, (m, peer) => {
			if (m.type === 'login')
				return peer.send(loginOk(m))
			const answers = [ackOf(m, 11), chatOf(m, 11)]

			for (const answer of order === 'ack first' ? answers : answers.reverse())
				peer.send(answer)
		})
		const ref = client.send('hello')

		await waitFor(() => statuses(events).at(-1) === 'sent' && events.some((e) => e.event === 'chat'), 'both')
		assert.deepEqual(events.filter((e) => e.event === 'chat').map((e) => e.ref), [ref])
	})
}

test('a message that comes twice is given out once', async (t) => {
	const { events } = await scripted(t, (m, peer) => {
		if (m.type !== 'login')
			return
		peer.send(loginOk(m))
		for (const offset of [11, 11, 10, 12])
			peer.send(chatOf({ message: `m${offset}`, room: 'lobby' }, offset, { userId: 'u2' }))
	})

	await waitFor(() => events.some((e) => e.message === 'm12'), 'the last')
	assert.deepEqual(events.filter((e) => e.event === 'chat').map((e) => e.message), ['m11', 'm12'])
})

test('a reset starts a new count and asks for the members again', async (t) => {
	const { client, events, of } = await scripted(t, (m, peer) => {
		if (m.type === 'users')
			return peer.send({ type: 'users', room: 'lobby', count: 1, users: [{ userId: 'u1', name: 'Ada' }] })
		peer.send(loginOk(m))
		peer.send({ type: 'reset', room: 'lobby', epoch: 'e2', offset: 0, recovered: false })
		peer.send(chatOf({ message: 'anew', room: 'lobby' }, 1, { userId: 'u2', epoch: 'e2' }))
	})

	await waitFor(() => events.some((e) => e.event === 'users'), 'the members')
	assert.equal(of('users').length, 1)
	assert.equal(events.filter((e) => e.event === 'reset').length, 1)
	assert.equal(events.filter((e) => e.event === 'chat').length, 1)
	assert.deepEqual(client.position('lobby'), { epoch: 'e2', offset: 1 })
})

test('history that does not reach back is a reset, never silence', async (t) => {
	const { events, peers } = await scripted(t, (m, peer) => {
		peer.send(loginOk(m, peer.number === 0 ? {} : { recovered: false, epoch: 'e2', offset: 4 }))
	})

	await waitFor(() => events.some((e) => e.event === 'entered'), 'the login')
	peers[0].socket.terminate()
	await waitFor(() => events.some((e) => e.event === 'reset'), 'the reset')
	assert.deepEqual(events.filter((e) => e.event === 'reset').map((e) => [e.room, e.epoch]), [['lobby', 'e2']])
})

test('a refused login ends the client, one that is unavailable does not', async (t) => {
	const { client, events, of } = await scripted(t, (m, peer) => {
		peer.send({ type: 'error', code: peer.number < 2 ? 'unavailable' : 'bad_name', message: 'no', ref: m.ref })
	})

	await waitFor(() => events.some((e) => e.event === 'denied'), 'the denial')
	assert.equal(client.state, 'closed')
	assert.equal(of('login').length, 3)
	assert.equal(events.find((e) => e.event === 'denied').code, 'bad_name')
})

test('waiting times are random and grow to their bound', async (t) => {
	const { events, peers } = await scripted(t, (m, peer) => peer.socket.terminate(), { minDelayMs: 2, maxDelayMs: 16 })

	await waitFor(() => peers.length > 8, 'many attempts')
	const waits = events.filter((e) => e.event === 'state' && e.state === 'waiting')

	waits.forEach((e, i) => assert.ok(e.retryInMs <= Math.min(16, 2 * 2 ** i), `attempt ${i}: ${e.retryInMs}`))
	assert.ok(new Set(waits.map((e) => e.retryInMs)).size > waits.length / 2)
})

test('close ends it for good', async (t) => {
	const { client, peers, events } = await scripted(t, (m, peer) => peer.send(loginOk(m)))

	await waitFor(() => client.state === 'online', 'the login')
	client.close()
	await once(peers[0].socket, 'close')
	assert.equal(client.state, 'closed')
	assert.equal(events.at(-1).state, 'closed')
})

// --- limits ---

/** A script that takes `burst` messages, then one each `everyMs`; what comes too early gets a warning, and after that the end. */
function limiting(burst, everyMs) {
	const taken = []
	let free = burst, isWarned = false, last = Date.now()

	return { taken, warnings: 0, script(m, peer) {
		if (m.type === 'login')
			return peer.send(loginOk(m))
		if (peer.socket.readyState !== WebSocket.OPEN)
			return
		free = Math.min(burst, free + (Date.now() - last) / everyMs)
		last = Date.now()
		if (free < 1 && isWarned)
			return peer.socket.close(1008, 'Rate limit exceeded')
		isWarned = free < 1
		if (isWarned) {
			this.warnings++
			return peer.send({ type: 'error', code: 'rate_limited', message: 'too fast', retry_after: (1 - free) * everyMs / 1000, ref: m.ref })
		}
		free--
		if (m.type === 'chat') {
			taken.push(m.message)
			peer.send(ackOf(m, 10 + taken.length))
		} else {
			peer.send({ type: m.type === 'join' ? 'join_ok' : `${m.type}_ok`, room: m.room, ref: m.ref, epoch: 'e1', offset: 0, messages: [] })
		}
	} }
}

const numbers = (count) => Array.from({ length: count }, (_, i) => `m${i}`)

test('over the rate, all is kept, goes out in order after the time that the server says, and never costs the connection', async (t) => {
	const server = limiting(20, 30)
	const { client, events, peers } = await scripted(t, (m, peer) => server.script(m, peer))

	for (const text of numbers(30))
		client.send(text)
	// What is no message waits likewise, and is not lost.
	await waitFor(() => server.warnings > 0, 'a warning')
	client.join('ops')
	client.join('tea')
	client.leave('tea')
	await waitFor(() => client.outbox.length === 0, 'an empty outbox')
	await waitFor(() => client.position('ops') !== undefined, 'the room')
	assert.deepEqual(server.taken, numbers(30))
	assert.equal(peers.length, 1)
	const limited = events.filter((e) => e.event === 'limited')

	assert.ok(limited.length > 0 && limited.every((e) => e.message === 'too fast' && e.retryInMs > 0 && e.retryInMs <= 30 + 50), JSON.stringify(limited))
	assert.equal(events.filter((e) => e.event === 'outbox' && e.status === 'failed').length + events.filter((e) => e.event === 'fault').length, 0)
})

test('a connection that sending too much has cost comes back only after a longer time, then one message at a time', async (t) => {
	const server = limiting(5, 30)
	const { client, events, peers } = await scripted(t, (m, peer) => server.script(m, peer), { underWayMax: 100, limitedDelayMs: 300 })

	for (const text of numbers(12))
		client.send(text)
	await waitFor(() => client.outbox.length === 0, 'an empty outbox')
	assert.deepEqual(server.taken, numbers(12))
	assert.equal(peers.length, 2)
	const [{ retryInMs, reason }] = events.filter((e) => e.event === 'state' && e.state === 'waiting')

	assert.equal(reason, 'Rate limit exceeded')
	assert.ok(retryInMs >= 300 && retryInMs <= 600, `${retryInMs}`)
})

test('a login over the rate is tried again after its time', async (t) => {
	const { events, of } = await scripted(t, (m, peer) => peer.send(peer.number === 0 ?
		{ type: 'error', code: 'rate_limited', message: 'too fast', retry_after: 0.2, ref: m.ref } : loginOk(m)))

	await waitFor(() => events.some((e) => e.event === 'login'), 'the login')
	assert.equal(of('login').length, 2)
	const { retryInMs } = events.find((e) => e.state === 'waiting')

	assert.ok(retryInMs >= 200 && retryInMs <= 400, `${retryInMs}`)
})

test('what a muted user writes fails with the time that is left, and is not sent again', async (t) => {
	const { client, events, of } = await scripted(t, (m, peer) => {
		peer.send(m.type === 'login' ? loginOk(m) : { type: 'error', code: 'muted', message: 'you are muted', retry_after: 90, ref: m.ref })
	})

	client.send('one')
	client.send('two')
	await waitFor(() => client.outbox.length === 0, 'an empty outbox')
	assert.equal(of('chat').length, 1)
	assert.deepEqual(events.filter((e) => e.status === 'failed').map((e) => [e.message, e.code, e.reason]),
		[['one', 'muted', 'you are muted'], ['two', 'muted', 'you are muted']])
	assert.deepEqual(events.filter((e) => e.event === 'muted').map((e) => [e.message, e.retryInMs]), [['you are muted', 90000]])
	assert.equal(client.state, 'online')
})

for (const how of ['kicked', 'banned']) {
	test(`who is ${how} stays away until told otherwise`, async (t) => {
		const { client, events, peers } = await scripted(t, (m, peer) => {
			if (how === 'banned' && peer.number === 0)
				peer.send({ type: 'error', code: 'banned', message: 'you are banned', ref: m.ref })
			else
				peer.send(loginOk(m))
			if (peer.number === 0)
				peer.socket.close(4403, 'kicked by a moderator')
		})

		await waitFor(() => events.some((e) => e.event === 'removed'), 'the end')
		const { code, message } = events.find((e) => e.event === 'removed')

		assert.deepEqual([code, message], how === 'banned' ? ['banned', 'you are banned'] : [4403, 'kicked by a moderator'])
		assert.equal(client.state, 'closed')
		client.check()
		assert.equal(client.state, 'closed')
		client.send('written meanwhile')
		client.reconnect()
		await waitFor(() => client.state === 'online', 'the next login')
		assert.equal(peers.length, 2)
		assert.deepEqual(client.outbox.map((m) => m.message), ['written meanwhile'])
	})
}

/** A server that takes no WebSocket, and tells a plain GET why, once `mayAnswer` is settled. */
async function refusing(t, status, headers, { mayAnswer, ...options } = {}) {
	const { connect } = await clientModule()
	const server = createServer(async (request, response) => {
		await mayAnswer
		response.writeHead(status, headers).end(JSON.stringify({ status, error: 'not now' }))
	})
	let attempts = 0

	server.on('upgrade', (request, socket) => {
		attempts++
		socket.end(`HTTP/1.1 ${status} No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
	})
	server.listen(0, '127.0.0.1')
	await once(server, 'listening')
	const client = connect(`ws://127.0.0.1:${server.address().port}/ws`, { ...QUICK, ...options })

	t.after(() => {
		client.close()
		server.close()
		server.closeAllConnections()
	})
	return { client, events: record(client), attempts: () => attempts }
}

for (const status of [429, 503]) {
	test(`a refusal ${status} says how long to wait, and that is obeyed`, async (t) => {
		const { events, client, attempts } = await refusing(t, status, { 'Retry-After': '7' })

		await waitFor(() => events.some((e) => e.event === 'refused'), 'the refusal')
		assert.deepEqual(events.filter((e) => e.event === 'refused').map((e) => [e.status, e.message]), [[status, 'not now']])
		const { retryInMs } = await waitFor(() => events.find((e) => e.retryInMs >= 3000), 'a longer wait')

		assert.ok(retryInMs >= 7000 && retryInMs <= 8000, `${retryInMs}`)
		assert.equal(client.state, 'waiting')
		assert.equal(attempts(), 1)
	})
}

test('who is not welcome (403) does not go on trying, also when that is told only after the time to wait', async (t) => {
	let answer
	const { events, client, attempts } = await refusing(t, 403, {}, { mayAnswer: new Promise((resolve) => { answer = resolve }) })
	const { retryInMs } = await waitFor(() => events.find((e) => e.state === 'waiting'), 'the waiting')

	await sleep(retryInMs + 50)
	assert.equal(client.state, 'waiting')
	answer()
	await waitFor(() => events.some((e) => e.event === 'removed'), 'the end')
	assert.deepEqual(events.filter((e) => e.event === 'removed').map((e) => [e.code, e.message]), [[403, 'not now']])
	assert.equal(client.state, 'closed')
	assert.equal(attempts(), 1)
})

test('a server that does not say why is tried again all the same, and at once by reconnect()', async (t) => {
	let answer
	const { events, client, attempts } = await refusing(t, 503, {}, { loginTimeoutMs: 100, mayAnswer: new Promise((resolve) => { answer = resolve }) })

	t.after(() => answer())
	await waitFor(() => attempts() >= 2, 'another attempt')
	assert.equal(events.filter((e) => e.event === 'refused').length, 0)
	await waitFor(() => client.state === 'waiting', 'the next refusal')
	client.reconnect()
	assert.equal(client.state, 'connecting')
})

test('close() holds, also from a listener that is told of waiting or of a refusal', async (t) => {
	for (const event of ['state', 'refused']) {
		const { events, client, attempts } = await refusing(t, 503, { 'Retry-After': '0.01' })

		client.on(event, ({ state }) => {
			if (state === undefined || state === 'waiting')
				client.close()
		})
		await waitFor(() => client.state === 'closed' && events.some((e) => e.event === event && e.state !== 'connecting'), 'the end')
		await sleep(100)
		assert.equal(client.state, 'closed')
		assert.equal(attempts(), 1)
	}
})

// --- the real programs ---

/** A WebSocket class whose sockets the test can cut. */
function tapped() {
	const sockets = []

	return { sockets, WebSocket: class extends WebSocket {
		constructor(...args) {
			super(...args)
			sockets.push(this)
		}
	} }
}

async function realClient(t, herold, options) {
	const { connect } = await clientModule(await (await fetch(`${herold.url}/herold.js`)).text())
	const tap = tapped()
	const client = connect(`${herold.wsUrl}/ws`, { WebSocket: tap.WebSocket, minDelayMs: 50, retryMs: 100, ...options })
	const events = record(client)

	t.after(() => client.close())
	await waitFor(() => events.some((e) => e.event === 'entered'), 'the login')
	return { client, events, cut: () => tap.sockets.at(-1).terminate(), texts: (room) => events.filter((e) => e.event === 'chat' && e.room === room).map((e) => e.message) }
}

story('cut off again and again, a client loses nothing and repeats nothing, in both its rooms', {}, async (herold, t) => {
	const witness = await ChatClient.login(herold, { userId: 'witness' })
	const ada = await realClient(t, herold, { userId: 'ada', name: 'Ada', room: 'lobby' })
	const said = { lobby: [], ops: [] }

	witness.send({ type: 'join', room: 'ops' })
	await witness.next('join_ok')
	ada.client.join('ops')
	await waitFor(() => ada.events.filter((e) => e.event === 'entered').length === 2, 'the second room')
	for (let i = 0; i < 40; i++) {
		const room = i % 2 === 0 ? 'lobby' : 'ops'

		said[room].push(`a${i}`)
		ada.client.send(`a${i}`, room)
		witness.send({ type: 'chat', message: `w${i}`, room, ref: `w${i}` })
		await witness.next((m) => m.type === 'ack' && m.ref === `w${i}`)
		// Down while the next few are said, and back before the next cut.
		if (i % 8 === 1)
			ada.cut()
		if (i % 8 === 7)
			await waitFor(() => ada.client.state === 'online', 'the reconnect')
	}
	await waitFor(() => ada.client.outbox.length === 0, 'an empty outbox')
	for (const room of ['lobby', 'ops']) {
		await waitFor(() => witness.texts(room).length === 40 && ada.texts(room).length === 40, `all in ${room}`)
		assert.deepEqual(ada.texts(room), witness.texts(room))
		assert.deepEqual(witness.texts(room).filter((text) => text.startsWith('a')).sort(), said[room].sort())
	}
	assert.ok(ada.events.filter((e) => e.event === 'state' && e.state === 'waiting').length >= 5, 'it was cut off')
	assert.ok(ada.events.some((e) => e.event === 'entered' && e.recovered === true && e.messages.length > 0), 'gaps were filled')
	assert.equal(ada.events.filter((e) => e.event === 'reset').length, 0)
	await witness.close()
})

story('the death of the broker: nothing written is lost, a new epoch is told, the members are asked for again', {}, async (herold, t) => {
	const ada = await realClient(t, herold, { userId: 'ada', name: 'Ada', room: 'lobby' })
	const { broker } = await herold.pids()
	const before = ada.client.position('lobby')

	ada.client.send('before')
	await waitFor(() => ada.client.outbox.length === 0, 'the first ack')
	process.kill(broker, 'SIGKILL')
	ada.client.send('during')
	await waitFor(() => ada.client.outbox.length === 0 && ada.texts('lobby').includes('during'), 'the second ack')
	await waitFor(() => ada.events.some((e) => e.event === 'reset'), 'the reset')
	await waitFor(() => ada.events.some((e) => e.event === 'users' && e.users.some((u) => u.userId === 'ada')), 'the members')
	assert.notEqual(ada.client.position('lobby').epoch, before.epoch)
	assert.deepEqual(ada.texts('lobby'), ['before', 'during'])
	assert.equal(ada.events.filter((e) => e.event === 'state' && e.state === 'waiting').length, 0, 'the connection lived on')
})
