// Kick, ban and mute: who may, whom it meets, on every worker and host, how long, and what outlives whom.
import assert from 'node:assert/strict'
import { WebSocket } from 'ws'

import { ChatClient, usersOnEachWorker } from './support/client.mjs'
import { clusterStory } from './support/cluster.mjs'
import { logFields, story, waitFor } from './support/herold.mjs'
import { clientModule, record } from './support/module.mjs'
import { OP, RawSocket, closePayload, frame, handshake } from './support/raw.mjs'
import { file } from './support/tokens.mjs'

const USERS = ['ada', 'bob', 'eve']
const tokenOf = (user) => `token-of-${user}-0123456789`
const TOKENS = [
	...USERS.map((user) => ({ token: tokenOf(user), user, rights: 'chat publish' })),
	{ token: tokenOf('mod'), user: 'mod', name: 'Moderator', rights: 'chat publish system moderate' },
	{ token: tokenOf('almost'), user: 'almost', rights: 'chat publish system' },
]
const STATIC = { auth: 'token', token_file: file('moderation.json', TOKENS) }
const KICKED = 'kicked by a moderator'
const BANNED = 'banned by a moderator'
const ENOUGH = 12	// connections: so many are on both workers
const DAY = 86400

const asUser = (user, path = '/ws') => ({ path, headers: { Authorization: `Bearer ${tokenOf(user)}` } })
async function login(herold, user) {
	const client = await ChatClient.open(herold, asUser(user))

	await client.ask({ type: 'login' }, 'login_ok')
	return client
}
/** Connections of a user, on each worker one at least. */
async function everywhere(herold, user, open = () => login(herold, user)) {
	const clients = []
	const websockets = async () => (await herold.status()).workers.map((w) => w.websockets)
	const before = await websockets()

	do
		clients.push(await open())
	while ((await websockets()).some((n, i) => n === before[i]))
	return clients
}
let refs = 0
const order = (client, message) => client.ask({ ...message, ref: `r${++refs}` })
async function ordered(client, message) {
	const answer = await order(client, message)

	assert.deepEqual(answer, { type: 'ack', ref: answer.ref })
}
const code = async (client, message) => (await order(client, message)).code
const closings = (clients) => Promise.all(clients.map((client) => client.closed))
async function allClosed(clients, reason) {
	for (const info of await closings(clients))
		assert.deepEqual(info, { code: 4403, reason })
}

/** The answer to an upgrade: { status, headers, body }. */
async function upgrade(herold, request) {
	const raw = await RawSocket.open(herold.address)

	raw.write(handshake(request))
	const answer = await raw.response()

	raw.destroy()
	return answer
}
const statusOf = async (herold, user) => (await upgrade(herold, asUser(user))).status
const isRefused = async (herold, user) => {
	for (let i = 0; i < ENOUGH; i++)
		assert.equal(await statusOf(herold, user), 403, `connection ${i} of ${user}`)
}
const isWelcome = (herold, user) => waitFor(async () => {
	for (let i = 0; i < ENOUGH; i++)
		assert.equal(await statusOf(herold, user), 101)
	return true
}, `${user} is welcome`)

/** The lines of the audit: their fields. */
const audit = (herold) => herold.lines.filter((line) => /\bmoderation\b/.test(line) && /\baction=/.test(line)).map(logFields)

story('a kick ends all connections of a user, on every worker, and he may come back', { options: STATIC }, async (herold) => {
	const mod = await login(herold, 'mod')
	const ada = await everywhere(herold, 'ada')
	const other = [await ChatClient.open(herold, asUser('ada', '/echo')), await ChatClient.open(herold, asUser('ada', '/broadcast'))]
	const bob = await login(herold, 'bob')
	const { closed } = (await herold.status()).counters

	await ordered(mod, { type: 'kick', userId: 'ada', reason: 'too loud' })
	await allClosed([...ada, ...other], `${KICKED}: too loud`)
	assert.equal((await herold.status()).counters.closed.kicked, (closed.kicked ?? 0) + ada.length + other.length)
	await isWelcome(herold, 'ada')
	const again = await login(herold, 'ada')

	await ordered(mod, { type: 'kick', userId: 'ada' })
	await allClosed([again], KICKED)
	await ordered(mod, { type: 'kick', userId: 'nobody' })
	assert.equal((await order(bob, { type: 'chat', message: 'still here' })).type, 'ack')
	assert.equal((await herold.status()).counters.moderation_orders, 3)
	const lines = await waitFor(() => audit(herold).length === 3 && audit(herold), 'the audit')

	assert.deepEqual(lines.map(({ action, user, by, reason, until }) => ({ action, user, by, reason, until })), [
		{ action: 'kick', user: 'ada', by: 'mod', reason: 'too loud', until: undefined },
		{ action: 'kick', user: 'ada', by: 'mod', reason: undefined, until: undefined },
		{ action: 'kick', user: 'nobody', by: 'mod', reason: undefined, until: undefined },
	])
	await mod.close()
	await bob.close()
})

story('a ban refuses a user on every worker until it ends', { options: STATIC }, async (herold) => {
	const mod = await login(herold, 'mod')
	const ada = await everywhere(herold, 'ada')
	const started = Date.now()

	await ordered(mod, { type: 'ban', userId: 'ada', seconds: 4, reason: 'spam \u00fc' })
	await allClosed(ada, `${BANNED}: spam \u00fc`)
	const answer = await upgrade(herold, asUser('ada'))

	assert.equal(answer.status, 403)
	assert.deepEqual(JSON.parse(answer.body), { status: 403, error: 'a moderator has banned you' })
	assert.ok(Number(answer.headers['retry-after']) >= 1 && Number(answer.headers['retry-after']) <= 5, answer.headers['retry-after'])
	assert.equal((await fetch(`${herold.url}/ws?token=${tokenOf('ada')}`)).status, 403, 'a plain GET says it, too')
	const { counters } = await herold.status()

	assert.equal(counters.banned_refused, 2)
	assert.equal(counters.closed.banned, ada.length)
	assert.equal(await statusOf(herold, 'bob'), 101, 'nobody else is refused')
	const until = Number(audit(herold)[0].until)

	assert.ok(Math.abs(until - started / 1000 - 4) < 2, `until ${until}`)
	await isWelcome(herold, 'ada')
	assert.ok(Date.now() - started >= 3900, 'not before')
	await mod.close()
})

story('the end of a ban may be ordered', { options: STATIC }, async (herold) => {
	const mod = await login(herold, 'mod')

	await ordered(mod, { type: 'ban', userId: 'ada', seconds: 30 * DAY })
	await waitFor(async () => await statusOf(herold, 'ada') === 403, 'banned')
	await isRefused(herold, 'ada')
	await ordered(mod, { type: 'ban', userId: 'ada', seconds: 0 })
	await isWelcome(herold, 'ada')
	// One after the other at once, as often as you like: what was said last stands.
	for (let i = 0; i < 20; i++) {
		mod.send({ type: 'ban', userId: 'bob', seconds: DAY })
		mod.send({ type: 'ban', userId: 'bob', seconds: 0 })
		mod.send({ type: 'ban', userId: 'eve', seconds: 0 })
		mod.send({ type: 'ban', userId: 'eve', seconds: DAY })
	}
	await ordered(mod, { type: 'kick', userId: 'nobody' })
	await isWelcome(herold, 'bob')
	await isRefused(herold, 'eve')
	assert.deepEqual(audit(herold).slice(0, 2).map((line) => line.action), ['ban', 'unban'])
	await mod.close()
})

story('who is muted may listen, and nothing else, until it ends', { options: STATIC }, async (herold) => {
	const mod = await login(herold, 'mod')
	const ada = await everywhere(herold, 'ada')
	const muted = (client, message) => order(client, message).then((m) => {
		assert.equal(m.code, 'muted', JSON.stringify(m))
		assert.equal(m.message, 'a moderator has muted you')
		assert.ok(m.retry_after > 0 && m.retry_after <= 4.1, `retry_after ${m.retry_after}`)
	})

	await ordered(mod, { type: 'mute', userId: 'ada', seconds: 3 })
	for (const client of ada) {
		await waitFor(async () => await code(client, { type: 'chat', message: 'x' }) === 'muted', 'muted')
		await muted(client, { type: 'publish', channel: 'scores', data: 1 })
		// As often as he likes: that is no series of errors.
		for (let i = 0; i < 25; i++)
			await muted(client, { type: 'chat', message: 'may I?' })
		assert.equal(await code(client, { type: 'kick', userId: 'mod' }), 'not_allowed')
	}
	const raw = await ChatClient.open(herold, asUser('ada', '/broadcast'))
	const listener = await ChatClient.open(herold, asUser('bob', '/broadcast'))

	raw.send('"not heard"')
	const told = await raw.next('error')

	assert.deepEqual({ ...told, retry_after: undefined }, { type: 'error', code: 'muted', message: 'a moderator has muted you', retry_after: undefined })
	assert.ok(told.retry_after > 0 && told.retry_after <= 4)
	assert.deepEqual(listener.received, [])
	assert.equal(raw.closeInfo, undefined)
	ada.push(raw, listener)
	const chatting = ada.slice(0, -2)

	await order(mod, { type: 'chat', message: 'quiet now' })
	for (const client of chatting)
		await client.next((m) => m.type === 'chat' && m.message === 'quiet now')
	await waitFor(async () => (await order(ada[0], { type: 'chat', message: 'again' })).type === 'ack', 'he may again')
	// Muted moderators are muted, and may still say that they are not.
	await ordered(mod, { type: 'mute', userId: 'mod', seconds: 60 })
	await waitFor(async () => await code(mod, { type: 'system', message: 'x' }) === 'muted', 'no system messages')
	await ordered(mod, { type: 'mute', userId: 'mod', seconds: 0 })
	await waitFor(async () => (await order(mod, { type: 'system', message: 'x' })).type === 'ack', 'again')
	for (const client of [...ada, mod])
		await client.close()
})

story('who may not moderate, and what is no order', { options: { ...STATIC, client_errors: 1000 } }, async (herold) => {
	const mod = await login(herold, 'mod')
	const almost = await login(herold, 'almost')
	const user = (userId) => ({ type: 'kick', userId })
	const ban = (seconds) => ({ type: 'ban', userId: 'ada', seconds })
	const reason = (text) => ({ type: 'kick', userId: 'ada', reason: text })
	const before = (await herold.status()).counters

	for (const message of [user('ada'), ban(1), { type: 'mute', userId: 'ada', seconds: 1 }, user(undefined)])
		assert.equal(await code(almost, message), 'not_allowed')
	for (const bad of [undefined, null, 5, '', ' ', 'u\u0007', 'u'.repeat(129)])
		assert.equal(await code(mod, user(bad)), 'bad_user', JSON.stringify(bad))
	for (const type of ['ban', 'mute']) {
		for (const bad of [undefined, null, '5', -1, 0.5, 30 * DAY + 1, 1e300])
			assert.equal(await code(mod, { ...ban(bad), type }), 'bad_seconds', JSON.stringify(bad))
	}
	for (const bad of [5, 'a\nb', ' ', 'x'.repeat(97), '\u202e'])
		assert.equal(await code(mod, reason(bad)), 'bad_reason', JSON.stringify(bad))
	await ordered(mod, { type: 'kick', userId: 'u'.repeat(128), reason: 'x'.repeat(96) })
	await ordered(mod, { type: 'kick', userId: 'nobody', reason: '' })
	await ordered(mod, { type: 'kick', userId: 'nobody', reason: null })
	const after = (await herold.status()).counters

	assert.equal(after.moderation_orders - (before.moderation_orders ?? 0), 3)
	assert.equal(after.chat_errors.bad_seconds, 14)
	assert.equal(await statusOf(herold, 'ada'), 101)
	// Its channel is nobody's business.
	for (const type of ['subscribe', 'unsubscribe', 'history'])
		assert.equal(await code(mod, { type, channel: '$moderation' }), 'bad_channel')
	assert.equal(await code(mod, { type: 'publish', channel: '$moderation', data: 1 }), 'bad_channel')
	for (const client of [mod, almost])
		await client.close()
})

story('the same ref is the same order only for the same user and as long', { options: STATIC }, async (herold) => {
	const mod = await login(herold, 'mod')
	const ban = (userId, seconds) => mod.ask({ type: 'ban', userId, seconds, ref: 'once' })
	const offset = async () => (await herold.api('kick', { user: 'nobody' })).offset

	assert.deepEqual(await ban('ada', DAY), { type: 'ack', ref: 'once' })
	const before = await offset()

	assert.deepEqual(await ban('ada', DAY), { type: 'ack', ref: 'once' })
	assert.equal(await offset(), before + 1, 'nothing new')
	await ban('bob', DAY)
	await ban('ada', 0)
	await mod.ask({ type: 'mute', userId: 'ada', seconds: DAY, ref: 'once' })
	assert.equal(await offset(), before + 5, 'three others')
	await waitFor(async () => await statusOf(herold, 'bob') === 403, 'banned')
	await isRefused(herold, 'bob')
	await isWelcome(herold, 'ada')
	await mod.close()
})

const REQUEST = (path, body) => `POST /api/${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

story('an order has its line also when its giver is gone before the answer', { options: STATIC }, async (herold) => {
	const leave = {
		close: (raw, bytes) => raw.write(Buffer.concat([bytes, frame(OP.CLOSE, closePayload(1000))])),
		fin: (raw, bytes) => raw.socket.end(bytes),
		reset: (raw, bytes) => raw.socket.write(bytes, () => raw.socket.resetAndDestroy()),
	}
	const hasLine = (user) => waitFor(() => audit(herold).find((line) => line.user === user), `the line of ${user}`)

	for (const [how, go] of Object.entries(leave)) {
		const raw = await RawSocket.upgraded(herold.address, asUser('mod'))
		const api = await RawSocket.open(new URL(herold.adminUrl).host)

		raw.write(frame(OP.TEXT, '{"type":"login","ref":1}'))
		await waitFor(() => raw.bytes.includes('login_ok'), 'login_ok')
		go(raw, frame(OP.TEXT, JSON.stringify({ type: 'ban', userId: `chat-${how}`, seconds: DAY, reason: 'spam' })))
		const { action, by, until, reason } = await hasLine(`chat-${how}`)

		assert.deepEqual({ action, by, reason }, { action: 'ban', by: 'mod', reason: 'spam' })
		assert.ok(Math.abs(Number(until) - Date.now() / 1000 - DAY) < 10, until)
		raw.destroy()
		if (how === 'close') {
			api.destroy()
			continue
		}
		go(api, Buffer.from(REQUEST('mute', JSON.stringify({ user: `api-${how}`, seconds: DAY }))))
		assert.equal((await hasLine(`api-${how}`)).through, 'the server API')
		api.destroy()
	}
	assert.equal((await herold.status()).counters.moderation_orders, 5)
	assert.equal(audit(herold).length, 5)
})

story('an order that was not done has a second line', { options: { ...STATIC, broker_timeout_ms: 1000 } }, async (herold) => {
	const mod = await login(herold, 'mod')
	const { broker } = await herold.pids()

	process.kill(broker, 'SIGSTOP')
	const answer = await order(mod, { type: 'ban', userId: 'ada', seconds: DAY })
	const { status } = await herold.admin('/api/kick', { method: 'POST', body: '{"user":"bob"}' })

	process.kill(broker, 'SIGCONT')
	assert.equal(answer.code, 'uncertain')
	assert.equal(status, 504)
	const lines = await waitFor(() => audit(herold).length === 4 && audit(herold), 'the audit')

	assert.deepEqual(lines.map((line) => [line.action, line.user, line.by ?? line.through, line.outcome]), [['ban', 'ada', 'mod', undefined], ['ban', 'ada', 'mod', 'uncertain'],
		['kick', 'bob', 'the server API', undefined], ['kick', 'bob', 'the server API', 'uncertain']])
	await mod.close()
})

story('without tokens nobody moderates but the server API, and a ban is of what somebody calls himself', {}, async (herold) => {
	const clients = await usersOnEachWorker(herold)
	const [ada] = clients

	assert.equal(await code(ada, { type: 'kick', userId: 'u1' }), 'not_allowed')
	assert.equal(await code(ada, { type: 'ban', userId: 'u1', seconds: 5 }), 'not_allowed')
	const answer = await herold.api('ban', { user: 'u0', seconds: 60, reason: 'bot' })

	assert.equal(answer.repeated, false)
	assert.equal(answer.offset, 1)
	assert.deepEqual(await ada.closed, { code: 4403, reason: `${BANNED}: bot` })
	for (let i = 0; i < ENOUGH; i++) {
		const client = await ChatClient.open(herold)
		const refused = await client.ask({ type: 'login', userId: 'u0', name: 'x', ref: 5 })

		assert.deepEqual(refused, { type: 'error', code: 'banned', message: 'a moderator has banned you', ref: 5 })
		assert.deepEqual(await client.closed, { code: 4403, reason: BANNED })
	}
	await herold.api('ban', { user: 'u0', seconds: 0 })
	await waitFor(async () => {
		const client = await ChatClient.open(herold)
		const { type } = await client.ask({ type: 'login', userId: 'u0', name: 'x', ref: 5 }, (m) => m.ref === 5)

		await client.close()
		return type === 'login_ok'
	}, 'u0 may log in')
	const last = clients.at(-1)

	await herold.api('kick', { user: last.loginOk.userId })
	assert.deepEqual(await last.closed, { code: 4403, reason: KICKED })
	await herold.api('mute', { user: 'u1', seconds: 60 })
	if (clients.length > 2)
		await waitFor(async () => await code(clients[1], { type: 'chat', message: 'x' }) === 'muted', 'muted')
	const lines = await waitFor(() => audit(herold).length === 4 && audit(herold), 'the audit')

	assert.deepEqual(lines.map((line) => [line.action, line.user, line.through, line.by]), [['ban', 'u0'], ['unban', 'u0'], ['kick', last.loginOk.userId],
		['mute', 'u1']].map((line) => [...line, 'the server API', undefined]))
	for (const client of clients)
		await client.close()
})

const BAD_CALLS = [
	['kick', {}, /^user is not/],
	['kick', { user: 5 }, /^user is not/],
	['kick', { user: '' }, /^user is not/],
	['kick', { user: 'u\u0007' }, /^user is not/],
	['kick', { user: 'u'.repeat(129) }, /^user is not/],
	['kick', { user: 'u', reason: 5 }, /^reason is not/],
	['kick', { user: 'u', reason: 'a\u0007' }, /^reason is not/],
	['kick', { user: 'u', reason: 'x'.repeat(97) }, /^reason is not/],
	['kick', { user: 'u', idempotency_key: '' }, /^idempotency_key is not/],
	['ban', { user: 'u' }, /^seconds is not/],
	['ban', { user: 'u', seconds: '5' }, /^seconds is not/],
	['ban', { user: 'u', seconds: -1 }, /^seconds is not/],
	['ban', { user: 'u', seconds: 0.5 }, /^seconds is not/],
	['mute', { user: 'u', seconds: 30 * DAY + 1 }, /^seconds is not/],
	['mute', { user: 'u', seconds: null }, /^seconds is not/],
	['mute', [], /^the body is not a JSON object/],
]

story('the server API refuses what is no order', {}, async (herold) => {
	for (const [path, body, sentence] of BAD_CALLS) {
		const { status, json } = await herold.admin(`/api/${path}`, { method: 'POST', body: JSON.stringify(body) })

		assert.equal(status, 400, JSON.stringify(body))
		assert.match(json.error, sentence)
	}
	assert.equal((await herold.admin('/api/ban')).status, 405)
	const keyed = { user: 'u', seconds: 5, idempotency_key: 'k' }
	const first = await herold.api('ban', keyed)

	assert.deepEqual(await herold.api('ban', keyed), { ...first, repeated: true })
	for (const [path, changed] of [['mute', {}], ['ban', { user: 'v' }], ['ban', { seconds: 6 }]])
		assert.equal((await herold.api(path, { ...keyed, ...changed })).repeated, false, 'another order')
	assert.equal((await herold.api('kick', { user: 'u', reason: null })).repeated, false, 'null is no reason')
	const { status, json } = await herold.admin('/api/publish', { method: 'POST', body: '{"channel":"$moderation","data":1}' })

	assert.equal(status, 400, json.error)
	assert.equal(audit(herold).length, 6)
})

story('a ban outlives workers and the broker', { options: STATIC }, async (herold) => {
	const mod = await login(herold, 'mod')

	await ordered(mod, { type: 'ban', userId: 'ada', seconds: DAY })
	await ordered(mod, { type: 'mute', userId: 'bob', seconds: DAY })
	await waitFor(async () => await statusOf(herold, 'ada') === 403, 'banned')
	const before = await herold.pids()

	for (const pid of before.workers)
		process.kill(pid, 'SIGKILL')
	await waitFor(async () => (await herold.pids()).workers.every((pid) => pid > 0 && !before.workers.includes(pid)), 'other workers')
	await waitFor(async () => (await herold.admin('/readyz')).status === 200, 'ready')
	await isRefused(herold, 'ada')
	// The broker takes the history along; what is in force stands in the table of this host.
	process.kill(before.broker, 'SIGKILL')
	await waitFor(async () => (await herold.pids()).broker !== before.broker, 'another broker')
	await waitFor(async () => (await herold.admin('/readyz')).status === 200, 'ready')
	await isRefused(herold, 'ada')
	const bob = await login(herold, 'bob')

	assert.equal(await code(bob, { type: 'chat', message: 'x' }), 'muted')
	// And another worker after that, with a broker that knows of nothing.
	const now = await herold.pids()

	process.kill(now.workers[0], 'SIGKILL')
	await waitFor(async () => (await herold.pids()).workers.every((pid) => pid > 0 && pid !== now.workers[0]), 'another worker')
	await isRefused(herold, 'ada')
	// News reach everybody again.
	await waitFor(async () => {
		const again = await login(herold, 'mod')

		await ordered(again, { type: 'ban', userId: 'ada', seconds: 0 })
		await again.close()
		return true
	}, 'the end of the ban is ordered')
	await isWelcome(herold, 'ada')
	await bob.terminate()
})

clusterStory('news reach every host, also one that comes later, and one whose workers were killed', { options: STATIC }, async (cluster) => {
	const [first, second] = cluster.hosts
	const mod = await login(first, 'mod')
	const ada = [...await everywhere(first, 'ada'), ...await everywhere(second, 'ada')]
	const bob = await login(second, 'bob')

	await ordered(mod, { type: 'kick', userId: 'bob' })
	await allClosed([bob], KICKED)
	await ordered(mod, { type: 'ban', userId: 'ada', seconds: DAY, reason: 'spam' })
	await allClosed(ada, `${BANNED}: spam`)
	await ordered(mod, { type: 'ban', userId: 'eve', seconds: DAY })
	// More than one answer has room for: whoever comes later has to read on.
	for (let batch = 0; batch < 3; batch++) {
		for (let i = 0; i < 400; i++)
			mod.send({ type: 'mute', userId: `nobody-${batch}-${i}`, seconds: DAY })
		await ordered(mod, { type: 'kick', userId: 'nobody' })
	}
	await ordered(mod, { type: 'mute', userId: 'bob', seconds: DAY })
	await ordered(mod, { type: 'ban', userId: 'eve', seconds: 0 })
	await waitFor(async () => await statusOf(second, 'ada') === 403, 'banned')
	await isRefused(second, 'ada')
	await isWelcome(second, 'eve')
	await cluster.add(1)
	await cluster.ready()
	const third = cluster.hosts[2]

	await waitFor(async () => await statusOf(third, 'ada') === 403, 'the new host knows')
	await isRefused(third, 'ada')
	await isWelcome(third, 'eve')
	// Whom the news found elsewhere has come here, where the kick is old.
	const back = await login(third, 'bob')

	await waitFor(async () => await code(back, { type: 'chat', message: 'x' }) === 'muted', 'muted here, too')
	assert.equal(back.closeInfo, undefined, 'an old kick is for nobody')
	const before = await second.pids()

	for (const pid of [...before.workers, before.broker])
		process.kill(pid, 'SIGKILL')
	await waitFor(async () => (await second.pids()).workers.every((pid) => pid > 0 && !before.workers.includes(pid)), 'other workers')
	await cluster.ready()
	await isRefused(second, 'ada')
	await third.api('ban', { user: 'ada', seconds: 0 })
	await isWelcome(first, 'ada')
	await isWelcome(second, 'ada')
	for (const client of [mod, back])
		await client.close()
})

clusterStory('who was unbanned long ago is not banned by a host that learns of it late', { options: STATIC }, async (cluster) => {
	const [first] = cluster.hosts
	const mod = await login(first, 'mod')

	await ordered(mod, { type: 'ban', userId: 'ada', seconds: DAY })
	for (let batch = 0; batch < 18; batch++) {
		for (let i = 0; i < 499; i++)
			mod.send({ type: 'mute', userId: `nobody-${batch}-${i}`, seconds: DAY })
		await ordered(mod, { type: 'mute', userId: `nobody-${batch}`, seconds: DAY })
	}
	await ordered(mod, { type: 'ban', userId: 'ada', seconds: 0 })
	await ordered(mod, { type: 'ban', userId: 'bob', seconds: DAY })
	await cluster.add(1)
	const late = cluster.hosts.at(-1)
	const comers = []

	// Until it has read all: whoever comes meanwhile stays.
	do
		comers.push(await ChatClient.open(late, asUser('ada', '/echo')))
	while (await statusOf(late, 'bob') !== 403)
	await cluster.ready()
	await isRefused(late, 'bob')
	assert.deepEqual(comers.map((client) => client.closeInfo), comers.map(() => undefined))
	for (const client of [mod, ...comers])
		await client.close()
})

story('herold.js does not come back from a kick or a ban by itself', { options: { ...STATIC, workers: 1 } }, async (herold) => {
	const { connect } = await clientModule()
	const client = connect(`${herold.wsUrl}/ws`, { WebSocket, token: tokenOf('ada'), room: 'lobby', minDelayMs: 10, maxDelayMs: 40 })
	const events = record(client)

	await waitFor(() => client.state === 'online', 'online')
	await herold.api('ban', { user: 'ada', seconds: DAY, reason: 'spam' })
	const removed = await waitFor(() => events.find((e) => e.event === 'removed'), 'removed')

	assert.equal(removed.message, `${BANNED}: spam`)
	assert.equal(client.state, 'closed')
	const { upgrades, banned_refused } = (await herold.status()).counters
	const another = connect(`${herold.wsUrl}/ws`, { WebSocket, token: tokenOf('ada'), room: 'lobby', minDelayMs: 10, maxDelayMs: 40 })
	const others = record(another)
	const refused = await waitFor(() => others.find((e) => e.event === 'removed'), 'removed, too')

	assert.equal(refused.message, 'a moderator has banned you')
	assert.equal(another.state, 'closed')
	const { counters } = await herold.status()

	assert.equal(counters.upgrades, upgrades)
	// Once, once to ask why, and perhaps again before that was answered.
	assert.ok(counters.banned_refused >= banned_refused + 2, `${counters.banned_refused} refused`)
})
