// herold-load: every scenario against a Herold, by its counts (times are for the bench), and what it says when there is nothing to measure.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import test from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'

import { runLoad, startLoad } from './support/herold-load.mjs'
import { story, waitFor } from './support/herold.mjs'

const FINE = { refused: 0, lost: 0, causes: {} }

/** That a load ended well, with these figures among the others. */
function assertFine({ code, err, json }, figures) {
	assert.equal(code, 0, err)
	assert.deepEqual(Object.fromEntries(Object.keys({ ...FINE, ...figures }).map((key) => [key, json[key]])), { ...FINE, ...figures })
}

const websockets = async (herold) => (await herold.status()).workers.reduce((sum, worker) => sum + worker.websockets, 0)

story('echo: closed and open loop, over processes and source addresses', {}, async (herold) => {
	const closed = await runLoad('echo', herold.wsUrl, '--connections=20', '--processes=3', '--bytes=70000', '--seconds=1', '--warmup-ms=0', '--json')

	assertFine(closed, { scenario: 'echo', connections: 20, processes: 3, bytes: 70000, opened: 20, missing: 0 })
	assert.ok(closed.json.messages > 20)
	assert.ok(closed.json.p50_us > 0 && closed.json.p50_us <= closed.json.p99_us && closed.json.p99_us <= closed.json.max_us)
	// So many are due in a second, and each counts, however late it is back.
	const open = await runLoad('echo', herold.wsUrl, '--connections=7', '--processes=2', '--rate=201', '--seconds=1', '--source=127.1.0.1,3', '--json')

	assertFine(open, { opened: 7, rate: 201, messages: 201, missing: 0, unsent: 0 })
	assert.ok('late_p99_us' in open.json)
})

story('echo: what was due goes, however late, and the time that it waited counts', {}, async (herold) => {
	const late = startLoad('echo', herold.wsUrl, '--connections=5', '--rate=100', '--seconds=1', '--warmup-ms=0', '--json')

	await waitFor(async () => (await herold.status()).counters.messages_received > 0, 'the first message')
	const child = Number(readFileSync(`/proc/${late.child.pid}/task/${late.child.pid}/children`, 'utf8'))

	process.kill(child, 'SIGSTOP')
	// Another one takes longer than the one that stands still is to measure.
	assertFine(await runLoad('echo', herold.wsUrl, '--connections=1', '--seconds=2', '--json'), {})
	process.kill(child, 'SIGCONT')
	const result = await late.done

	assertFine(result, { messages: 100, sent: 100, missing: 0, unsent: 0 })
	assert.ok(result.json.late_max_us > 500000 && result.json.max_us > 500000)
})

test('open loop: what comes after the end has its time and its processor time in the rates', async () => {
	const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
	const held = []

	server.on('connection', (socket) => socket.on('message', (data) => {
		held.push(data)
		if (held.length < 100)
			return
		setTimeout(() => {
			const before = process.cpuUsage()

			while (process.cpuUsage(before).user < 300000)
				held.length = 100
			held.forEach((one) => socket.send(one, { binary: false }))
		}, 700)
	}))
	await new Promise((done) => server.once('listening', done))
	const result = await runLoad('echo', `ws://127.0.0.1:${server.address().port}`, '--connections=1', '--rate=100', '--seconds=1', '--warmup-ms=0',
		`--pids=${process.pid}`, '--json')
	const { json } = result

	server.close()
	assertFine(result, { messages: 100, after_end: 100, missing: 0 })
	assert.ok(json.seconds > 1.6 && json.last_after_end_us > 600000, `${json.seconds} s, ${json.last_after_end_us} us`)
	assert.ok(Math.abs(json.per_second - 100 / json.seconds) < 1 && json.cpu_seconds >= 0.3)
	assert.ok(Math.abs(json.per_cpu_second - 100 / json.cpu_seconds) < 1)
})

story('echo: binary, compressed and empty messages', {}, async (herold) => {
	for (const args of [['--binary'], ['--compress', '--bytes=5000'], ['--bytes=0']]) {
		const { json, ...result } = await runLoad('echo', herold.wsUrl, '--connections=4', '--seconds=1', '--json', ...args)

		assertFine({ json, ...result }, { opened: 4, missing: 0 })
		assert.ok(json.messages > 0)
	}
})

story('broadcast: each message to each once, and what others publish is told apart', {}, async (herold) => {
	const load = startLoad('broadcast', herold.wsUrl, '--connections=40', '--processes=3', '--publishers=5', '--rate=60', '--seconds=2', '--json')

	await waitFor(async () => await websockets(herold) === 40, 'all connections')
	const other = new WebSocket(`${herold.wsUrl}/broadcast`)

	await new Promise((done) => other.once('open', done))
	other.send('a message of somebody else, and not a short one')
	other.send('')
	await new Promise((done) => other.once('message', done))
	assertFine(await load.done, { opened: 40, messages: 60 * 2 * 40, missing: 0, duplicates: 0, out_of_order: 0, others: 80 })
	other.terminate()
	const closed = await runLoad('broadcast', herold.wsUrl, '--connections=30', '--publishers=4', '--under-way=8', '--seconds=1', '--json')

	assertFine(closed, { opened: 30, missing: 0, duplicates: 0 })
	assert.ok(closed.json.messages >= 30)
})

story('chat: acknowledgements, and a delivery of each message to each member', { options: { heartbeat_seconds: 1 } }, async (herold) => {
	for (const how of [['--under-way=6'], ['--rate=100']]) {
		const { json, ...result } = await runLoad('chat', herold.wsUrl, '--connections=40', '--processes=3', '--rooms=5', '--publishers=10',
			'--seconds=2', '--json', ...how)

		assertFine({ json, ...result }, { opened: 40, missing: 0, duplicates: 0, errors: 0, unanswered: 0, resets: 0, others: 0, acks: json.sent,
			deliveries: json.sent * 40 / 5 })
		assert.ok(json.sent > 0 && json.pings > 0)
		if (how[0] === '--rate=100')
			assertFine({ json, ...result }, { publications: 200, messages: 200 * 40 / 5 })
	}
})

story('chat: what the server does not take is counted, and the first one told', { options: { limit_exempt: '', messages_per_minute: 60 } }, async (herold) => {
	// One connection: with more, the end of one may be heard before the warning of another.
	const { code, err, json } = await runLoad('chat', herold.wsUrl, '--connections=1', '--rate=200', '--seconds=2', '--json')

	assert.equal(code, 1)
	assert.match(err, /connection \d+: the chat refuses a message: rate_limited/)
	assert.ok(json.errors > 0)
	assert.equal(json.causes['error rate_limited'], json.errors)
})

story('idle: holds through heartbeats, and counts who was lost', { options: { heartbeat_seconds: 1 } }, async (herold) => {
	for (const args of [['--bytes=100000'], ['--bytes=0'], ['--chat', '--rooms=10']]) {
		const load = startLoad('idle', herold.wsUrl, '--hold', '--connections=30', '--processes=2', '--json', ...args)

		await waitFor(() => load.out === 'ready\n', 'that all are ready')
		assert.equal(await websockets(herold), 30)
		const { pings_sent: before } = (await herold.status()).counters

		await waitFor(async () => (await herold.status()).counters.pings_sent >= before + 90, 'three pings for each')
		load.child.stdin.end()
		const result = await load.done

		assertFine(result, { opened: 30 })
		assert.ok(result.json.pings >= 60)
	}
	const load = startLoad('idle', herold.wsUrl, '--connections=20', '--seconds=60', '--bytes=0', '--json')

	await waitFor(() => load.out === 'ready\n', 'that all are ready')
	herold.terminate()
	const { code, err, json } = await load.done

	assert.equal(code, 1)
	assert.match(err, /connection \d+: closed by the server with code 1001, server is going away/)
	assert.deepEqual([json.lost, json.causes], [20, { 'close 1001': 20 }])
})

story('connect: every handshake counts', {}, async (herold) => {
	assertFine(await runLoad('connect', herold.wsUrl, '--connections=200', '--at-once=4', '--json'), { opened: 200, messages: 200 })
	assertFine(await runLoad('connect', herold.wsUrl, '--connections=50', '--rate=100', '--processes=2', '--json'), { opened: 50, messages: 50 })
})

story('connect: who is refused counts by status', { options: { limit_exempt: '', address_connects_per_second: 0, address_connections: 5 } },
	async (herold) => {
		// Five of each address may stay.
		assertFine(await runLoad('connect', herold.wsUrl, '--connections=20', '--keep', '--source=127.1.0.1,4', '--json'), { opened: 20 })
		const fromThree = (first, ...more) => runLoad('connect', herold.wsUrl, '--connections=20', '--keep', `--source=${first},3`, '--json', ...more)
		const { code, json } = await fromThree('127.2.0.1')

		assert.deepEqual([code, json.opened, json.refused, json.causes], [1, 15, 5, { 'status 429': 5 }])
		assert.equal((await fromThree('127.3.0.1', '--lost-ok=5')).code, 0)
	})

story('reconnect: who was cut off comes back and has missed nothing', {}, async (herold) => {
	const { json, ...result } = await runLoad('reconnect', herold.wsUrl, '--connections=60', '--processes=2', '--cut=30', '--rooms=6',
		'--publishers=6', '--rate=60', '--seconds=4', '--backoff-ms=300', '--json')

	assertFine({ json, ...result }, { opened: 60, cut: 30, recovered: 30, not_back: 0, resets: 0, missing: 0, duplicates: 0, unanswered: 0,
		acks: json.sent })
	assert.ok(json.before_p99_us > 0 && json.during_p99_us > 0 && json.back_max_us > 0)
	assert.equal(json.deliveries + json.recovered_messages, json.sent * 10, 'live or in the answer')
})

const PACED = { limit_exempt: '', handshakes_per_second: 4, messages_per_minute: 0, leave_grace_seconds: 60 }

story('reconnect: who is sent away for now, and comes back later, is no error', { options: PACED }, async (herold) => {
	// By default no more rooms than connections.
	const { json, ...result } = await runLoad('reconnect', herold.wsUrl, '--connections=12', '--connect-rate=4', '--cut=8', '--publishers=1', '--rate=20',
		'--seconds=12', '--backoff-ms=0', '--json')

	assert.ok(json.retries > 0, result.err)
	assert.match(result.err, /^herold-load: first: connection \d+: .*503/)
	assert.deepEqual([result.code, json.rooms, json.refused, json.lost, json.not_back, json.missing, json.resets], [0, 12, 0, 0, 0, 0, 0], result.err)
})

story('reconnect: who has missed something is an error, if it is not allowed', { options: { room_history: 0 } }, async (herold) => {
	for (const [allowed, expected] of [[[], 1], [['--reset-ok=20'], 0]]) {
		const { code, err, json } = await runLoad('reconnect', herold.wsUrl, '--connections=40', '--cut=20', '--rooms=2', '--publishers=4', '--rate=200',
			'--seconds=2', '--backoff-ms=500', '--json', ...allowed)

		// Who is back at once may have missed nothing.
		assert.ok(json.resets > 0 && json.resets + json.recovered === 20, `${json.resets} and ${json.recovered}`)
		assert.deepEqual([code, json.lost, json.not_back, json.missing], [expected, 0, 0, 0], err)
		assert.match(err, /^herold-load: first: connection \d+: the server says that what it missed is not recovered$/m)
	}
})

story('TLS: all the same, and a certificate that is not trusted is told', { options: { tls_self_signed: 'on', workers: 1 } }, async (herold) => {
	const { host, port } = herold.tls
	const url = `wss://${host}:${port}`

	assertFine(await runLoad('echo', url, '--insecure', '--connections=5', '--rate=50', '--bytes=100000', '--seconds=1', '--json'), { messages: 50 })
	assertFine(await runLoad('chat', url, '--insecure', '--connections=5', '--publishers=2', '--rate=20', '--seconds=1', '--json'), { messages: 100 })
	assertFine(await runLoad('connect', url, '--insecure', '--connections=10', '--json'), { opened: 10 })
	const distrustful = await runLoad('echo', url)

	assert.equal(distrustful.code, 1)
	assert.match(distrustful.err, /^herold-load: no connection: connection \d+: TLS: self-signed certificate\n$/)
})

story('figures of the server, by its tree of processes or a list of them', { options: { workers: 2 } }, async (herold) => {
	for (const who of [`--pid=${herold.pid}`, `--pids=${herold.processes()}`]) {
		const { json, ...result } = await runLoad('echo', herold.wsUrl, '--connections=5', '--seconds=1', '--json', who)

		assertFine({ json, ...result }, {})
		assert.ok(json.cpu_seconds > 0 && json.per_cpu_second > 0)
		assert.deepEqual(Object.keys(json.server_pss_bytes), ['before', 'ready', 'after'])
	}
	const text = await runLoad('echo', herold.wsUrl, '--connections=5', '--seconds=1', '--progress', `--pid=${herold.pid}`)

	assert.equal(text.code, 0)
	assert.match(text.out, /^echo: 5 connections to .*\n(.*\n)*  messages +[\d,]+\n(.*\n)*  time +p50 [\d.]+ ms, p99 (.*\n)*  server's processor time /)
	assert.match(text.err, /^ +1 s: opened 5, ready 5, refused 0, lost 0; per second: /m)
})

story('an interrupt ends it early, with the results so far', {}, async (herold) => {
	const load = startLoad('echo', herold.wsUrl, '--connections=5', '--processes=2', '--seconds=600', '--json')

	await waitFor(async () => (await herold.status()).counters.messages_received > 100, 'messages')
	load.child.kill('SIGINT')
	const { code, json } = await load.done

	assert.equal(code, 130)
	assert.ok(json.seconds < 600 && json.lost === 0)
	await waitFor(async () => await websockets(herold) === 0, 'the end of its processes')
})

story('a target that is none ends it with a sentence', {}, async (herold) => {
	for (const [url, pattern] of [
		['ws://127.0.0.1:1', /127\.0\.0\.1:1: Connection refused: no server listens there/],
		[`${herold.wsUrl}/nowhere`, /the server does not upgrade \/nowhere but answers "404 Not Found"/],
		[`ws://${herold.adminAddress}`, /the server does not upgrade \/echo but answers "4\d\d /],
		['wss://' + herold.address, /TLS: wrong version number/],
	]) {
		const { code, err, out } = await runLoad('echo', url, '--json')

		assert.deepEqual([code, out], [1, ''], url)
		assert.match(err, pattern)
	}
})

test('a server that is no WebSocket server, or ends at once', async () => {
	for (const [answer, pattern] of [['hello\r\n\r\n', /answers "hello"/], ['', /ended by the server without a close frame/],
		['HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n', /Sec-WebSocket-Accept is wrong/], ['x'.repeat(10000), /has no end/]]) {
		const server = createServer((socket) => socket.on('error', () => {}).once('data', () => socket.end(answer)))

		await new Promise((done) => server.listen(0, '127.0.0.1', done))
		const { code, err } = await runLoad('echo', `ws://127.0.0.1:${server.address().port}`, '--connections=1')

		server.close()
		assert.equal(code, 1)
		assert.match(err, pattern)
	}
})

test('what a server says neither steers the terminal nor breaks the JSON', async () => {
	const server = createServer((socket) => socket.on('error', () => {}).once('data', () => socket.end('HTTP/1.1 4"\\ \x1b[2J\xe4\r\n\r\n')))

	await new Promise((done) => server.listen(0, '127.0.0.1', done))
	const { code, err, json } = await runLoad('connect', `ws://127.0.0.1:${server.address().port}`, '--connections=1', '--json')

	server.close()
	assert.deepEqual([code, json.causes], [1, { 'status 4??': 1 }])
	assert.match(err, /answers "4"\\ \?\[2J\?+"\n$/)
})

test('mistakes in the command line have exit status 2 and a sentence', async () => {
	for (const [args, pattern] of [
		[[], /a scenario is missing/],
		[['fan'], /there is no scenario "fan"/],
		[['echo', 'http://h'], /begins with ws:\/\/ or wss:\/\//],
		[['echo', 'ws://h', 'ws://h'], /there is one URL/],
		[['echo', '--rooms=3'], /--rooms is no option of echo/],
		[['echo', '--connections=0'], /--connections=0: a whole number from 1 to /],
		[['echo', '--connections=1k'], /a whole number/],
		[['echo', '--nothing'], /unrecognized option/],
		[['broadcast', '--rate=5', '--under-way=5'], /not both/],
		[['broadcast', '--bytes=8'], /--bytes=8: broadcast needs 24/],
		[['broadcast', '--connections=5', '--publishers=6'], /more publishers \(6\) than connections \(5\)/],
		[['echo', '--connections=2', '--processes=3'], /more processes/],
		[['chat', '--rooms=2000'], /more rooms/],
		[['chat', '--room-prefix=a b'], /--room-prefix=a b/],
		[['reconnect', '--cut=2000'], /some have to stay/],
		[['echo', '--insecure'], /for wss:\/\/ only/],
		[['echo', '--source=localhost'], /IPv4 address/],
		[['echo', '--source=127.0.0.1,0'], /how many addresses/],
		[['echo', '--pids=1,x'], /--pids=1,x/],
		[['echo', '--pid=4194304'], /no such process/],
	]) {
		const { code, err, out } = await runLoad(...args)

		assert.deepEqual([code, out], [2, ''], args.join(' '))
		assert.match(err, pattern)
	}
})

test('what this machine cannot give is said before anything is tried', async () => {
	const ports = await runLoad('idle', '--connections=70000')

	assert.equal(ports.code, 1)
	assert.match(ports.err, /70000 connections from 1 address, .*--source=ADDRESS,\d+ or more/)
	const address = await runLoad('echo', '--connections=1', '--source=192.0.2.1')

	assert.equal(address.code, 1)
	assert.match(address.err, /--source: 192\.0\.2\.1 is no address of this machine/)
})

test('help: of all scenarios, and of one', async () => {
	const all = await runLoad('--help')
	const one = await runLoad('chat', '--help')

	assert.deepEqual([all.code, one.code, all.err, one.err], [0, 0, '', ''])
	for (const name of ['echo', 'broadcast', 'chat', 'idle', 'connect', 'reconnect'])
		assert.match(all.out, new RegExp(`^  ${name} `, 'm'))
	assert.match(one.out, /--rooms=N/)
	assert.doesNotMatch(one.out, /--cut=N/)
	assert.ok([...all.out.split('\n'), ...one.out.split('\n')].every((line) => line.length <= 120 && !line.endsWith(' ')), 'lines are short')
})
