// Finding connections, ending them, telling them something, over the admin listener of two workers.
import assert from 'node:assert/strict'

import { ChatClient, usersOnEachWorker } from './support/client.mjs'
import { ctl } from './support/ctl.mjs'
import { logFields, story, waitFor } from './support/herold.mjs'

const find = async (herold, query) => {
	const { status, json, text } = await herold.admin(`/api/connections?${query}`)

	assert.equal(status, 200, text)
	assert.deepEqual([json.workers, json.workers_answered], [2, 2])
	return json
}

story('found by user, by address, and by the id of the log', { options: { log_level: 'debug' } }, async (herold) => {
	const clients = await usersOnEachWorker(herold, 2)

	for (const [i] of clients.entries()) {
		const { matched, connections: [one] } = await find(herold, `user=u${i}`)

		assert.equal(matched, 1)
		assert.match(one.id, /^[\w-]{19}$/)
		assert.deepEqual([one.user, one.protocol, one.queued_bytes, one.stuck_ms, one.rooms], [`u${i}`, 'chat', 0, 0, 1])
		assert.ok(Math.abs(one.since - Date.now()) < 60000)
		assert.match(one.address, /^127\.0\.0\.1:\d+$/)
		for (const query of [`id=${one.id}`, `address=${one.address}`])
			assert.deepEqual((await find(herold, query)).connections.map((each) => each.id), [one.id], query)
	}
	const all = await find(herold, 'address=127.0.0.0/8')
	const ids = all.connections.map((each) => each.id)

	assert.equal(all.matched, clients.length)
	assert.deepEqual(new Set(all.connections.map((each) => each.worker)), new Set([0, 1]))
	assert.equal(new Set(ids).size, clients.length)
	assert.deepEqual((await find(herold, 'address=127.0.0.1')).matched, clients.length)
	assert.deepEqual(all.connections.map((each) => each.since), all.connections.map((each) => each.since).sort((a, b) => a - b))
	const some = await find(herold, 'address=127.0.0.1&limit=1')

	assert.deepEqual([some.matched, some.connections.length], [clients.length, 1])
	for (const query of ['user=nobody', 'id=AAAAAAAAAAAAAAAAAAA', 'id=x', 'address=127.0.0.2', 'address=::/0', 'address=unix'])
		assert.deepEqual(await find(herold, query), { matched: 0, workers: 2, workers_answered: 2, connections: [] }, query)
	// The log has the same id.
	clients[0].terminate()
	const { conn } = logFields(await herold.waitLog(/reason=client_(reset|eof)/))

	assert.ok(ids.includes(conn))
	assert.deepEqual((await find(herold, `id=${conn}`)).matched, 0)
})

const ask = async (herold, path, body) => {
	const { status, json } = await herold.admin(`/api/${path}`, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) })

	return [status, json]
}
const closedByOperator = async (herold) => (await herold.status()).counters.closed.disconnected

story('ended: one, all of a user, all of an address; with code and reason', {}, async (herold) => {
	const clients = await usersOnEachWorker(herold, 2)
	const echo = await ChatClient.open(herold, { path: '/echo' })
	const { connections: [first] } = await find(herold, 'user=u0')

	assert.deepEqual(await ask(herold, 'disconnect', { id: first.id }), [200, { matched: 1, done: 1, workers: 2, workers_answered: 2 }])
	assert.deepEqual(await clients[0].closed, { code: 4410, reason: 'ended by the operator' })
	const second = await ChatClient.login(herold, { userId: 'many' })
	const third = await ChatClient.login(herold, { userId: 'many', resume: second.loginOk.resume })

	assert.deepEqual(await ask(herold, 'disconnect', { user: 'many', code: 3999, reason: 'go and come back' }),
		[200, { matched: 2, done: 2, workers: 2, workers_answered: 2 }])
	for (const client of [second, third])
		assert.deepEqual(await client.closed, { code: 3999, reason: 'ended by the operator: go and come back' })
	assert.equal(await closedByOperator(herold), 3)
	// Nobody of that kind is left, and it says so.
	for (const body of [{ id: first.id }, { user: 'many' }, { address: '10.0.0.0/8' }])
		assert.deepEqual(await ask(herold, 'disconnect', body), [404, { status: 404, error: 'there is no such connection on this host' }])
	const [status, { done }] = await ask(herold, 'disconnect', { address: '127.0.0.1', code: 1001 })

	assert.deepEqual([status, done], [200, clients.length])
	assert.deepEqual(await echo.closed, { code: 1001, reason: 'ended by the operator' })
	for (const client of clients)
		await client.closed
	assert.equal(await closedByOperator(herold), 3 + clients.length)
	const line = logFields(herold.lines.find((each) => /the operator ends connections/.test(each) && /many/.test(each)))

	assert.deepEqual([line.user, line.code, line.reason], ['many', '3999', 'go and come back'])
	assert.equal(herold.lines.filter((each) => /reason=disconnected/.test(each)).length, 3 + clients.length)
})

story('told something: each front end in its own way, and nobody else', {}, async (herold) => {
	const clients = await usersOnEachWorker(herold)
	const raw = await Promise.all(['/echo', '/broadcast'].map((path) => ChatClient.open(herold, { path })))

	assert.deepEqual(await ask(herold, 'message', '{"user":"u0", "data" : {"text": "x", "n":1.50}}'),
		[200, { matched: 1, done: 1, workers: 2, workers_answered: 2 }])
	const { time, ...m } = await clients[0].next((each) => each.channel === '$direct')

	assert.ok(Math.abs(time - Date.now()) < 60000)
	assert.deepEqual(m, { type: 'publication', channel: '$direct', data: { text: 'x', n: 1.5 } })
	assert.equal((await ask(herold, 'message', { address: '127.0.0.1', data: { to: 'all' } }))[1].done, clients.length + 2)
	for (const client of raw)
		assert.deepEqual(await client.next((each) => each.to === 'all'), { to: 'all' })
	for (const client of clients)
		await client.next((each) => each.channel === '$direct' && each.data.to === 'all')
	assert.equal(clients[1].received.filter((each) => each.channel === '$direct').length, 1)
	assert.deepEqual(await ask(herold, 'message', { user: 'nobody', data: 1 }), [404, { status: 404, error: 'there is no such connection on this host' }])
	const line = logFields(herold.lines.find((each) => /the operator tells connections something/.test(each)))

	assert.deepEqual([line.user, line.bytes], ['u0', '23'])
})

story('the largest rooms', {}, async (herold) => {
	const members = { few: 1, some: 2, many: 4 }

	for (const [room, count] of Object.entries(members)) {
		for (let i = 0; i < count; i++)
			await ChatClient.login(herold, { userId: `${room}${i}`, room })
	}
	const top = async (query) => (await herold.admin(`/api/rooms${query}`)).json.rooms.map(({ room, members: n }) => [room, n])

	assert.deepEqual(await top(''), [['many', 4], ['some', 2], ['few', 1]])
	assert.deepEqual(await top('?top=2'), [['many', 4], ['some', 2]])
	assert.deepEqual(await top('?top=0'), [])
})

story('what cannot be asked is refused with a sentence', {}, async (herold) => {
	const refusals = [
		['connections', 'one of id, user and address is wanted'],
		['connections?user=a&id=b', 'one of id, user and address is wanted'],
		['connections?user=', 'user is not 1 to 255 bytes'],
		[`connections?user=${'x'.repeat(256)}`, 'user is longer than 255 bytes, or has a wrong escape'],
		['connections?user=%zz', 'user is longer than 255 bytes, or has a wrong escape'],
		['connections?id=', 'id is not 1 to 255 bytes'],
		['connections?address=here', /^address is not IPV4, /],
		['connections?address=127.0.0.1/33', /^address is not IPV4, /],
		['connections?user=a&limit=1001', 'limit is not a number from 0 to 1000'],
		['connections?slowest=101', 'slowest is not a number from 0 to 100'],
		['rooms?top=101', 'top is not a number from 0 to 100'],
		['rooms?top=x', 'top is not a number from 0 to 100'],
		['disconnect', {}, 'one of id, user and address is wanted'],
		['disconnect', { user: 'a', id: 'b' }, 'one of id, user and address is wanted'],
		['disconnect', { user: 7 }, 'user is not 1 to 255 bytes'],
		['disconnect', { address: '127.0.0.1\0' }, /^the body is not valid JSON/],
		...[999, 1005, 1006, 1015, 2999, 5000, 4000.5, '4000', null].map((code) =>
			['disconnect', { user: 'a', code }, 'code is not 1000, 1001, 1008, 1011, 1012, 1013, or 3000 to 4999']),
		...[7, 'x'.repeat(97), 'line\nline'].map((reason) =>
			['disconnect', { user: 'a', reason }, 'reason is not at most 96 bytes of visible text']),
		['disconnect', '[]', 'the body is not a JSON object'],
		['message', { user: 'a' }, 'data is missing'],
		['message', { data: 1 }, 'one of id, user and address is wanted'],
		['message', { user: 'a', data: 'x'.repeat(65535) }, 'data is larger than 64 KiB', 413],
	]

	for (const [path, ...rest] of refusals) {
		const [body, sentence, wanted = 400] = rest.length > 1 ? rest : [undefined, ...rest]
		const { status, json } = await herold.admin(`/api/${path}`, body === undefined ? {} : { method: 'POST',
			body: typeof body === 'string' ? body : JSON.stringify(body) })

		assert.equal(status, wanted, `${path} ${JSON.stringify(body)}`)
		assert.match(json.error, typeof sentence === 'string' ? new RegExp(`^${sentence}$`) : sentence)
	}
	assert.equal((await herold.admin('/api/disconnect')).status, 405)
	assert.equal((await herold.admin('/api/connections?user=a', { method: 'POST' })).status, 405)
})

story('the slowest readers, the slowest first', { options: { messages_per_minute: 0 } }, async (herold) => {
	const slow = await Promise.all([1, 2, 3].map(() => ChatClient.open(herold, { path: '/echo' })))

	await ChatClient.open(herold, { path: '/echo' })
	// Further behind each: the kernel takes what it likes, and the rest waits in Herold.
	for (const [i, client] of slow.entries()) {
		client.socket.pause()
		for (let n = 0; n < 8 + 2 * i; n++)
			client.send(Buffer.alloc(1 << 20))
	}
	const { matched, connections } = await waitFor(async () => {
		const found = await find(herold, 'slowest=10')

		return found.matched === 3 && found.connections.every((each) => each.stuck_ms > 0) && found
	}, 'three slow readers')
	const queued = connections.map((each) => each.queued_bytes)

	assert.deepEqual([matched, queued.length], [3, 3])
	assert.deepEqual(queued, [...queued].sort((a, b) => b - a))
	assert.deepEqual((await find(herold, 'slowest=1')).connections.length, 1)
	slow.forEach((client) => client.terminate())
	await waitFor(async () => (await find(herold, 'slowest=10')).matched === 0, 'nobody is slow')
})

story('a worker that does not answer is not waited for', {}, async (herold) => {
	await usersOnEachWorker(herold)
	const { workers: [pid] } = await herold.pids()

	process.kill(pid, 'SIGSTOP')
	try {
		const start = Date.now()
		const { status, json } = await herold.admin('/api/connections?address=127.0.0.1')

		assert.deepEqual([status, json.workers, json.workers_answered], [200, 2, 1])
		assert.ok(json.matched > 0 && Date.now() - start >= 990, 'after a second')
		assert.deepEqual((await herold.admin('/api/disconnect', { method: 'POST', body: '{"user":"nobody"}' })).json,
			{ matched: 0, workers: 2, workers_answered: 1, done: 0 })
	} finally {
		process.kill(pid, 'SIGCONT')
	}
	assert.equal((await find(herold, 'user=nobody')).matched, 0)
})

story('without the broker: perhaps done, or surely not', { options: { broker_timeout_ms: 500 } }, async (herold) => {
	const { broker, master } = await herold.pids()
	const disconnect = () => ask(herold, 'disconnect', { user: 'u' })

	process.kill(broker, 'SIGSTOP')
	assert.deepEqual(await disconnect(), [504, { status: 504, error: 'the broker did not answer: what was asked for is perhaps done' }])
	const found = await herold.admin('/api/connections?slowest=1')

	assert.deepEqual([found.status, found.json.error], [504, 'the broker did not answer'], 'who only looks has done nothing')
	// Nobody starts another one.
	process.kill(master, 'SIGSTOP')
	try {
		process.kill(broker, 'SIGKILL')
		await waitFor(async () => (await herold.admin('/readyz')).status === 503, 'the link is lost')
		assert.deepEqual(await disconnect(), [503, { status: 503, error: 'the workers cannot be asked just now: nothing was done' }])
		assert.deepEqual([(await herold.admin('/api/connections?user=u')).status, (await herold.admin('/api/rooms')).status], [503, 503])
		assert.equal((await ctl(herold, ['rooms'])).code, 4)
	} finally {
		process.kill(master, 'SIGCONT')
	}
	await waitFor(async () => (await disconnect())[0] === 404, 'the next broker')
})
