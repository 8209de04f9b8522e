// What happens when a host dies or is drained, or one of several Redis servers is away, while clients chat on several hosts.
import assert from 'node:assert/strict'
import { describe } from 'node:test'

import { ChatClient } from './support/client.mjs'
import { LEASE_SECONDS, clusterAmidChat, isLong, notReady } from './support/cluster.mjs'
import { sleep, waitFor } from './support/herold.mjs'

const of = (type, more = {}) => (m) => m.type === type && Object.entries(more).every(([name, value]) => m[name] === value)
// Time for everybody to come back, on a busy machine too.
const DRAIN_LEASE_SECONDS = isLong ? 15 : 6
const KEEPING = { appendonly: 'yes', appendfsync: 'always' }

describe('hosts and shards', { concurrency: 2 }, () => {
	clusterAmidChat('kill -9 of a host', {
		cluster: { hosts: 3 },
		trace: ['redis_reaped'],
		acknowledged: 0.8,
		afterwards: (cluster, crowd, risen) => {
			const moved = crowd.reconnected

			assert.ok(risen.redis_reaped >= cluster.ghosts.length)
			assert.ok(moved > 20, `its clients went elsewhere: ${moved}`)
			assert.ok(crowd.sum('recovered') >= moved)
			assert.equal(crowd.sum('notRecovered') + crowd.sum('resets'), 0)
			assert.deepEqual([...crowd.departed].sort(), cluster.ghosts, 'who came back has not left')
			for (const watcher of cluster.watchers) {
				for (const ghost of cluster.ghosts)
					assert.equal(watcher.received.filter(of('user_left', { userId: ghost })).length, 1, `${ghost} was announced once`)
				watcher.terminate()
			}
		},
	}, async (cluster, crowd, t) => {
		cluster.ghosts = ['ghost-0', 'ghost-1', 'ghost-2']
		for (const userId of cluster.ghosts)
			await ChatClient.login(cluster.hosts[2], { userId, room: 'room-0' })
		cluster.watchers = await Promise.all([0, 1].map((i) => ChatClient.login(cluster.hosts[i], { userId: `watcher-${i}`, room: 'room-0' })))
		assert.ok(cluster.ghosts.every((ghost) => cluster.watchers[0].loginOk.users.some((user) => user.userId === ghost)))
		const killed = Date.now()

		cluster.killLast()
		for (const ghost of cluster.ghosts)
			await cluster.watchers[0].next(of('user_left', { userId: ghost }), 3 * LEASE_SECONDS * 1000 + 5000)
		t.diagnostic(`announced as gone after ${Date.now() - killed} ms, at a lease of ${LEASE_SECONDS * 1000} ms`)
		await waitFor(() => crowd.inside === crowd.members.length, 'everybody is in again', 20000)
	})

	clusterAmidChat('drain of a host', {
		cluster: { hosts: 3, options: { drain_seconds: 1, node_lease_seconds: DRAIN_LEASE_SECONDS } },
		trace: ['recoveries'],
		acknowledged: 0.95,
		afterwards: (cluster, crowd) => {
			assert.ok(crowd.reconnected > 20, `its clients went elsewhere: ${crowd.reconnected}`)
			assert.ok(crowd.sum('recovered') >= crowd.reconnected)
			assert.equal(crowd.sum('notRecovered') + crowd.sum('resets'), 0)
			assert.deepEqual([...crowd.departed], [], 'nobody has left')
			crowd.checkPresence()
		},
	}, async (cluster, crowd) => {
		await cluster.drainLast()
		await waitFor(() => crowd.inside === crowd.members.length, 'everybody is in again', 20000)
		// Until its lease has run out.
		await sleep(1.5 * DRAIN_LEASE_SECONDS * 1000)
	})

	// Its broker stands still, until Redis does not want to keep what it should hear any longer.
	clusterAmidChat('a host that is too slow for Redis', {
		cluster: { redises: [{ options: { 'client-output-buffer-limit': 'pubsub 1mb 0 0' } }], options: { node_lease_seconds: 30 } },
		trace: ['redis_losses', 'redis_gaps_filled'],
		acknowledged: 0.4,
		afterwards: (cluster, crowd, risen) => {
			assert.equal(crowd.reconnected, 0, 'nobody was cut off')
			assert.equal(crowd.sum('resets') + risen.redis_gaps_lost, 0)
			crowd.checkPresence()
		},
	}, async (cluster, crowd) => {
		const { broker } = await cluster.hosts[0].status()

		process.kill(broker.pid, 'SIGSTOP')
		try {
			// More than the kernel keeps for it; less than history does.
			for (let i = 0; i < 3; i++) {
				for (const room of crowd.rooms)
					await cluster.hosts[1].api('publish', { channel: `room:${room}`, data: 'x'.repeat(200000) })
			}
			await waitFor(() => /overcoming of output buffer limits/.test(cluster.redis.log()), 'Redis cuts it off', 30000)
		} finally {
			process.kill(broker.pid, 'SIGCONT')
		}
	})

	clusterAmidChat('one of two shards is down', {
		cluster: { redises: [{ options: KEEPING }, { options: KEEPING }] },
		trace: ['redis_losses', 'redis_connects', 'chat_errors.unavailable'],
		acknowledged: 0.4,
		afterwards: (cluster, crowd) => {
			assert.equal(crowd.reconnected, 0, 'nobody was cut off')
			assert.deepEqual([...crowd.departed], [], 'nobody was announced as gone')
			assert.equal(crowd.sum('resets'), 0)
			crowd.checkPresence()
		},
	}, async (cluster, crowd, t) => {
		const [here, away] = cluster.redises
		const roomsOf = async (redis) => new Set((await redis.command('PUBSUB', 'CHANNELS', 'herold:c:room:*')).map((name) => name.slice('herold:c:room:'.length)))
		const up = await roomsOf(here)
		const down = await roomsOf(away)

		t.diagnostic(`rooms on each: ${up.size}, ${down.size}`)
		assert.equal(up.size + down.size, crowd.rooms.length)
		assert.ok(up.size >= 3 && down.size >= 3, 'both have rooms')
		await away.kill()
		await notReady(cluster.hosts[0], /redis/i)
		const before = crowd.published
		const during = () => crowd.settled.acknowledged.filter((m) => Number(m.text.slice(1)) > before)

		await sleep(isLong ? 15000 : 4000)
		const settled = during()

		assert.deepEqual(settled.filter((m) => down.has(m.room)), [], 'none in its rooms')
		assert.ok(settled.filter((m) => up.has(m.room)).length > 0.8 * (crowd.published - before) * up.size / crowd.rooms.length,
			'those of the other work on')
		await away.restart()
		await waitFor(() => during().some((m) => down.has(m.room)), 'its rooms work again', 20000)
		await cluster.ready()
	})
})
