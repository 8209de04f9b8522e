// What happens when Redis dies, stands still, refuses or loses something, while clients chat on several hosts: the books must balance.
//
// In `make test` Redis is away for 8 s at a lease of 4 s; in `make stories` for 30 s at one of 15 s.
import assert from 'node:assert/strict'
import { mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'node:test'

import { ChatClient } from './support/client.mjs'
import { clusterAmidChat, isLong, notReady } from './support/cluster.mjs'
import { sleep, waitFor } from './support/herold.mjs'
import { isSanitized } from './support/load.mjs'
import { Proxy } from './support/proxy.mjs'
import { Redis, Sentinel } from './support/redis.mjs'

const KEEPING = { appendonly: 'yes', appendfsync: 'always' }
const AWAY_MS = isLong ? 30000 : 8000

/** Nobody of the crowd noticed more than a pause: no connection ended, nobody was announced as gone, history is whole. */
function assertUndisturbed(crowd) {
	assert.equal(crowd.reconnected, 0, 'nobody was cut off')
	assert.deepEqual([...crowd.departed], [], 'nobody was announced as gone')
	assert.equal(crowd.sum('resets'), 0, 'history is whole')
	crowd.checkPresence()
}

/** What is published now is acknowledged again. */
async function chatWorks(crowd) {
	const before = crowd.published

	await waitFor(() => crowd.settled.acknowledged.some((m) => Number(m.text.slice(1)) >= before), 'chat works again', 30000)
}

/** A newcomer in the first room, on the last host; `since` as given. Returns its login_ok. */
async function newcomer(cluster, since) {
	const client = await ChatClient.login(cluster.hosts.at(-1), { userId: `newcomer-${Math.random()}`, room: 'room-0', since })
	const { loginOk } = client

	await client.close()
	return loginOk
}

describe('Redis in trouble', { concurrency: isSanitized ? 2 : 3 }, () => {
	clusterAmidChat('Redis is killed and comes back', {
		cluster: { redises: [{ options: KEEPING }] },
		trace: ['redis_losses', 'redis_connects'],
		acknowledged: 0.6,
		afterwards: (cluster, crowd, risen) => {
			assertUndisturbed(crowd)
			assert.equal(risen.redis_generations, 0, 'it came back with all its data')
		},
	}, async (cluster, crowd) => {
		for (let i = 0; i < 3; i++) {
			await cluster.redis.kill()
			await sleep(200)
			await cluster.redis.restart()
			await chatWorks(crowd)
		}
		await cluster.ready()
	})

	// What its full socket did not take is sent again by the kernel, up to 3 s after it goes on: a lease has to be longer.
	clusterAmidChat('Redis stands still for 5 s', {
		cluster: { redises: [{ options: KEEPING }], options: isLong ? {} : { node_lease_seconds: 6 } },
		trace: ['publications_uncertain', 'chat_errors.uncertain'],
		acknowledged: 0.4,
		afterwards: (cluster, crowd) => assertUndisturbed(crowd),
	}, async (cluster, crowd) => {
		cluster.redis.freeze()
		await sleep(5000)
		cluster.redis.thaw()
		await chatWorks(crowd)
	})

	clusterAmidChat('Redis is away for long', {
		cluster: { hosts: 3, redises: [{ options: KEEPING }] },
		trace: ['redis_losses', 'redis_connects', 'publications_unavailable', 'chat_errors.unavailable'],
		acknowledged: 0.15,
		afterwards: (cluster, crowd) => assertUndisturbed(crowd),
	}, async (cluster, crowd) => {
		await cluster.redis.kill()
		for (const host of cluster.hosts)
			await notReady(host, /redis/i)
		await sleep(AWAY_MS)
		await cluster.redis.restart()
		await chatWorks(crowd)
		await cluster.ready()
	})

	for (const [type, trace] of [['pubsub', ['redis_losses', 'redis_gaps_filled']], ['normal', ['redis_losses', 'redis_retries']]]) {
		clusterAmidChat(`CLIENT KILL TYPE ${type}, again and again`, {
			cluster: { hosts: 3 },
			trace,
			acknowledged: 0.95,
			afterwards: (cluster, crowd, risen) => {
				assertUndisturbed(crowd)
				assert.equal(risen.redis_gaps_lost, 0)
			},
		}, async (cluster, crowd) => {
			const [wanted, pauseMs] = isLong ? [36, 2500] : [12, 20]

			// Until one had a publication under way.
			for (let killed = 0; killed < wanted || (type === 'normal' && (await cluster.counters()).redis_retries === 0); await sleep(pauseMs))
				killed += await cluster.redis.command('CLIENT', 'KILL', 'TYPE', type)
			await chatWorks(crowd)
		})
	}

	// A network that drops packets of that one connection: nothing ends, nothing comes.
	clusterAmidChat('the pub/sub link of one host is dead, its commands work', {
		cluster: {
			prepare: async (cluster) => { cluster.others.push(cluster.proxy = await Proxy.start(cluster.redis.port)) },
			options: (i, cluster) => i === 0 ? { redis_url: cluster.proxy.url } : {},
		},
		trace: ['redis_probes_lost', 'redis_gaps_filled'],
		acknowledged: 0.99,
		afterwards: (cluster, crowd) => assertUndisturbed(crowd),
	}, async (cluster, crowd, t) => {
		const began = Date.now()

		assert.equal(cluster.proxy.freeze((link) => link.isPubSub), 1)
		await cluster.atLeast('redis_probes_lost', 1, 10000)
		t.diagnostic(`noticed after ${Date.now() - began} ms`)
		await chatWorks(crowd)
	})

	clusterAmidChat('FLUSHALL', {
		cluster: {},
		trace: ['redis_generations'],
		acknowledged: 0.9,
		afterwards: async (cluster, crowd) => {
			assert.equal(crowd.reconnected, 0, 'connected clients go on')
			assert.deepEqual([...crowd.departed], [])
			assert.ok(crowd.members.every((member) => member.resets > 0), 'all are told that history is gone')
			assert.equal((await newcomer(cluster, cluster.positionBefore)).recovered, false)
			const { users } = await waitFor(async () => {
				const answer = await newcomer(cluster)

				return answer.users.length > crowd.members.filter((member) => member.rooms.includes('room-0')).length && answer
			}, 'Redis knows again who is there')

			assert.equal(new Set(users.map((user) => user.userId)).size, users.length)
		},
	}, async (cluster, crowd) => {
		cluster.positionBefore = crowd.members[0].positions.get('room-0')
		await cluster.redis.command('FLUSHALL')
		await chatWorks(crowd)
	})

	clusterAmidChat('Redis refuses to write', {
		// So that BGSAVE fails where a directory lies in its way, and its failure stops the writing.
		cluster: { redises: [{ options: { save: '3600 1000000', appendonly: 'no' } }] },
		trace: ['redis_errors', 'redis_retries'],
		acknowledged: 0.5,
		afterwards: (cluster, crowd) => {
			assert.equal(crowd.reconnected, 0, 'nobody was cut off')
			assert.deepEqual([...crowd.departed], [], 'nobody was announced as gone')
		},
	}, async (cluster, crowd, t) => {
		const { redis } = cluster
		const dump = join(redis.dir, 'dump.rdb')

		for (const [error, begin, end] of [
			['OOM', ['CONFIG SET maxmemory 1'], ['CONFIG SET maxmemory 0']],
			['MISCONF', ['BGSAVE'], ['CONFIG SET stop-writes-on-bgsave-error no']],
			['READONLY', ['REPLICAOF 127.0.0.1 1'], ['REPLICAOF NO ONE']],
			['NOSCRIPT', ['SCRIPT FLUSH'], []],
		]) {
			if (error === 'MISCONF')
				mkdirSync(dump)
			await redis.commands(...begin)
			if (error !== 'NOSCRIPT')
				await waitFor(() => cluster.hosts.every((host) => host.lines.some((line) => line.includes(error))), `a log line about ${error}`)
			await sleep(1000)
			await redis.commands(...end)
			await chatWorks(crowd)
			const lines = cluster.logLines(new RegExp(error))

			t.diagnostic(`${error}: ${lines.length} lines, like ${lines[0]}`)
			assert.ok(lines.length <= 2 * cluster.hosts.length, `${error} is logged once, not per message: ${lines.length} lines`)
			if (error === 'MISCONF')
				rmdirSync(dump)
		}
		await cluster.ready()
	})

	// The replica stands behind a proxy, which loses what comes later: so it is promoted without the last entries.
	clusterAmidChat('failover to a replica that lacks the last entries', {
		cluster: {
			hosts: 2,
			prepare: async (cluster) => {
				const proxy = await Proxy.start(cluster.redis.port)
				const replica = await Redis.start({ options: { replicaof: `127.0.0.1 ${proxy.port}` } })

				cluster.redises.push(replica)
				await waitFor(async () => (await replica.info('replication')).master_link_status === 'up', 'the replica is there')
				const sentinels = await Promise.all(Array.from({ length: isLong ? 3 : 1 },
					() => Sentinel.start({ master: cluster.redis, quorum: isLong ? 2 : 1 })))

				cluster.others.push(proxy, ...sentinels)
				for (const sentinel of sentinels)
					await sentinel.knows({ replicas: 1, sentinels: sentinels.length - 1 })
				Object.assign(cluster, { proxy, replica, sentinels })
			},
			options: (i, cluster) => ({ redis_url: 'redis://not-asked/0', redis_sentinels: cluster.sentinels.map((each) => each.address).join() }),
		},
		trace: ['redis_losses', 'redis_generations'],
		acknowledged: 0.3,
		afterwards: async (cluster, crowd) => {
			assert.equal(crowd.reconnected, 0, 'nobody was cut off')
			assert.deepEqual([...crowd.departed], [], 'nobody was announced as gone')
			assert.ok(crowd.members.every((member) => member.resets > 0), 'all are told that history may be lost')
			for (const since of cluster.positionsBefore) {
				const answer = await newcomer(cluster, since)

				assert.equal(answer.recovered, false, `a position of the old epoch: ${JSON.stringify(since)}`)
				assert.notEqual(answer.epoch, since.epoch)
			}
		},
	}, async (cluster, crowd, t) => {
		const [master] = cluster.redises
		const position = () => ({ ...crowd.members[0].positions.get('room-0') })
		const kept = position()

		assert.ok(cluster.proxy.freeze() > 0)
		const began = position().offset

		await waitFor(() => position().offset > began + 10, 'messages that the replica does not have')
		// What is answered was heard by everybody: a kill between the two would be a loss that nobody could tell.
		await master.command('CLIENT', 'PAUSE', 60000, 'WRITE')
		await sleep(200)
		cluster.positionsBefore = [kept, position()]
		await master.kill()
		await waitFor(async () => (await cluster.sentinels[0].masterPort()) === cluster.replica.port, 'the replica is promoted', 30000)
		const offset = Number(await cluster.replica.command('HGET', 'herold:m:room:room-0', 'o'))

		t.diagnostic(`room-0 was at ${cluster.positionsBefore[1].offset}, the new master has ${offset}`)
		await chatWorks(crowd)
		// The old one comes back, and thinks that it is the master, until a Sentinel tells it better.
		await master.restart()
		await cluster.ready()
	})
})
