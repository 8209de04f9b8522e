// Metrics: after a load of known counts every counter says what was sent, whoever was killed meanwhile; what Prometheus gets is well formed
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'

import { ChatClient } from './support/client.mjs'
import { clusterStory } from './support/cluster.mjs'
import { story, waitFor } from './support/herold.mjs'
import { countersOf, parseMetrics } from './support/metrics.mjs'
import { OP, RawSocket, closePayload, frame, handshake } from './support/raw.mjs'
import { file } from './support/tokens.mjs'

const TOKEN = 'known-to-the-server-0123456789abcdef'
const LIMITED = '127.0.0.77'
/** Clients of LIMITED are limited, the others are not. */
const OPTIONS = {
	workers: 2, hosts: 'localhost', auth: 'none', handshake_seconds: 1, max_message_bytes: 4096, heartbeat_seconds: 600,
	limit_exempt: '127.0.0.1', address_connections: 2, messages_per_minute: 60,
}

/** What promtool says of it; empty: nothing. */
const promtool = (text) => new Promise((done) => {
	const child = execFile('promtool', ['check', 'metrics'], (error, out, err) => done(`${out}${err}${error === null ? '' : `exit ${error.code}`}`))

	child.stdin.end(text)
})

/** Everything of clients that a test counts itself, by series; what is not in here has to be 0. */
class Tally {
	expected = new Map()
	sockets = []

	add(series, n = 1) {
		this.expected.set(`herold_${series}`, (this.expected.get(`herold_${series}`) ?? 0) + n)
	}

	/** A connection that the server accepts. */
	async open(herold, localAddress = '127.0.0.1') {
		const raw = await connected(herold, localAddress)

		this.sockets.push(raw.socket)
		this.add('connections_accepted_total')
		return raw
	}

	/** A WebSocket that has had so many messages there and back. */
	async websocket(herold, messages, { path = '/echo', localAddress } = {}) {
		const raw = await this.open(herold, localAddress)

		raw.write(handshake({ path }))
		assert.equal((await raw.response()).status, 101)
		this.add('upgrades_total')
		this.add('http_responses_total{code="101"}')
		if (path === '/ws') {
			await raw.frame()
			this.add('messages_sent_total')
		}
		for (let i = 0; i < messages; i++) {
			// The last one is as large as it may be.
			const text = `message ${i}`.padEnd(i > 0 && i === messages - 1 ? 4096 : 0)

			raw.write(frame(OP.TEXT, text))
			assert.equal((await raw.frame()).payload.toString(), text)
		}
		this.add('messages_received_total', messages)
		this.add('messages_sent_total', messages)
		return raw
	}

	closed(reason, className, { isWebSocket = true } = {}) {
		this.add(`connections_closed_total{reason="${reason}",class="${className}"}`)
		if (isWebSocket)
			this.add('connection_duration_seconds_count')
	}

	/** A request that is answered with this status, and refused. */
	async refused(herold, bytes, status, kind, { localAddress, reason = 'http_refused', className = 'refused' } = {}) {
		const raw = await this.open(herold, localAddress)

		raw.write(bytes)
		assert.equal((await raw.response()).status, status, bytes)
		await raw.finished()
		raw.end()
		this.add('http_requests_total')
		this.add(`http_responses_total{code="${status}"}`)
		this.add(`refusals_total{kind="${kind}"}`)
		this.closed(reason, className, { isWebSocket: false })
	}

	/** Of all sockets, to the byte. */
	get bytes() {
		return {
			herold_received_bytes_total: this.sockets.reduce((sum, s) => sum + s.bytesWritten, 0),
			herold_sent_bytes_total: this.sockets.reduce((sum, s) => sum + s.bytesRead, 0),
		}
	}
}

/** From an address of our own. */
async function connected(herold, localAddress) {
	const [host, port] = herold.address.split(':')
	const raw = new RawSocket(connect({ host, port: Number(port), localAddress }))

	await new Promise((done, fail) => raw.socket.once('connect', done).once('error', fail))
	return raw
}

const COUNTED = ['connections_accepted', 'upgrades', 'connections_closed', 'refusals', 'http_requests', 'http_responses', 'messages_received',
	'messages_sent', 'received_bytes', 'sent_bytes', 'limit_warnings', 'limit_closings', 'connection_duration_seconds_count', 'pings_sent', 'chat_errors',
	'auth_refused', 'close_timeouts'].map((name) => `herold_${name}`)

/** Every series that clients cause is what was done, and those that nobody caused are 0. */
async function assertCounted(herold, tally, what) {
	const wanted = () => ({ ...Object.fromEntries(tally.expected), ...tally.bytes })
	const got = async () => Object.fromEntries([...(await herold.metrics()).values].filter(([series, value]) => value !== 0 &&
		COUNTED.some((name) => series.replace(/_total(\{|$)/, '$1').replace(/\{.*/, '') === name)))
	let last

	await waitFor(async () => {
		last = await got()
		return Object.entries(wanted()).every(([series, value]) => last[series] >= value)
	}, `the counters, ${what}`).catch(() => {})
	assert.deepEqual(last, wanted(), what)
}

/** All the ways in which it can be done by hand. */
async function load(herold, tally) {
	const get = (path, headers = 'Host: localhost\r\n') => `GET ${path} HTTP/1.1\r\n${headers}\r\n`
	const page = await tally.open(herold)

	page.write(get('/', 'Host: localhost\r\nConnection: close\r\n'))
	assert.equal((await page.response()).status, 200)
	await page.finished()
	page.end()
	tally.add('http_requests_total')
	tally.add('http_responses_total{code="200"}')
	tally.closed('http_done', 'normal', { isWebSocket: false })

	await tally.refused(herold, get('/nowhere'), 404, 'not_found')
	await tally.refused(herold, get('/', 'Host: evil.example\r\n'), 421, 'host')
	await tally.refused(herold, 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n', 405, 'method')
	await tally.refused(herold, 'GET / HTTP/9.9\r\nHost: localhost\r\n\r\n', 505, 'bad_request')
	await tally.refused(herold, handshake({ headers: { Origin: 'https://evil.example' } }), 403, 'origin')
	await tally.refused(herold, handshake({ headers: { 'Sec-WebSocket-Version': '8' } }), 426, 'bad_handshake')
	await tally.refused(herold, 'GET / HT', 408, 'slow_request', { reason: 'handshake_timeout', className: 'timeout' })

	const client = await tally.websocket(herold, 20)

	client.write(frame(OP.CLOSE, closePayload(1000)))
	assert.equal((await client.closeFrame()).code, 1000)
	await client.finished()
	client.end()
	tally.closed('client_close', 'normal')
	;(await tally.websocket(herold, 5)).end()
	tally.closed('client_eof', 'normal')
	;(await tally.websocket(herold, 5)).socket.resetAndDestroy()
	tally.closed('client_reset', 'error')
	for (const [bytes, code, reason] of [[frame(OP.TEXT, Buffer.from([0xff])), 1007, 'bad_utf8'], [frame(3, ''), 1002, 'protocol_error'],
		[frame(OP.TEXT, '', { length: 5000 }), 1009, 'too_big']]) {
		const raw = await tally.websocket(herold, 3)

		raw.write(bytes)
		assert.equal((await raw.closeFrame()).code, code)
		await raw.finished()
		raw.end()
		tally.closed(reason, 'error')
	}
	const binary = await tally.websocket(herold, 0, { path: '/ws' })

	binary.write(frame(OP.BINARY, 'binary'))
	assert.equal((await binary.closeFrame()).code, 1003)
	binary.write(frame(OP.CLOSE, closePayload(1003)))
	await binary.finished()
	binary.end()
	tally.add('messages_received_total')
	tally.closed('bad_data', 'error')
}

/** Two connections of an address that may have two, and one that is too many; one sends more than it may, and goes on. */
async function loadLimited(herold, tally) {
	const staying = await tally.websocket(herold, 0, { localAddress: LIMITED })
	const sending = await tally.websocket(herold, 0, { localAddress: LIMITED })

	await tally.refused(herold, handshake({ path: '/echo' }), 429, 'address_connections', { localAddress: LIMITED, reason: 'limit_reached' })
	let sent = 0

	// At least 60 in a minute, and further ones for each second that this takes; then a warning, which /echo cannot give, then the end.
	while (!sending.ended && sent < 1000) {
		sending.write(frame(OP.TEXT, 'x'))
		sent++
		await waitFor(() => sending.bytes.length > 0 || sending.ended, 'an answer', 2000).catch(() => {})
		const answer = await sending.frame(100).catch(() => undefined)

		if (answer?.opcode === OP.CLOSE) {
			assert.equal(answer.code, 1008)
			break
		}
	}
	await sending.finished()
	sending.end()
	staying.end()
	return sent
}

/** Reads /metrics all the time: what has counted up never falls. Returns an end(), which says how often it looked. */
function watch(herold) {
	let isOver = false
	let looks = 0
	const falls = []
	const done = (async () => {
		let before = new Map()

		while (!isOver) {
			const now = countersOf(await herold.metrics())

			for (const [series, value] of before) {
				if (now.get(series) < value)
					falls.push(`${series}: ${value} and then ${now.get(series)}`)
			}
			before = now
			looks++
		}
	})()

	return async () => {
		isOver = true
		await done
		assert.deepEqual(falls, [])
		return looks
	}
}

story('every counter is what was sent, though a worker is killed', { options: OPTIONS, timeout: 120000 }, async (herold, t) => {
	const tally = new Tally()
	const end = watch(herold)
	const gauge = async (name) => (await herold.metrics()).values.get(`herold_${name}`)

	await load(herold, tally)
	await assertCounted(herold, tally, 'before')
	await waitFor(async () => await gauge('connections') === 0, 'all gone')

	// Some on each worker, for the gauges.
	const open = []
	let workers

	do {
		open.push(await tally.websocket(herold, 2))
		workers = (await herold.status()).workers
	} while (workers.some((w) => w.websockets < 2))
	await assertCounted(herold, tally, 'with open connections')
	assert.deepEqual([await gauge('connections'), await gauge('websockets')], [open.length, open.length])
	assert.ok(await gauge('memory_bytes{subsystem="connections"}') >= open.length * 300, 'these, and those of the admin listener')
	process.kill(workers[0].pid, 'SIGKILL')
	await waitFor(async () => await gauge('workers_ready') === 2 && await gauge('restarts_total{process="worker"}') === 1, 'another worker')
	const left = open.filter((raw) => !raw.ended)

	assert.equal(left.length, workers[1].websockets)
	assert.deepEqual([await gauge('connections'), await gauge('websockets'), await gauge('worker_connections{worker="0"}'),
		await gauge('worker_connections{worker="1"}')], [left.length, left.length, 0, left.length], 'its gauges are taken back')
	await assertCounted(herold, tally, 'after the kill')
	left.forEach((raw) => raw.end())
	left.forEach(() => tally.closed('client_eof', 'normal'))
	await load(herold, tally)
	await assertCounted(herold, tally, 'after all of it again')
	await waitFor(async () => await gauge('connections') === 0, 'all gone')
	const sum = [0, 1].map((slot) => gauge(`worker_messages_received_total{worker="${slot}"}`))

	assert.equal((await Promise.all(sum)).reduce((a, b) => a + b), tally.expected.get('herold_messages_received_total'), 'by worker, the killed one too')
	t.diagnostic(`looked ${await end()} times`)
})

story('clients over their limits are counted by the limit', { options: OPTIONS }, async (herold) => {
	const tally = new Tally()
	const sent = await loadLimited(herold, tally)
	const { values } = await waitFor(async () => {
		const now = await herold.metrics()

		return now.values.get('herold_connections') === 0 && now
	}, 'all gone')
	const of = (series) => values.get(`herold_${series}`)

	assert.equal(of('refusals_total{kind="address_connections"}'), 1)
	assert.equal(of('connections_closed_total{reason="limit_reached",class="refused"}'), 1)
	assert.equal(of('limit_warnings_total{kind="messages"}'), 1)
	assert.equal(of('limit_closings_total{kind="messages"}'), 1)
	assert.equal(of('connections_closed_total{reason="rate_limited",class="limit"}'), 1)
	assert.ok(of('messages_received_total') >= 60 && of('messages_received_total') <= sent, `${of('messages_received_total')} of ${sent}`)
	assert.equal(of('connection_duration_seconds_count'), 2)
})

story('what Prometheus gets', { options: { workers: 2 } }, async (herold, t) => {
	const [anna, ben] = await Promise.all(['anna', 'ben'].map((userId) => ChatClient.login(herold, { userId })))

	for (let i = 0; i < 20; i++)
		await anna.ask({ type: 'chat', message: `m${i}`, ref: `${i}` })
	await waitFor(() => ben.texts().length === 20, 'all messages')
	await t.test('promtool has nothing to say', async () => {
		assert.equal(await promtool((await herold.metrics()).text), '')
	})
	await t.test('every row of the table, with its help, and no other', async () => {
		const { types } = await herold.metrics()
		const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
		const documented = [...page.matchAll(/^\| `(herold_\w+)` \| (\w+) /gm)].map(([, name, type]) => [name, type])

		assert.deepEqual([...types], documented)
		assert.ok(documented.length > 90)
	})
	await t.test('OpenMetrics for whoever wants it', async () => {
		const plain = await herold.admin('/metrics')
		const open = await herold.admin('/metrics', { headers: { Accept: 'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1' } })
		const asked = async (Accept) => (await herold.admin('/metrics', { headers: { Accept } })).headers.get('content-type').split(';')[0]

		assert.equal(plain.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
		assert.equal(open.headers.get('content-type'), 'application/openmetrics-text; version=1.0.0; charset=utf-8')
		assert.ok(open.text.endsWith('\n# EOF\n') && !plain.text.includes('# EOF'))
		assert.equal(await asked('text/plain;q=0.9, application/openmetrics-text;q=0.4'), 'text/plain')
		assert.equal(await asked('application/openmetrics-text; q=0'), 'text/plain')
		assert.equal(await asked('APPLICATION/OpenMetrics-Text'), 'application/openmetrics-text')
		assert.equal(await asked('text/html, */*'), 'text/plain')
		const { types, values } = parseMetrics(open.text)
		const names = [...values.keys()]

		assert.deepEqual(names.map((name) => name.replace(/(le="\d+)\.0"/, '$1"')), [...parseMetrics(plain.text).values.keys()], 'the same series')
		assert.equal(types.get('herold_refusals'), 'counter', 'without its suffix')
		assert.match(open.text, /^# UNIT herold_received_bytes bytes$/m)
		assert.ok(values.has('herold_connection_duration_seconds_bucket{le="1.0"}'))
		// Their units are at their ends, as OpenMetrics wants it.
		for (const [, name, unit] of open.text.matchAll(/^# UNIT (\S+) (\S+)$/gm))
			assert.ok(name.endsWith(`_${unit}`), name)
	})
	await t.test('only its head, and nothing else than that it is asked for', async () => {
		assert.equal((await herold.admin('/metrics', { method: 'HEAD' })).text, '')
		assert.equal((await herold.admin('/metrics', { method: 'POST' })).status, 405)
		assert.equal((await herold.admin('/metrics', { headers: { Origin: 'http://evil.example' } })).status, 403)
		assert.equal((await herold.metrics()).values.get('herold_refusals_total{kind="admin_origin"}'), 1)
	})
	await t.test('histograms count what happened, and add up', async () => {
		const { values } = await herold.metrics()

		for (const [name, least] of [['delivery_latency_seconds', 20], ['loop_turn_seconds', 20], ['broker_turn_seconds', 20]]) {
			const buckets = [...values].filter(([series]) => series.startsWith(`herold_${name}_bucket`)).map(([, value]) => value)

			assert.deepEqual(buckets, [...buckets].sort((a, b) => a - b), name)
			assert.equal(buckets.at(-1), values.get(`herold_${name}_count`))
			assert.ok(buckets.at(-1) >= least, `${name}: ${buckets.at(-1)}`)
			assert.ok(values.get(`herold_${name}_sum`) > 0 && values.get(`herold_${name}_sum`) < 60, name)
		}
	})
	await t.test('what the processes take', async () => {
		const { values } = await waitFor(async () => {
			const now = await herold.metrics()

			return ['master', 'broker', 'admin', 'workers'].every((process) => now.values.get(`herold_cpu_seconds_total{process="${process}"}`) > 0) && now
		}, 'processor time of all')

		for (const process of ['master', 'broker', 'admin', 'workers']) {
			const of = (name) => values.get(`herold_${name}{process="${process}"}`)

			assert.ok(of('resident_bytes') > 1e6, `${process}: ${of('resident_bytes')} resident`)
			assert.ok(of('open_files') > 5 && of('open_files') < of('max_open_files'), `${process}: ${of('open_files')} files`)
		}
		assert.equal(values.get('herold_rooms'), 1)
		assert.equal(values.get('herold_members'), 2)
		assert.deepEqual([values.get('herold_ready'), values.get('herold_draining'), values.get('herold_workers'), values.get('herold_workers_ready')], [1, 0, 2, 2])
		assert.ok(Math.abs(values.get('herold_start_time_seconds') - Date.now() / 1000) < 600)
	})
})

story('a server that wants tokens counts who has none', { options: { workers: 1, auth: 'token', token_file: file('metrics-tokens.json', [{ token: TOKEN, user: 'u1' }]) } },
	async (herold) => {
		const raw = await RawSocket.open(herold.address)

		raw.write(handshake({ path: '/echo' }))
		assert.equal((await raw.response()).status, 401)
		await raw.finished()
		const { values } = await herold.metrics()

		assert.equal(values.get('herold_refusals_total{kind="token"}'), 1)
		assert.equal([...values].filter(([series]) => series.startsWith('herold_auth_refused_total')).reduce((sum, [, value]) => sum + value, 0), 1)
	})

story('the admin_token is wanted here, too', { options: { workers: 1, admin_token_file: file('metrics-admin-token', 'metrics-admin-token-0123456789') } }, async (herold) => {
	assert.equal((await herold.admin('/metrics')).status, 401)
	const { values } = await herold.metrics({ headers: { Authorization: 'Bearer metrics-admin-token-0123456789' } })

	assert.equal(values.get('herold_refusals_total{kind="admin_token"}'), 1)
})

story('a drain is seen', { options: { workers: 1, predrain_seconds: 1, drain_seconds: 3 } }, async (herold) => {
	const clients = await Promise.all(Array.from({ length: 6 }, () => RawSocket.upgraded(herold.address, { path: '/echo' })))
	const drained = (values) => values.get('herold_connections_closed_total{reason="going_away",class="drain"}')

	herold.terminate()
	await waitFor(async () => (await herold.metrics()).values.get('herold_draining') === 1, 'the order')
	const { values } = await waitFor(async () => {
		const now = await herold.metrics()

		return drained(now.values) > 0 && now
	}, 'one that had to go')

	assert.equal(values.get('herold_ready'), 0)
	clients.forEach((raw) => raw.end())
})

story('what waits for the broker is seen, and what the log holds back', { options: { workers: 1, log_lines_per_second: 1, log_level: 'debug' } }, async (herold) => {
	const client = await ChatClient.login(herold, { userId: 'u' })
	const { broker } = await herold.pids()

	process.kill(broker, 'SIGSTOP')
	for (let i = 0; i < 100; i++)
		client.send({ type: 'publish', channel: 'news', data: 'x'.repeat(15000), ref: `${i}` })
	const { values } = await waitFor(async () => {
		const now = await herold.metrics()

		return now.values.get('herold_broker_link_queue_bytes{process="workers"}') > 0 && now
	}, 'a queue')

	process.kill(broker, 'SIGCONT')
	assert.ok(values.get('herold_memory_bytes{subsystem="link_queues"}') > 0)
	await waitFor(() => client.received.filter((m) => m.ref !== undefined).length === 100, 'a word on each')
	assert.ok((await herold.metrics()).values.get('herold_log_lines_held_back_total') > 10)
})

/** TLS connections of this machine whose records the kernel makes, ever; undefined: it makes none. */
function kernelTls() {
	try {
		return [...readFileSync('/proc/net/tls_stat', 'utf8').matchAll(/^TlsTx(?:Sw|Device)\s+(\d+)/gm)].reduce((sum, [, n]) => sum + Number(n), 0)
	} catch {
		return undefined
	}
}

story('connections whose records the kernel makes', { options: { workers: 1, listen: '', tls_listen: '127.0.0.1:0', tls_self_signed: 'on', tls_kernel: 'auto' } }, async (herold) => {
	const before = kernelTls()
	const socket = connectTls({ ...herold.tls, rejectUnauthorized: false })

	await once(socket, 'secureConnect')
	socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
	await once(socket, 'data')
	const { values } = await herold.metrics()

	assert.equal(values.get('herold_tls_handshakes_total'), 1)
	assert.equal(values.get('herold_tls_kernel_total') > 0, (kernelTls() ?? 0) > (before ?? 0))
	socket.destroy()
})

story('who waits to be accepted is seen, though the worker is busy', { options: { workers: 1 } }, async (herold) => {
	const { workers: [worker] } = await herold.pids()
	const waiting = async (count) => waitFor(async () => (await herold.metrics()).values.get('herold_accept_queue') === count, `${count} in the queue`)

	process.kill(worker, 'SIGSTOP')
	const clients = await Promise.all(Array.from({ length: 7 }, () => RawSocket.open(herold.address)))

	await waiting(7)
	process.kill(worker, 'SIGCONT')
	await waiting(0)
	clients.forEach((raw) => raw.destroy())
})

clusterStory('calls of Redis are timed', { hosts: 1 }, async (cluster) => {
	const [host] = cluster.hosts
	const anna = await ChatClient.login(host, { userId: 'anna' })

	for (let i = 0; i < 5; i++)
		await anna.ask({ type: 'chat', message: `m${i}`, ref: `${i}` })
	// What Redis says of the last one may be here before the message itself.
	const values = await waitFor(async () => {
		const now = (await host.metrics()).values

		return now.get('herold_delivery_latency_seconds_count') >= 5 && now
	}, 'five deliveries')

	assert.ok(values.get('herold_redis_call_seconds_count') >= 5)
	assert.ok(values.get('herold_redis_call_seconds_count') <= values.get('herold_redis_calls_total'))
	assert.equal(values.get('herold_redis_up'), 1)
	assert.ok(values.get('herold_rooms') >= 1)
	assert.equal(await promtool((await host.metrics()).text), '')
})
