// cluster - several Herolds as hosts that share one Redis, or several
import assert from 'node:assert/strict'
import test from 'node:test'

import { Herold, waitFor } from './herold.mjs'
import { Redis } from './redis.mjs'

// Long: the times of the promises (a lease of 15 s, Redis away for 30 s) instead of shorter ones in proportion.
export const isLong = process.env.LONG !== undefined
const READY_MS = 20000
const LEASE_SECONDS = isLong ? 15 : 2

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

	/** The counters of all hosts that live, added up. */
	async counters() {
		const sum = {}

		for (const { counters } of await Promise.all(this.hosts.map((host) => host.status()))) {
			for (const [name, value] of Object.entries(counters)) {
				if (typeof value === 'number')
					sum[name] = (sum[name] ?? 0) + value
			}
		}
		return sum
	}

	/** Until a counter, of all hosts, is at least this. */
	atLeast(name, value, timeoutMs) {
		return waitFor(async () => (await this.counters())[name] >= value, `${name} is at least ${value}`, timeoutMs)
	}

	/** Every line of every host that matches. */
	logLines(pattern) { return this.hosts.flatMap((host) => host.lines.filter((line) => pattern.test(line))) }

	/** kill -9 of all processes of a host, or of one that has ended by itself: nothing is asked of it any more. */
	lose(i) {
		const [host] = this.hosts.splice(i, 1)

		host.kill()
		this.gone.push(host)
		return host
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

/** The answer of /readyz when it is red, with the reason. */
export async function notReady(host, pattern, timeoutMs = READY_MS) {
	const answer = await waitFor(async () => {
		const { status, json } = await host.admin('/readyz')

		return status === 503 && pattern.test(json.reason) && json
	}, `not ready because of ${pattern}`, timeoutMs)

	assert.equal(answer.status, 'not ready')
	return answer.reason
}
