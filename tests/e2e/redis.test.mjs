// Several hosts on one Redis, or on two: they are one chat. And what a host says of a Redis that it cannot use.
import assert from 'node:assert/strict'
import { describe } from 'node:test'

import { ChatClient } from './support/client.mjs'
import { LEASE_SECONDS, clusterAmidChat, clusterStory, notReady } from './support/cluster.mjs'
import { REACHES_FILES, run, sleep, waitFor } from './support/herold.mjs'
import { isSanitized } from './support/load.mjs'
import { Redis, freePort } from './support/redis.mjs'

const of = (type, more = {}) => (m) => m.type === type && Object.entries(more).every(([name, value]) => m[name] === value)
const position = ({ epoch, offset }) => ({ epoch, offset })
const ids = (users) => users.map((user) => user.userId)

/** One client per host: user-0 on the first .. */
const oneOnEach = (cluster, room) => Promise.all(cluster.hosts.map((host, i) => ChatClient.login(host, { userId: `user-${i}`, room })))

/** Says something, and waits until every one of the clients has it: then all that was sent before has come, too. */
async function heardByAll(sender, clients, room = sender.loginOk.room) {
	const message = `heard ${Math.random()}`

	sender.send({ type: 'chat', message, room })
	return Promise.all(clients.map((client) => client.next(of('chat', { message }))))
}

const hasOne = (clients, matches, what) => {
	for (const client of clients)
		assert.equal(client.received.filter(matches).length, 1, `${client.loginOk.userId}: ${what}`)
}

describe('one chat on several hosts', { concurrency: isSanitized ? 2 : 3 }, () => {
	clusterStory('users, rooms, joins and leaves', { hosts: 3, options: { leave_grace_seconds: 0 } }, async (cluster) => {
		const clients = await oneOnEach(cluster)
		const [anna, ben, cora] = clients

		await waitFor(() => clients.every((client) => client.loginOk.users.length +
			client.received.filter((m) => m.type === 'user_joined' && m.userId !== client.loginOk.userId).length === 3), 'all know of all')
		assert.deepEqual((await anna.ask({ type: 'users', ref: 'u' })).count, 3)
		for (const client of clients) {
			assert.deepEqual(ids((await client.ask({ type: 'users' }, 'users')).users).sort(), ['user-0', 'user-1', 'user-2'])
			assert.equal(new Set(ids(client.loginOk.users)).size, client.loginOk.users.length)
		}
		const seen = await heardByAll(ben, clients)

		assert.deepEqual(new Set(seen.map((m) => JSON.stringify(m))).size, 1, 'the same message, id and position')
		// The same user on another host: one more connection, not one more user.
		const second = await ChatClient.login(cluster.hosts[2], { userId: 'user-0', resume: anna.loginOk.resume })

		assert.equal(second.loginOk.count, 3)
		await anna.close()
		await heardByAll(ben, [ben, cora, second])
		assert.ok(!cora.received.some(of('user_left')), 'one of two connections has gone')
		await second.close()
		for (const client of [ben, cora]) {
			assert.equal((await client.next('user_left')).count, 2)
			await client.next(of('system', { message: 'user-0 left the chat' }))
		}
		await heardByAll(ben, [ben, cora])
		hasOne([ben, cora], of('user_left'), 'one departure')
		for (const user of ['user-1', 'user-2']) {
			for (const client of [ben, cora])
				assert.ok(client.received.filter(of('user_joined', { userId: user })).length <= 1)
		}
		// A room of its own, and leaving it by request.
		await ben.ask({ type: 'join', room: 'tea' }, 'join_ok')
		assert.deepEqual(ids((await cora.ask({ type: 'join', room: 'tea' }, 'join_ok')).users), ['user-1', 'user-2'])
		await ben.next(of('user_joined', { userId: 'user-2', room: 'tea', count: 2 }))
		ben.send({ type: 'leave', room: 'tea' })
		await cora.next(of('user_left', { userId: 'user-1', room: 'tea', count: 1 }))
	})

	clusterStory('a userId belongs to one, wherever he is', { options: { leave_grace_seconds: 1, client_errors: 1000 } }, async (cluster) => {
		const anna = await ChatClient.login(cluster.hosts[0], { userId: 'u1' })
		const thief = await ChatClient.open(cluster.hosts[1])

		assert.equal((await thief.ask({ type: 'login', userId: 'u1', name: 'Anna', ref: 1 })).code, 'user_taken')
		await anna.close()
		const again = await ChatClient.login(cluster.hosts[1], { userId: 'u1', resume: anna.loginOk.resume })

		assert.equal(again.loginOk.resume, anna.loginOk.resume)
		await again.close()
		await waitFor(async () => (await thief.ask({ type: 'login', userId: 'u1', name: 'Thief', ref: 2 })).type === 'login_ok', 'it is free in the end')
	})

	clusterStory('history, recovery and refs through another host', { hosts: 3 }, async (cluster) => {
		const [anna, ben, cora] = await oneOnEach(cluster)
		const acks = []

		for (let i = 0; i < 20; i++)
			acks.push(await [anna, ben, cora][i % 3].ask({ type: 'chat', message: `m${i}`, ref: `r${i}` }, 'ack'))
		assert.deepEqual(acks.map((ack) => ack.offset), Array.from({ length: 20 }, (_, i) => i + 1))
		assert.equal(new Set(acks.map((ack) => ack.id)).size, 20, 'ids are unique')
		assert.equal(new Set(acks.map((ack) => ack.epoch)).size, 1)
		const elsewhere = await ChatClient.login(cluster.hosts[1], { userId: 'user-0', resume: anna.loginOk.resume, since: position(acks[4]) })

		assert.equal(elsewhere.loginOk.recovered, true)
		assert.deepEqual(elsewhere.loginOk.messages.map((m) => m.message), Array.from({ length: 15 }, (_, i) => `m${i + 5}`))
		// The same ref is the same message, also through another host.
		const again = await elsewhere.ask({ type: 'chat', message: 'm0', ref: 'r0' }, 'ack')

		assert.deepEqual([again.id, again.offset], [acks[0].id, acks[0].offset])
		const history = await cora.ask({ type: 'history', limit: 5, before: 11 }, 'history')

		assert.deepEqual(history.messages.map((m) => m.message), ['m5', 'm6', 'm7', 'm8', 'm9'])
		assert.equal(history.more, true)
		await heardByAll(ben, [anna, ben, cora, elsewhere])
		for (const client of [anna, ben, cora])
			assert.deepEqual(client.texts().slice(0, 20), Array.from({ length: 20 }, (_, i) => `m${i}`))
	})

	clusterStory('channels, the server API and broadcasts', { options: { system_users: 'user-0' } }, async (cluster) => {
		const [anna, ben] = await oneOnEach(cluster)
		const [first, second] = cluster.hosts
		const far = await ChatClient.open(second, { path: '/broadcast' })
		const near = await ChatClient.open(first, { path: '/broadcast' })

		await ben.ask({ type: 'subscribe', channel: 'scores' }, 'subscribe_ok')
		await anna.ask({ type: 'publish', channel: 'scores', data: { home: 1 }, ref: 1 }, 'ack')
		assert.deepEqual((await ben.next('publication')).data, { home: 1 })
		const published = await first.api('publish', { channel: 'scores', data: 2, idempotency_key: 'k' })
		const repeated = await second.api('publish', { channel: 'scores', data: 2, idempotency_key: 'k' })

		assert.deepEqual(repeated, { ...published, repeated: true })
		assert.equal((await ben.next('publication')).offset, published.offset)
		const { channels } = await second.api('broadcast', { channels: ['scores', 'room:lobby'], data: 3 })

		assert.equal(channels.scores.offset, published.offset + 1)
		await anna.next(of('publication', { room: 'lobby' }))
		for (const host of cluster.hosts) {
			const list = (await host.admin('/api/channels?prefix=sc')).json.channels

			assert.deepEqual(list.map(({ channel, offset }) => [channel, offset]), [['scores', 3]])
			assert.deepEqual((await host.admin('/api/presence?channel=room:lobby')).json.members.map((m) => m.member).sort(), ['user-0', 'user-1'])
			assert.deepEqual((await host.admin('/api/history?channel=scores')).json.publications.map((p) => p.data), [{ home: 1 }, 2, 3])
		}
		anna.send({ type: 'system', message: 'Maintenance at ten' })
		for (const client of [anna, ben])
			await client.next(of('system', { message: 'Maintenance at ten' }))
		near.send('"to everybody"')
		assert.equal(await far.next((m) => typeof m === 'string'), 'to everybody')
	})

	clusterAmidChat('nothing happens', {
		cluster: { hosts: 3 },
		trace: ['redis_messages', 'redis_calls'],
		acknowledged: 0.9999,
		afterwards: (cluster, crowd, risen) => {
			assert.equal(crowd.reconnected + crowd.sum('resets'), 0)
			for (const quiet of ['redis_losses', 'redis_errors', 'redis_retries', 'redis_gaps_filled', 'redis_probes_lost', 'redis_generations'])
				assert.equal(risen[quiet], 0, quiet)
			assert.deepEqual([...crowd.departed], [])
			crowd.checkPresence()
		},
	}, async () => {})

	clusterStory('/status shows the cluster', { hosts: 3 }, async (cluster) => {
		const clients = await oneOnEach(cluster)

		clients.push(await ChatClient.login(cluster.hosts[0], { userId: 'one-more' }))
		for (const host of cluster.hosts) {
			const nodes = await waitFor(async () => {
				const status = await host.status()

				assert.equal(status.engine, 'redis')
				assert.equal(status.ready, true)
				return status.nodes?.length === 3 && status.nodes.reduce((n, node) => n + node.connections, 0) >= 4 && status.nodes
			}, 'three nodes with their connections', 3000 * LEASE_SECONDS)

			for (const node of nodes) {
				assert.match(node.version, /^\d+\.\d+/)
				assert.ok(node.uptime_seconds >= 0)
			}
		}
		cluster.killLast()
		await waitFor(async () => (await cluster.hosts[0].status()).nodes.length === 2, 'a dead host is no node', 5000 * LEASE_SECONDS)
	})

	clusterStory('two connections to each Redis, whatever the number of workers', {
		redises: [{}, {}], options: (i) => ({ workers: [1, 4][i] }),
	}, async (cluster) => {
		const clients = await Promise.all(Array.from({ length: 20 }, (_, i) => ChatClient.login(cluster.hosts[i % 2], { userId: `u${i}`, room: `r${i}` })))

		await heardByAll(clients[0], [clients[0]])
		for (const redis of cluster.redises) {
			const connections = await redis.clients()

			assert.equal(connections.length, 2 * cluster.hosts.length, JSON.stringify(connections))
			assert.equal(connections.filter((each) => each.flags.includes('P')).length, cluster.hosts.length, 'one of two for pub/sub')
			assert.ok((await redis.command('PUBSUB', 'CHANNELS', 'herold:c:room:*')).length > 0, 'both have rooms')
		}
		assert.deepEqual((await cluster.counters()).redis_losses, 0)
	})

	clusterStory('two chats in one Redis, by prefix; one through a unix socket', {
		hosts: 3, options: (i, cluster) => ({ redis_prefix: i < 2 ? 'one:' : 'two:', ...i === 2 && { redis_url: `unix://${cluster.redis.path}`, ...REACHES_FILES } }),
	}, async (cluster) => {
		const clients = await oneOnEach(cluster)
		const [anna, ben, cora] = clients

		assert.deepEqual((await ben.ask({ type: 'users' }, 'users')).count, 2)
		assert.deepEqual((await cora.ask({ type: 'users' }, 'users')).count, 1)
		await heardByAll(anna, [anna, ben])
		await heardByAll(cora, [cora])
		assert.deepEqual(cora.received.filter(of('chat')).map((m) => m.userId), ['user-2'])
		const keys = await cluster.redis.command('KEYS', '*')

		assert.deepEqual(keys.filter((key) => !/^(one|two):/.test(key)), [])
	})
})

describe('a Redis that cannot be used', { concurrency: isSanitized ? 2 : 3 }, () => {
	clusterStory('wrong password', { hosts: 1, redises: [{ password: 'right' }], isReady: false,
		options: (i, cluster) => ({ redis_url: cluster.redis.url.replace('right', 'wr0ng%40') }),
	}, async (cluster) => {
		const [host] = cluster.hosts

		await notReady(host, /redis/i)
		await host.waitLog(/WRONGPASS|password/)
		const client = await ChatClient.open(host)

		client.send({ type: 'login', userId: 'u1', name: 'Anna', ref: 1 })
		assert.equal((await client.next('error', 15000)).code, 'unavailable')
		assert.equal((await host.admin('/healthz')).status, 200, 'but alive')
		assert.ok(!host.log().includes('wr0ng'), 'passwords are not logged')
		assert.ok(!(await host.admin('/status')).text.includes('wr0ng'), 'nor shown')
		// It is mended there.
		await cluster.redis.command('CONFIG', 'SET', 'requirepass', 'wr0ng@')
		cluster.redis.password = 'wr0ng@'
		await cluster.ready()
		assert.equal((await client.login({ userId: 'u1' })).count, 1)
	})

	clusterStory('Redis comes later', { hosts: 2, redises: [], isReady: false,
		prepare: async (cluster) => { cluster.port = await freePort() },
		options: (i, cluster) => ({ redis_url: `redis://127.0.0.1:${cluster.port}/3` }),
	}, async (cluster) => {
		for (const host of cluster.hosts)
			await notReady(host, /redis/i)
		cluster.redises.push(await Redis.start({ port: cluster.port }))
		await cluster.ready()
		const clients = await oneOnEach(cluster)

		await heardByAll(clients[0], clients)
		assert.match((await cluster.redis.info('keyspace')).db3, /^keys=/, 'in the database that was named')
	})

	clusterStory('hosts whose lists of Redis differ', { redises: [{}, {}], isReady: false,
		options: (i, cluster) => ({ redis_url: cluster.redises.slice(0, i + 1).map((redis) => redis.url).join() }),
	}, async (cluster) => {
		for (const host of cluster.hosts)
			await notReady(host, /list|differ/i)
		// The one that was wrong goes: the other is ready.
		await cluster.drainLast()
		await cluster.ready()
	})

	clusterStory('one that evicts is warned of', { hosts: 1, redises: [{ options: { maxmemory: '100mb', 'maxmemory-policy': 'allkeys-lru' } }] },
		async (cluster) => {
			await cluster.hosts[0].waitLog(/warn.*maxmemory-policy|maxmemory-policy.*warn/i)
			await sleep(500)
			assert.equal(cluster.logLines(/maxmemory-policy/).length, 1, 'once')
		})
})

describe('options that cannot be', () => {
	for (const [url, pattern] of [['rediss://127.0.0.1:1', /TLS|rediss/], ['http://127.0.0.1:1', /redis_url/], ['redis://127.0.0.1:99999', /redis_url/],
		['redis://user:secret@127.0.0.1:1/x', /redis_url/]]) {
		clusterStory(`redis_url=${url}`, { hosts: 0, redises: [] }, async () => {
			const { code, out, err } = await run(['-o', 'engine=redis', '-o', `redis_url=${url}`, '-o', 'listen=127.0.0.1:0', '-o', 'admin_listen=127.0.0.1:0'])

			assert.notEqual(code, 0, 'it does not start')
			assert.match(out + err, pattern)
			assert.ok(!(out + err).includes('secret'), 'passwords are not logged')
		})
	}
})
