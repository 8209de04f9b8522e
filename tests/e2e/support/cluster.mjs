// cluster - several Herolds as hosts that share one Redis, or several
import assert from 'node:assert/strict'
import test from 'node:test'

import { Herold, waitFor } from './herold.mjs'
import { amidChat } from './load.mjs'
import { Redis } from './redis.mjs'

// Long: the times of the promises (a lease of 15 s, Redis away for 30 s) instead of shorter ones in proportion.
export const isLong = process.env.LONG !== undefined
const READY_MS = 20000
export const LEASE_SECONDS = isLong ? 15 : 4

/** Of every host; what a story says comes on top. */
const OPTIONS = { engine: 'redis', workers: 2, room_history: 2000, client_channels: 40, node_lease_seconds: LEASE_SECONDS }

export class Cluster {
	hosts = []
	redises = []
	others = []	// whatever else has an end()
	gone = []	// hosts that were killed or have ended

	/** hosts: how many; redises: settings of each; options: of all hosts, or a function of the host's number and the cluster; isReady: wait for it. */
	static async start({ hosts = 2, redises = [{}], prepare, options = {}, isReady = true } = {}) {
		const cluster = new Cluster()

		try {
			cluster.redises = await Promise.all(redises.map((settings) => Redis.start(settings)))
			await prepare?.(cluster)
			cluster.optionsOf = (i) => ({ ...OPTIONS, redis_url: cluster.redisUrls, ...typeof options === 'function' ? options(i, cluster) : options })
			await cluster.add(hosts)
			if (isReady)
				await cluster.ready()
		} catch (error) {
			const log = cluster.log()

			await cluster.end()
			throw new Error(`${error.message}\n${log}`)
		}
		return cluster
	}

	get redis() { return this.redises[0] }
	get redisUrls() { return this.redises.map((redis) => redis.url).join() }
	get urls() { return this.hosts.map((host) => `${host.wsUrl}/ws`) }

	/** More hosts, all begun at once. */
	async add(count) {
		const started = await Promise.allSettled(Array.from({ length: count },
			(_, i) => Herold.start({ options: this.optionsOf(this.hosts.length + i) })))

		this.hosts.push(...started.filter((each) => each.status === 'fulfilled').map((each) => each.value))
		const failed = started.find((each) => each.status === 'rejected')

		if (failed !== undefined)
			throw failed.reason
	}

	/** Until every host is ready. */
	async ready() {
		for (const host of this.hosts)
			await waitFor(async () => (await host.admin('/readyz')).status === 200, `${host.address} is ready`, READY_MS)
	}

	/** The counters of all hosts that live, added up; those of families as chat_errors.uncertain. since: of an earlier call, to be subtracted,
	 * as far as it is of the same hosts. */
	async counters(since) {
		const all = new Map(await Promise.all(this.hosts.map(async (host) => [host, flat((await host.status()).counters)])))
		const sum = { all }

		for (const [host, counters] of all) {
			for (const [name, value] of Object.entries(counters))
				sum[name] = (sum[name] ?? 0) + value - (since?.all.get(host)[name] ?? 0)
		}
		return sum
	}

	/** Until a counter, of all hosts, is at least this. */
	atLeast(name, value, timeoutMs) {
		return waitFor(async () => (await this.counters())[name] >= value, `${name} is at least ${value}`, timeoutMs)
	}

	/** Every line of every host that matches. */
	logLines(pattern) { return this.hosts.flatMap((host) => host.lines.filter((line) => pattern.test(line))) }

	/** kill -9 of all processes of the last host: nothing is asked of it any more. */
	killLast() {
		const host = this.hosts.pop()

		this.gone.push(host)
		host.kill()
	}

	/** SIGTERM to the last host, until it has ended. */
	async drainLast() {
		const host = this.hosts.pop()

		this.gone.push(host)
		await host.stop()
	}

	log() {
		return [...this.hosts, ...this.gone].map((host) => `--- host ${host.address}\n${host.log()}`)
			.concat(this.redises.map((redis) => `--- redis ${redis.address}\n${redis.log()}`)).join('\n')
	}

	/** In order: every host ends by SIGTERM, and leaves nothing behind. */
	async stop() {
		await Promise.all(this.hosts.map((host) => host.stop()))
		this.gone.forEach((host) => host.assertClean())
	}

	/** Whatever happened: nothing stays behind. */
	async end() {
		for (const host of [...this.hosts, ...this.gone])
			host.kill()
		for (const server of [...this.others, ...this.redises])
			await server.end()
	}
}

function flat(counters) {
	return Object.fromEntries(Object.entries(counters).flatMap(([name, value]) => typeof value === 'number' ? [[name, value]]
		: Object.entries(value).map(([key, each]) => [`${name}.${key}`, each])))
}

/** A test with a cluster of its own: fn(cluster, t). Its logs are shown when it fails. */
export function clusterStory(name, { timeout = isLong ? 300000 : 120000, ...settings }, fn) {
	test(name, { timeout }, async (t) => {
		const cluster = await Cluster.start(settings)
		const atExit = () => cluster.hosts.forEach((host) => host.kill())

		process.once('exit', atExit)
		try {
			await fn(cluster, t)
			await cluster.stop()
		} catch (error) {
			t.diagnostic(cluster.log())
			throw error
		} finally {
			await cluster.end()
			process.removeListener('exit', atExit)
		}
	})
}

/* What a fault may leave behind, shown beside the counts of its story. */
const TRACES = ['redis_connects', 'redis_losses', 'redis_probes_lost', 'redis_errors', 'redis_retries', 'redis_gaps_filled', 'redis_gaps_lost',
	'redis_generations', 'redis_reaped']

/**
 * A story in which fault(cluster, crowd, t) happens amid the chat of a crowd on all hosts. It fails when the fault left no trace: settings.trace
 * names the counters that rise. settings.cluster: of the cluster; the others as amidChat() has them.
 */
export function clusterAmidChat(name, { cluster: clusterSettings, trace, ...settings }, fault) {
	clusterStory(name, clusterSettings, async (cluster, t) => {
		let before

		await amidChat(t, cluster.urls, {
			...settings,
			afterwards: async (crowd) => {
				const risen = await cluster.counters(before)

				for (const one of trace)
					assert.ok(risen[one] > 0, `the fault left its trace in ${one}`)
				await settings.afterwards?.(cluster, crowd, risen)
				return Object.fromEntries([...new Set([...TRACES, ...trace])].filter((one) => risen[one] !== 0).map((one) => [one, risen[one]]))
			},
		}, async (crowd) => {
			before = await cluster.counters()
			await fault(cluster, crowd, t)
		})
	})
}

/** The answer of /readyz when it is red, with the reason. */
export async function notReady(host, pattern, timeoutMs = READY_MS) {
	const answer = await waitFor(async () => {
		const { status, json } = await host.admin('/readyz')

		return status === 503 && pattern.test(json.reason) && json
	}, `not ready because of ${pattern}`, timeoutMs)

	assert.equal(answer.status, 'not ready')
	return answer.reason
}
