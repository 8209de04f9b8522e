// The server API, as docs/api.md tells it.
import assert from 'node:assert/strict'

import { ChatClient, usersOnEachWorker } from './support/client.mjs'
import { story, waitFor } from './support/herold.mjs'
import { RawSocket } from './support/raw.mjs'

const get = async (herold, path) => {
	const { status, json, text, headers } = await herold.admin(path)

	assert.equal(status, 200, text)
	assert.equal(headers.get('content-type'), 'application/json')
	assert.equal(headers.get('cache-control'), 'no-store')
	return json
}
const publications = (client, channel) => client.received.filter((m) => m.type === 'publication' && m.channel === channel)

/** The body as it stands. */
async function post(herold, path, body) {
	const { status, json, text } = await herold.admin(path, { method: 'POST', body })

	assert.equal(status, 200, text)
	return json
}

story('publish: to channels, rooms and everybody', {}, async (herold) => {
	const clients = await usersOnEachWorker(herold)
	const stranger = await ChatClient.open(herold)
	const raw = await ChatClient.open(herold, { path: '/broadcast' })

	for (const client of clients)
		await client.ask({ type: 'subscribe', channel: 'scores' }, 'subscribe_ok')
	const first = await herold.api('publish', { channel: 'scores', data: { home: 1, away: 0 }, idempotency_key: 'match-7-goal-1' })

	assert.deepEqual(first, { epoch: first.epoch, offset: 1, repeated: false })
	assert.deepEqual(await herold.api('publish', { channel: 'scores', data: { home: 1, away: 0 }, idempotency_key: 'match-7-goal-1' }),
		{ ...first, repeated: true })
	// The same key elsewhere is another publication; without a key all are.
	assert.equal((await herold.api('publish', { channel: 'other', data: 1, idempotency_key: 'match-7-goal-1' })).repeated, false)
	for (const offset of [2, 3])
		assert.deepEqual(await herold.api('publish', { channel: 'scores', data: 'again' }), { epoch: first.epoch, offset, repeated: false })
	for (const client of clients) {
		await waitFor(() => publications(client, 'scores').length === 3, 'three publications')
		const [{ time, ...m }] = publications(client, 'scores')

		assert.ok(Math.abs(time - Date.now()) < 60000)
		assert.deepEqual(m, { type: 'publication', channel: 'scores', data: { home: 1, away: 0 }, epoch: first.epoch, offset: 1 })
	}
	await herold.api('publish', { channel: 'room:lobby', data: ['to the room'] })
	for (const client of clients)
		assert.deepEqual((await client.next((m) => m.room === 'lobby' && m.type === 'publication')).data, ['to the room'])
	await herold.api('publish', { channel: '$all', data: 'to everybody' })
	for (const client of [...clients, stranger]) {
		const { time, ...m } = await client.next((each) => each.channel === '$all')

		assert.deepEqual(m, { type: 'publication', channel: '$all', data: 'to everybody' })
	}
	await post(herold, '/api/publish', '{"channel":"$broadcast", "data" : { "a" : 1.50 } }')
	assert.deepEqual(await raw.next((m) => m.a === 1.5), { a: 1.5 })
})

story('data is handed on as it stands in the request', {}, async (herold) => {
	const client = await ChatClient.login(herold, { userId: 'u' })
	const texts = []

	await client.ask({ type: 'subscribe', channel: 'raw' }, 'subscribe_ok')
	client.socket.on('message', (data) => texts.push(data.toString()))
	const datas = ['{ "b" : 1.50,\n"a":[ ], "\\u00e4" : "\\/ ä" }', 'null', '123456789012345678901234567890', '-0.0', '"x\\ud83d\\ude00"', '[1 , 2]', 'false']

	for (const [i, data] of datas.entries()) {
		const { offset } = await post(herold, '/api/publish', `{"x":{"data":0}, "data" :  ${data} , "channel":"raw"}`)
		const m = await client.next('publication')

		assert.equal(offset, i + 1)
		assert.equal(texts.at(-1), `{"type":"publication","channel":"raw","data":${data},"epoch":"${m.epoch}","offset":${offset},"time":${m.time}}`)
	}
	// And so it comes out of history.
	const { text } = await herold.admin('/api/history?channel=raw')

	for (const data of datas)
		assert.ok(text.includes(data), `${data} in ${text}`)
	assert.deepEqual(JSON.parse(text).publications.map((p) => p.data), datas.map((data) => JSON.parse(data)))
})

story('broadcast: the same to many channels', {}, async (herold) => {
	const client = await ChatClient.login(herold, { userId: 'u' })
	const channels = Array.from({ length: 1000 }, (_, i) => `c${i}`)

	for (const channel of ['c0', 'c500', 'c999'])
		await client.ask({ type: 'subscribe', channel }, 'subscribe_ok')
	const first = await herold.api('broadcast', { channels: channels.slice(0, 500), data: 1, idempotency_key: 'k' })
	const all = await herold.api('broadcast', { channels, data: 1, idempotency_key: 'k' })

	assert.deepEqual(Object.keys(all.channels).sort(), channels.sort())
	for (const [name, { epoch, offset, repeated }] of Object.entries(all.channels)) {
		assert.deepEqual([offset, repeated, typeof epoch], [1, name in first.channels, 'string'], name)
	}
	for (const channel of ['c0', 'c500', 'c999'])
		await client.next((m) => m.type === 'publication' && m.channel === channel)
	await herold.api('publish', { channel: 'c0', data: 'the next' })
	await client.next((m) => m.data === 'the next')
	assert.equal(publications(client, 'c0').length, 2, 'once each')
})

story('many requests at a time', {}, async (herold) => {
	const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => herold.api('publish', { channel: 'busy', data: i })))
	const { publications: list } = await get(herold, '/api/history?channel=busy&limit=1000')

	assert.deepEqual(answers.map((a) => a.offset).sort((a, b) => a - b), Array.from({ length: 200 }, (_, i) => i + 1))
	for (const { offset, data } of list)
		assert.equal(answers[data].offset, offset, 'each has got its own answer')
	// On one connection, one behind the other.
	const raw = await RawSocket.open(herold.adminAddress)
	const body = (i) => JSON.stringify({ channel: 'piped', data: 'x'.repeat(i) })

	raw.write(Array.from({ length: 20 }, (_, i) => `POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body(i).length}\r\n\r\n${body(i)}`).join(''))
	for (let i = 1; i <= 20; i++)
		assert.equal(JSON.parse((await raw.response()).body).offset, i)
	raw.write(`POST /api/publish HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: ${body(7).length}\r\n\r\n`)
	assert.equal((await raw.response()).status, 100)
	raw.write(body(7))
	assert.equal(JSON.parse((await raw.response()).body).offset, 21)
	raw.destroy()
})

story('channels: sorted, in pages, by prefix', {}, async (herold) => {
	const names = Array.from({ length: 25 }, (_, i) => `a/${String(i).padStart(2, '0')}`)

	for (const channel of [...names, 'b', 'Ärger & Co.', '100%+x'].map((name) => name.replace(/ /g, '\u2003')))
		await herold.api('publish', { channel, data: 1 })
	const user = await ChatClient.login(herold, { userId: 'u', room: 'tea' })
	const seen = []
	let page

	do {
		page = await get(herold, `/api/channels?prefix=a/&limit=10&after=${encodeURIComponent(seen.at(-1) ?? '')}`)
		seen.push(...page.channels.map((c) => c.channel))
		assert.ok(page.channels.length <= 10)
	} while (page.more)
	assert.deepEqual(seen, names)
	assert.deepEqual(page.channels[0], { channel: 'a/20', epoch: page.channels[0].epoch, offset: 1, members: 0 })
	assert.deepEqual((await get(herold, '/api/channels?prefix=room:')).channels.map((c) => [c.channel, c.members]), [['room:tea', 1]])
	for (const name of ['Ärger\u2003&\u2003Co.', '100%+x']) {
		const { channels } = await get(herold, `/api/channels?prefix=${encodeURIComponent(name)}`)

		assert.deepEqual(channels.map((c) => c.channel), [name])
		assert.equal((await get(herold, `/api/history?channel=${encodeURIComponent(name)}`)).publications.length, 1)
	}
	assert.deepEqual(await get(herold, '/api/channels?prefix=nothing'), { channels: [], more: false })
	user.terminate()
})

story('history: the newest, those before, those after', { options: { room_history: 20 } }, async (herold) => {
	const user = await ChatClient.login(herold, { userId: 'u', name: 'Uta', room: 'tea' })

	for (let i = 1; i <= 30; i++)
		await herold.api('publish', { channel: 'scores', data: i })
	const ask = async (query = '') => {
		const { offset, publications: list, ...rest } = await get(herold, `/api/history?channel=scores${query}`)

		assert.equal(offset, 30)
		assert.ok(list.every((p) => p.data === p.offset && Math.abs(p.time - Date.now()) < 60000))
		return { ...rest, offsets: list.map((p) => p.offset) }
	}
	const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
	const { epoch } = await ask()

	assert.deepEqual(await ask(), { epoch, more: false, offsets: range(11, 30) })
	assert.deepEqual(await ask('&limit=5'), { epoch, more: true, offsets: range(26, 30) })
	assert.deepEqual(await ask('&limit=5&before=26'), { epoch, more: true, offsets: range(21, 25) })
	assert.deepEqual(await ask('&limit=5&before=13'), { epoch, more: false, offsets: [11, 12] })
	assert.deepEqual(await ask('&limit=0'), { epoch, more: true, offsets: [] })
	assert.deepEqual(await ask(`&epoch=${epoch}&offset=20&limit=5`), { epoch, more: true, offsets: range(21, 25), recovered: true })
	assert.deepEqual(await ask(`&epoch=${epoch}&offset=28`), { epoch, more: false, offsets: [29, 30], recovered: true })
	assert.deepEqual(await ask(`&epoch=${epoch}&offset=30`), { epoch, more: false, offsets: [], recovered: true })
	for (const lost of [`&epoch=${epoch}&offset=9`, '&epoch=other&offset=28', `&epoch=${epoch}&offset=31`])
		assert.equal((await ask(lost)).recovered, false, lost)
	// What was said in a room is there as its members got it.
	const { epoch: roomEpoch, offset } = await user.ask({ type: 'chat', message: 'hello "you"', ref: 1 }, 'ack')
	const said = await user.next('chat')
	const { publications: [{ data, time }] } = await get(herold, '/api/history?channel=room:tea')

	assert.deepEqual({ ...data, epoch: roomEpoch, offset, time }, said)
})

story('presence: who is there, in pages', { options: { leave_grace_seconds: 0 } }, async (herold) => {
	const users = []

	for (let i = 0; i < 12; i++)
		users.push(await ChatClient.login(herold, { userId: `u${i}`, name: `Ü "${i}"` }))
	const seen = []
	let page

	do {
		page = await get(herold, `/api/presence?channel=room:lobby&limit=5${page === undefined ? '' : `&after=${encodeURIComponent(page.next)}`}`)
		assert.equal(page.count, 12)
		seen.push(...page.members)
	} while (page.more)
	assert.deepEqual(seen, Array.from({ length: 12 }, (_, i) => ({ member: `u${i}`, info: { name: `Ü "${i}"` } })))
	page = await get(herold, '/api/presence?channel=room:lobby&limit=4')
	await users[3].close()
	await waitFor(async () => (await get(herold, '/api/presence?channel=room:lobby')).count === 11, 'one has left')
	page = await get(herold, `/api/presence?channel=room:lobby&after=${encodeURIComponent(page.next)}`)
	assert.deepEqual([page.members[0].member, page.members.length, page.more, page.next], ['u4', 8, false, undefined])
	assert.deepEqual(await get(herold, '/api/presence?channel=room:nowhere'), { count: 0, more: false, members: [] })
})

story('health and status', { options: { workers: 2 } }, async (herold) => {
	const clients = await usersOnEachWorker(herold)

	assert.equal((await herold.admin('/healthz')).text, '{"status":"ok"}\n')
	assert.deepEqual(await get(herold, '/readyz'), { status: 'ready' })
	const raw = await RawSocket.open(herold.adminAddress)

	raw.write('HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
	await raw.finished()
	assert.equal(raw.bytes.toString().match(/HTTP\/1\.1 200 OK\r\n/g).length, 2)
	assert.equal(raw.bytes.toString().match(/"ok"/g).length, 1)
	await clients[0].ask({ type: 'chat', message: 'x', ref: 1 }, 'ack')
	await Promise.all(clients.map((client) => client.next('chat')))
	// The broker writes its gauges down when it has answered.
	const status = await waitFor(async () => {
		const now = await get(herold, '/status')

		return now.broker.history_messages === 1 && now
	}, 'one message in history')

	assert.match(status.version, /^\d+\.\d+\.\d+$/)
	assert.deepEqual([status.ready, status.draining, status.engine], [true, false, 'memory'])
	assert.deepEqual(status.workers.map((w) => [w.slot, w.ready, w.draining]), [[0, true, false], [1, true, false]])
	assert.equal(status.workers.reduce((n, w) => n + w.connections, 0), clients.length)
	assert.equal(status.workers.reduce((n, w) => n + w.websockets, 0), clients.length)
	assert.deepEqual(status.restarts, { broker: 0, worker: 0, admin: 0 })
	assert.deepEqual(status.rooms, [{ room: 'lobby', members: clients.length, offset: 1 }])
	assert.deepEqual([status.broker.users, status.broker.members], [clients.length, clients.length])
	const { counters } = status

	assert.equal(counters.upgrades, clients.length)
	assert.equal(counters.publications, 1)
	assert.equal(counters.deliveries, 2, 'one for each worker')
	assert.ok(counters.bytes_sent > 0 && counters.bytes_received > 0)
})

story('a caller who does not wait for the answer', { options: { workers: 1 } }, async (herold) => {
	const { broker } = await herold.pids()

	process.kill(broker, 'SIGSTOP')
	for (const path of ['publish', 'broadcast']) {
		const raw = await RawSocket.open(herold.adminAddress)
		const body = JSON.stringify({ channel: 'a', channels: ['a', 'b', 'c'], data: 1 })

		raw.write(`POST /api/${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
		raw.write('GET /api/channels HTTP/1.1\r\nHost: localhost\r\n\r\n')
		raw.destroy()
	}
	// Still there for others.
	assert.equal((await herold.admin('/healthz')).status, 200)
	process.kill(broker, 'SIGCONT')
	await herold.api('publish', { channel: 'a', data: 1 })
	assert.equal((await herold.status()).restarts.admin, 0)
})
