// How many may be in a room, on all workers and hosts together: who gets in, who does not, and who is never sent away. And in how many
// rooms and channels one client may be.
import assert from 'node:assert/strict'
import { describe } from 'node:test'

import { ChatClient, usersOnEachWorker } from './support/client.mjs'
import { LEASE_SECONDS, clusterStory } from './support/cluster.mjs'
import { story, waitFor } from './support/herold.mjs'
import { file } from './support/tokens.mjs'

const FULL = { type: 'error', code: 'room_full', message: 'the room is full' }
const PLACES = 100, ASKING = 200
const of = (type, more = {}) => (m) => m.type === type && Object.entries(more).every(([name, value]) => m[name] === value)
/** For each a room of his own. */
const hall = (i) => `hall-${i}`
const ids = (users) => users.map((user) => user.userId)

/** The answer to a login, whatever it is. */
const login = (client, userId, more = {}) => client.ask({ type: 'login', userId, name: userId, ...more }, (m) => m.type === 'login_ok' || m.type === 'error')
const join = (client, room) => client.ask({ type: 'join', room }, (m) => m.type === 'join_ok' || m.type === 'error')
const count = async (client, room) => (await client.ask({ type: 'users', room }, 'users')).count

/** The room has no place for this client, who stays where he was, and nobody hears of it. */
async function isRefused(client, room, witness) {
	const said = witness.received.length

	assert.deepEqual(await join(client, room), FULL)
	assert.equal((await client.ask({ type: 'chat', message: 'hello', room, ref: 'x' })).code, 'not_in_room')
	const message = `after ${Math.random()}`

	await witness.ask({ type: 'chat', message, room, ref: message }, 'ack')
	await witness.next(of('chat', { message }))
	assert.deepEqual(witness.received.slice(said).filter((m) => m.type !== 'chat' && m.type !== 'ack'), [])
	assert.ok(!client.received.some(of('chat', { message })), 'he hears nothing either')
}

/** Until it has a place for him. */
const getsIn = (client, room, timeoutMs) => waitFor(async () => (await join(client, room)).type === 'join_ok', `a place in ${room}`, timeoutMs)

/** So many ask at once, on all hosts in turn: how many are in, and what all of them agree on. */
async function rush(hosts) {
	const clients = await Promise.all(Array.from({ length: ASKING }, (_, i) => ChatClient.login(hosts[i % hosts.length], { userId: `u${i}`, room: hall(i) })))
	const answers = await Promise.all(clients.map((client) => join(client, 'rush')))
	const inside = clients.filter((_, i) => answers[i].type === 'join_ok')

	assert.equal(inside.length, PLACES)
	answers.filter((answer) => answer.type !== 'join_ok').forEach((answer) => assert.deepEqual(answer, FULL))
	assert.equal(await count(inside[0], 'rush'), PLACES)
	// Each arrival was told to whom it concerns, and once, the own one too.
	await waitFor(() => inside.every((client) => client.received.some(of('user_joined', { userId: client.loginOk.userId, room: 'rush' }))), 'all have arrived')
	for (const client of inside) {
		const told = client.received.filter(of('user_joined', { room: 'rush' })).map((m) => m.userId)

		assert.equal(new Set(told).size, told.length, 'nobody arrives twice')
		assert.ok(told.every((userId) => inside.some((one) => one.loginOk.userId === userId)), 'nobody who was refused')
	}
	// As many leave as get in then.
	await Promise.all(inside.slice(0, 7).map((client) => client.ask({ type: 'leave', room: 'rush' }, 'leave_ok')))
	const again = await Promise.all(clients.filter((client) => !inside.includes(client)).map((client) => join(client, 'rush')))

	assert.equal(again.filter((answer) => answer.type === 'join_ok').length, 7)
	assert.equal(await count(inside[10], 'rush'), PLACES)
}

const OPTIONS = { room_members: 2, leave_grace_seconds: 30, client_errors: 3 }

describe('on one host', { concurrency: 3 }, () => {
	story('a full room', { options: OPTIONS }, async (herold) => {
		const users = await Promise.all(['anna', 'ben', 'cora'].map((userId) => ChatClient.login(herold, { userId, room: `${userId}s` })))
		const [anna, ben, cora] = users

		assert.equal((await join(anna, 'tea')).type, 'join_ok')
		assert.equal((await join(ben, 'tea')).count, 2)
		await anna.next(of('user_joined', { userId: 'ben', room: 'tea' }))
		await anna.next(of('system', { room: 'tea', message: 'ben joined the chat' }))
		await isRefused(cora, 'tea', anna)
		// Not her fault: as often as she likes.
		for (let i = 0; i < 5; i++)
			assert.deepEqual(await join(cora, 'tea'), FULL)
		// Whoever is in comes with as many connections as he likes.
		const second = await ChatClient.login(herold, { userId: 'ben', resume: ben.loginOk.resume, room: 'tea' })

		assert.deepEqual([second.loginOk.count, ids(second.loginOk.users)], [2, ['anna', 'ben']])
		assert.ok(!second.received.some(of('user_joined')), 'he has not arrived')
		await ben.ask({ type: 'leave', room: 'tea' }, 'leave_ok')
		assert.deepEqual(await join(cora, 'tea'), FULL)
		await second.ask({ type: 'leave', room: 'tea' }, 'leave_ok')
		assert.deepEqual(ids((await join(cora, 'tea')).users), ['anna', 'cora'])
		assert.deepEqual(await join(ben, 'tea'), FULL)
		assert.equal((await herold.status()).counters.chat_errors.room_full, 8)
		// Channels have no members, and no limit for them.
		for (const client of [...users, second])
			await client.ask({ type: 'subscribe', channel: 'scores' }, 'subscribe_ok')
	})

	story('the room of the login', { options: OPTIONS }, async (herold) => {
		const anna = await ChatClient.login(herold, { userId: 'anna' })

		assert.deepEqual(anna.received.map((m) => m.type).slice(0, 2), ['connection', 'login_ok'])
		await anna.next(of('user_joined', { userId: 'anna', count: 1 }))
		await ChatClient.login(herold, { userId: 'ben' })
		const cora = await ChatClient.open(herold)

		assert.deepEqual(await login(cora, 'cora', { ref: 7 }), { ...FULL, ref: 7 })
		// The connection is as it was before: she has no name, and may choose another room with any.
		assert.equal((await cora.ask({ type: 'chat', message: 'hello', ref: 1 })).code, 'not_logged_in')
		const dora = await ChatClient.login(herold, { userId: 'cora', room: 'tea' })

		await dora.close()
		assert.equal((await login(cora, 'cora2', { room: 'tea' })).type, 'login_ok')
		assert.equal(await count(anna), 2)
	})

	story('who is back within the grace time has kept his place', { options: { ...OPTIONS } }, async (herold) => {
		const users = await usersOnEachWorker(herold, 1, hall)
		const anna = await ChatClient.login(herold, { userId: 'anna', room: 'tea' })
		let ben = await ChatClient.login(herold, { userId: 'ben', room: 'tea' })

		for (let i = 0; i < 5; i++) {
			await (i % 2 === 0 ? ben.close() : ben.terminate())
			// On whichever worker.
			for (const user of users)
				assert.deepEqual(await join(user, 'tea'), FULL)
			ben = await ChatClient.login(herold, { userId: 'ben', resume: ben.loginOk.resume, room: 'tea' })
		}
		assert.equal(await count(anna, 'tea'), 2)
		assert.ok(!anna.received.some(of('user_left')))
	})

	story('whose grace time is over has lost it', { options: { ...OPTIONS, leave_grace_seconds: 1 } }, async (herold) => {
		const [anna, ben] = await Promise.all(['anna', 'ben'].map((userId) => ChatClient.login(herold, { userId, room: 'tea' })))
		const cora = await ChatClient.login(herold, { userId: 'cora' })

		assert.deepEqual(await join(cora, 'tea'), FULL)
		await ben.close()
		await getsIn(cora, 'tea')
		await anna.next(of('user_left', { userId: 'ben' }))
		assert.deepEqual(await login(await ChatClient.open(herold), 'ben', { room: 'tea', resume: ben.loginOk.resume }), FULL)
	})

	story('a worker dies', { options: { ...OPTIONS, crash_grace_seconds: 30 } }, async (herold) => {
		const keepers = await usersOnEachWorker(herold, 1, hall)
		const ben = await ChatClient.login(herold, { userId: 'ben', room: 'tea' })
		const cora = await ChatClient.login(herold, { userId: 'cora', room: 'tea' })

		for (const pid of (await herold.pids()).workers)
			process.kill(pid, 'SIGKILL')
		await Promise.all([...keepers, ben, cora].map((client) => client.closed))
		const other = await ChatClient.login(herold, { userId: 'other', room: hall(0) })

		assert.deepEqual(await join(other, 'tea'), FULL)
		for (const { userId, resume } of [ben.loginOk, cora.loginOk])
			assert.equal((await ChatClient.login(herold, { userId, resume, room: 'tea' })).loginOk.count, 2)
		assert.deepEqual(await join(other, 'tea'), FULL)
	})

	story('the broker dies', { options: { ...OPTIONS } }, async (herold) => {
		const others = await usersOnEachWorker(herold, 1, hall)
		const [ben, cora] = await Promise.all(['ben', 'cora'].map((userId) => ChatClient.login(herold, { userId, room: 'tea' })))
		const { broker } = await herold.pids()

		process.kill(broker, 'SIGKILL')
		await herold.waitLog(/settled/)
		await waitFor(async () => (await herold.pids()).broker !== broker, 'another broker')
		await Promise.all([ben, cora].map((client) => client.next(of('reset', { room: 'tea' }))))
		for (const other of others)
			assert.deepEqual(await waitFor(async () => {
				const answer = await join(other, 'tea')

				return answer.code !== 'unavailable' && answer
			}, 'an answer'), FULL)
		assert.equal(await count(ben, 'tea'), 2)
		assert.ok(ben.received.concat(cora.received).every((m) => m.type !== 'user_left'), 'nobody was sent away')
		await ben.ask({ type: 'leave', room: 'tea' }, 'leave_ok')
		assert.equal((await join(others[0], 'tea')).type, 'join_ok')
	})

	story(`${ASKING} at once for ${PLACES} places`, { options: { room_members: PLACES } }, (herold) => rush([herold]))

	story('no limit', { options: { room_members: 0 } }, async (herold) => {
		const clients = await Promise.all(Array.from({ length: 20 }, (_, i) => ChatClient.login(herold, { userId: `u${i}` })))

		assert.equal(await count(clients[0]), 20)
	})
})

describe('on several hosts', { concurrency: 2 }, () => {
	clusterStory('a full room, a host that dies, a Redis that forgets', {
		options: { ...OPTIONS, leave_grace_seconds: 1 }, redises: [{ options: { appendonly: 'no', save: '' } }],
	}, async (cluster) => {
		const [first, second] = cluster.hosts
		const [anna, cora] = [await ChatClient.login(first, { userId: 'anna', room: 'tea' }), await ChatClient.login(first, { userId: 'cora' })]
		const [ben, dora] = [await ChatClient.login(second, { userId: 'ben', room: 'tea' }), await ChatClient.login(second, { userId: 'dora' })]

		await anna.next(of('user_joined', { userId: 'ben', room: 'tea' }))
		await anna.next(of('system', { room: 'tea', message: 'ben joined the chat' }))
		await isRefused(cora, 'tea', anna)
		await isRefused(dora, 'tea', ben)
		// One is there, by his other connection, on both hosts.
		const far = await ChatClient.login(first, { userId: 'ben', resume: ben.loginOk.resume, room: 'tea' })

		await ben.ask({ type: 'leave', room: 'tea' }, 'leave_ok')
		assert.deepEqual(await join(cora, 'tea'), FULL)
		// Back from one host to the other within the grace time.
		await far.close()
		assert.equal((await join(ben, 'tea')).type, 'join_ok')
		assert.deepEqual(await join(dora, 'tea'), FULL)
		// Redis loses everything: who is in stays, and nobody else gets in once that is known again.
		await cluster.redis.command('FLUSHALL')
		await waitFor(async () => await count(anna, 'tea') === 2, 'all have been said again')
		assert.deepEqual(await join(cora, 'tea'), FULL)
		assert.deepEqual(await join(dora, 'tea'), FULL)
		// Its places are free when its lease is over, no sooner.
		const killed = Date.now()

		cluster.killLast()
		await getsIn(cora, 'tea', 3 * LEASE_SECONDS * 1000 + 10000)
		assert.ok(Date.now() - killed > LEASE_SECONDS * 1000 / 2, 'not at once')
		await anna.next(of('user_left', { userId: 'ben', room: 'tea' }))
		assert.deepEqual(ids((await anna.ask({ type: 'users', room: 'tea' }, 'users')).users), ['anna', 'cora'])
	})

	clusterStory('Redis is away, and comes back with everything', {
		options: { ...OPTIONS, redis_wait_ms: 500 }, redises: [{ options: { appendonly: 'yes', appendfsync: 'always' } }],
	}, async (cluster) => {
		const [first, second] = cluster.hosts
		const [anna, cora] = [await ChatClient.login(first, { userId: 'anna', room: 'tea' }), await ChatClient.login(first, { userId: 'cora' })]
		const ben = await ChatClient.login(second, { userId: 'ben', room: 'tea' })

		await cluster.redis.kill()
		assert.equal((await join(cora, 'tea')).code, 'unavailable')
		await cluster.redis.restart()
		await cluster.ready()
		assert.deepEqual(await waitFor(async () => {
			const answer = await join(cora, 'tea')

			return answer.code !== 'unavailable' && answer
		}, 'an answer'), FULL)
		await ben.ask({ type: 'chat', message: 'still in', room: 'tea', ref: 1 }, 'ack')
		await anna.next(of('chat', { message: 'still in' }))
		assert.equal(await count(anna, 'tea'), 2)
		await ben.ask({ type: 'leave', room: 'tea' }, 'leave_ok')
		await getsIn(cora, 'tea')
	})

	clusterStory(`${ASKING} at once for ${PLACES} places`, { options: { room_members: PLACES } }, (cluster) => rush(cluster.hosts))
})

describe('the rooms of one client', { concurrency: 3 }, () => {
	const LIMITED = { limit_exempt: '', messages_per_minute: 0, joins_per_minute: 0, address_connects_per_second: 0, client_errors: 1000 }
	const MANY = { type: 'error', code: 'too_many_rooms', message: 'too many rooms and channels' }
	const subscribe = (client, channel) => client.ask({ type: 'subscribe', channel }, (m) => m.type === 'subscribe_ok' || m.type === 'error')
	/** As many as it gets. */
	const fill = async (client, prefix) => {
		for (let i = 0; i < 100; i++) {
			const answer = await (i % 2 === 0 ? join(client, `${prefix}-${i}`) : subscribe(client, `${prefix}-${i}`))

			if (answer.type === 'error') {
				assert.deepEqual(answer, MANY)
				return i
			}
		}
		assert.fail('no limit')
	}
	/** Waits until the connections' address has so many free places, and no more. */
	const hasFree = async (client, free, what) => {
		for (let i = 0; i < free; i++)
			await waitFor(async () => (await join(client, `free-${i}`)).type === 'join_ok', what)
		assert.deepEqual(await join(client, 'one-too-many'), MANY)
		for (let i = 0; i < free; i++)
			await client.ask({ type: 'leave', room: `free-${i}` }, 'leave_ok')
	}

	story('of an address, over all workers', { options: { ...LIMITED, user_rooms: 40, room_members: 5 } }, async (herold) => {
		const clients = await usersOnEachWorker(herold, 1, hall)
		const [anna, ...others] = clients

		// Its login's room counts, too.
		assert.equal(await fill(anna, 'a'), 40 - clients.length)
		for (const client of clients) {
			assert.deepEqual(await join(client, 'tea'), MANY)
			assert.deepEqual(await subscribe(client, 'tea'), MANY)
		}
		// A login that fails for it leaves the connection as it was, and without the userId.
		const late = await ChatClient.open(herold)

		assert.deepEqual(await login(late, 'late', { ref: 1 }), { ...MANY, ref: 1 })
		// What one leaves another may have, wherever.
		await anna.ask({ type: 'leave', room: 'a-0' }, 'leave_ok')
		await anna.ask({ type: 'unsubscribe', channel: 'a-1' }, 'unsubscribe_ok')
		assert.equal((await login(late, 'late')).type, 'login_ok')
		assert.equal((await subscribe(others[0], 'tea')).type, 'subscribe_ok')
		assert.deepEqual(await join(anna, 'a-0'), MANY)
		await others[0].ask({ type: 'unsubscribe', channel: 'tea' }, 'unsubscribe_ok')
		// Who leaves while he is on his way gives it back once.
		for (let i = 0; i < 20; i++) {
			anna.send({ type: 'join', room: 'quick' })
			anna.send({ type: 'leave', room: 'quick' })
			anna.send({ type: 'subscribe', channel: 'quick' })
			anna.send({ type: 'unsubscribe', channel: 'quick' })
			await anna.next('leave_ok')
			await anna.next('unsubscribe_ok')
		}
		await hasFree(late, 1, 'after the quick ones')
		assert.equal((await herold.status()).counters.chat_errors.too_many_rooms, anna.received.concat(late.received, ...others.map((each) => each.received))
			.filter(of('error', { code: 'too_many_rooms' })).length)
		// A connection that ends gives back all that it has.
		await anna.terminate()
		await hasFree(late, 40 - clients.length, 'after the end of a connection')
	})

	story('who does not get in has taken nothing', { options: { ...LIMITED, user_rooms: 4, room_members: 1 } }, async (herold) => {
		const [anna, ben] = await Promise.all(['anna', 'ben'].map((userId) => ChatClient.login(herold, { userId, room: userId })))

		for (let i = 0; i < 10; i++) {
			assert.deepEqual(await join(ben, 'anna'), FULL)
			const other = await ChatClient.open(herold)

			assert.deepEqual(await login(other, 'other', { room: 'anna' }), FULL)
			assert.equal((await other.ask({ type: 'login', userId: 'ben', name: 'Ben', room: 'x' }, 'error')).code, 'user_taken')
			await other.close()
		}
		await hasFree(ben, 2, 'as many as before')
		assert.equal(await count(anna, 'anna'), 1)
	})

	story('of a user, with tokens', {
		options: { ...LIMITED, user_rooms: 3, auth: 'token', token_file: file('rooms.json', ['anna', 'ben'].map((user) => ({ token: `the-token-of-${user}`, user, name: user }))) },
	}, async (herold) => {
		const as = (user) => ({ headers: { Authorization: `Bearer the-token-of-${user}` } })
		const enter = async (user) => {
			const client = await ChatClient.open(herold, as(user))

			assert.equal((await client.ask({ type: 'login' }, 'login_ok')).userId, user)
			return client
		}
		const anna = [await enter('anna'), await enter('anna'), await enter('anna')]

		for (const client of anna)
			assert.deepEqual(await join(client, 'tea'), MANY, 'a room counts once for each connection')
		const ben = await enter('ben')

		assert.equal(await fill(ben, 'b'), 2)
		await anna[0].close()
		await waitFor(async () => (await join(anna[1], 'tea')).type === 'join_ok', 'a free place')
		assert.deepEqual(await join(anna[2], 'tea'), MANY)
	})

	story('what a killed worker held is free', { options: { ...LIMITED, user_rooms: 40, crash_grace_seconds: 0 } }, async (herold) => {
		const clients = await usersOnEachWorker(herold, 1, hall)

		assert.equal(await fill(clients[0], 'a'), 40 - clients.length)
		const { workers } = await herold.pids()

		process.kill(workers[0], 'SIGKILL')
		await waitFor(() => clients.some((client) => client.closeInfo !== undefined), 'connections have ended')
		await waitFor(async () => (await herold.status()).workers.every((worker) => worker.pid !== workers[0]), 'another worker')
		const left = clients.filter((client) => client.closeInfo === undefined)
		const held = left.length + (left.includes(clients[0]) ? 40 - clients.length : 0)
		const next = await ChatClient.login(herold, { userId: 'next', room: 'next' }).catch(() => undefined)

		assert.ok(next !== undefined, 'a place for one more')
		await hasFree(next, 40 - held - 1, 'what was held by the others')
	})
})
