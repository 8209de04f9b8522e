// The log of a server that runs: levels by area, floods, ids of requests, lines for the audit; and the events of every process.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { ChatClient } from './support/client.mjs'
import { logFields, story, waitFor } from './support/herold.mjs'
import { Nginx } from './support/nginx.mjs'
import { RawSocket } from './support/raw.mjs'

const table = (name) => readFileSync(new URL(`../../common/svc/${name}`, import.meta.url), 'utf8')
const AREAS = [...table('log_areas.tbl').matchAll(/^LOG_AREA_ROW\((\w+),/gm)].map(([, name]) => name)
const EVENTS = [...table('trace.tbl').matchAll(/^TRACE_ROW\((\w+),/gm)].map(([, name]) => name)

const parsed = (herold) => herold.lines.map(logFields)
const found = (herold, message) => parsed(herold).filter((line) => line.message === message)
const all = (level) => Object.fromEntries(AREAS.map((area) => [area, level]))
const post = (body) => ({ method: 'POST', body: JSON.stringify(body) })

async function levels(herold, body) {
	const { status, json, text } = await herold.admin('/api/log-level', body === undefined ? undefined : post(body))

	assert.equal(status, 200, text)
	return json.levels
}

/** The sum of a metric over its cases. */
async function metric(herold, name) {
	const { text } = await herold.admin('/metrics')

	return text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`)).reduce((sum, line) => sum + Number(line.split(' ').pop()), 0)
}

/** What a frame leaves in the log, of a client of its own. */
async function echoed(herold, text) {
	const client = await ChatClient.open(herold, { path: '/echo' })

	client.send(JSON.stringify(text))
	await client.next((m) => m === text)
	await client.close()
	await waitFor(() => found(herold, 'closed by the client').length > 0, 'the end in the log')
	const lines = parsed(herold)

	herold.lines.length = 0
	return { frames: lines.filter((line) => line.area === 'frames'), debug: lines.filter((line) => line.level === 'debug' || / debug /.test(line.line)), lines }
}

story('levels by area, while it runs', { options: { log_format: 'json', workers: 1 } }, async (herold, t) => {
	assert.deepEqual(await levels(herold), all('info'))
	assert.equal((await echoed(herold, 'quiet')).debug.length, 0)

	await t.test('one area', async () => {
		assert.deepEqual(await levels(herold, { level: 'debug', area: 'frames' }), { ...all('info'), frames: 'debug' })
		const { frames, debug } = await echoed(herold, 'heard')

		assert.deepEqual(frames.map((line) => line.message), ['frame in', 'frame out', 'frame in', 'frame out'])
		assert.ok(debug.every((line) => line.area === 'frames'), 'and no other')
	})
	await t.test('who changed it stands in the log', async () => {
		assert.deepEqual(await levels(herold, { level: 'error' }), all('error'))
		const line = await waitFor(() => found(herold, 'the level of the log was changed').at(-1), 'the line')

		assert.deepEqual([line.audit, line.area, line.log_level, line.log_area], ['admin', 'admin', 'error', 'all'])
		assert.match(line.peer, /^127\.0\.0\.1:/)
		await levels(herold, { level: 'info' })
	})
	await t.test('what is refused', async () => {
		for (const body of [{}, { level: 'loud' }, { level: 3 }, { level: 'info', area: 'kitchen' }, { level: 'info', area: null }])
			assert.equal((await herold.admin('/api/log-level', post(body))).status, 400, JSON.stringify(body))
		assert.equal((await herold.admin('/api/log-level', { method: 'POST', body: '[' })).status, 400)
		assert.deepEqual(await levels(herold), all('info'))
	})
	await t.test('SIGUSR1 switches everything on, and off again', async () => {
		herold.lines.length = 0
		process.kill(herold.pid, 'SIGUSR1')
		await herold.waitLog(/the log has everything now/)
		assert.deepEqual(await levels(herold), all('debug'))
		await echoed(herold, 'everything')
		process.kill(herold.pid, 'SIGUSR1')
		await herold.waitLog(/the log is again as configured/)
		assert.deepEqual(await levels(herold), all('info'))
		await levels(herold, { level: 'debug', area: 'conn' })
		process.kill(herold.pid, 'SIGHUP')
		await herold.waitLog(/the configuration was read again/)
		assert.deepEqual(await levels(herold), all('info'), 'a reload does the same')
	})
})

// Who makes the server say the same again and again must not fill a disk with it.
story('a flood of refusals', { options: { log_lines_per_second: 5, workers: 2 } }, async (herold) => {
	const SOCKETS = 60, EACH = 5, total = SOCKETS * EACH
	const refused = () => found(herold, 'request refused').length
	const held = () => found(herold, 'lines of a kind were held back').reduce((sum, line) => sum + Number(line.held), 0)
	const start = Date.now()

	for (let i = 0; i < EACH; i++) {
		await Promise.all(Array.from({ length: SOCKETS }, async () => {
			const socket = await RawSocket.open(herold.address)

			socket.write('GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n')
			assert.equal((await socket.response()).status, 404)
			await socket.finished()
		}))
	}
	await waitFor(() => refused() + held() === total, `${total} lines, written or told of`)
	const seconds = Math.ceil((Date.now() - start) / 1000) + 1

	assert.ok(refused() <= 2 * 5 * seconds, `${refused()} in ${seconds} seconds of 2 workers`)
	assert.ok(held() >= total - 2 * 5 * seconds && held() > 0)
	assert.ok(found(herold, 'lines of a kind were held back').every((line) => line.kind === 'request refused' && line.area === 'conn'))
	assert.equal(await metric(herold, 'herold_log_lines_held_back_total'), held())
	assert.equal(await metric(herold, 'herold_log_lines_lost_total'), 0)
	// Other kinds are not affected.
	const client = await ChatClient.open(herold, { path: '/echo' })

	await client.close()
	await herold.waitLog(/closed by the client/)
})

const ID = 'order-66.A_b'

story('ids of requests', { options: { workers: 1 } }, async (herold, t) => {
	const ask = async (id, path = '/nowhere') => {
		herold.lines.length = 0
		const socket = await RawSocket.open(herold.address)

		socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n${id === undefined ? '' : `X-Request-ID: ${id}\r\n`}\r\n`)
		assert.equal((await socket.response()).status, 404)
		await socket.finished()
		return waitFor(() => found(herold, 'request refused')[0], 'the line')
	}

	await t.test('of what is refused', async () => {
		const line = await ask(ID)

		assert.equal(line.request, ID)
		assert.match(line.conn, /^[\w-]{19}$/)
		assert.equal((await ask('x'.repeat(64))).request, 'x'.repeat(64))
	})
	await t.test('only good ones', async () => {
		for (const id of [undefined, '', 'x'.repeat(65), 'a b', 'a"b', '\u00e4', 'a\r\nX-Request-ID: b'])
			assert.equal((await ask(id)).request, undefined, id)
	})
	await t.test('of an upgrade, whose connection has more lines', async () => {
		herold.lines.length = 0
		const client = await ChatClient.open(herold, { path: '/echo', headers: { 'X-Request-ID': ID } })

		await client.close()
		const end = await waitFor(() => found(herold, 'closed by the client')[0], 'its end')
		const [upgrade] = found(herold, 'upgraded to a WebSocket')

		assert.deepEqual([upgrade.request, upgrade.path, upgrade.conn, upgrade.peer], [ID, '/echo', end.conn, end.peer])
		herold.lines.length = 0
		await (await ChatClient.open(herold, { path: '/echo' })).close()
		await waitFor(() => found(herold, 'closed by the client')[0], 'its end')
		assert.equal(found(herold, 'upgraded to a WebSocket').length, 0, 'who names nothing gets one line')
	})
	await t.test('through nginx, which names those without', async () => {
		const nginx = await Nginx.start({ backends: [herold.address] })

		try {
			for (const sent of [ID, undefined, 'not good']) {
				herold.lines.length = 0
				await (await ChatClient.open(nginx, { path: '/echo', headers: sent === undefined ? {} : { 'X-Request-ID': sent } })).close()
				const { request } = await waitFor(() => found(herold, 'upgraded to a WebSocket')[0], 'its upgrade')

				if (sent === ID)
					assert.equal(request, ID)
				else
					assert.match(request, /^[0-9a-f]{32}$/)
				const logged = await waitFor(() => nginx.accesses().find((line) => line.request === request), 'the line of nginx')

				assert.equal(logged.path, '/echo')
			}
		} finally {
			await nginx.stop()
		}
	})
})

story('lines for the audit', { options: { limit_exempt: '', messages_per_minute: 2, workers: 1 } }, async (herold) => {
	const audit = (kind) => waitFor(() => parsed(herold).filter((line) => line.audit === kind).at(-1), `a line with audit=${kind}`)
	const socket = await RawSocket.open(herold.address)

	socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
	assert.equal((await socket.response()).status, 405)
	await socket.finished()
	assert.match((await audit('refusal')).detail, /^405 /)

	const client = await ChatClient.open(herold, { path: '/echo' })

	for (let i = 0; i < 6; i++)
		client.send('"flood"')
	assert.equal((await client.closed).code, 1008)
	assert.equal((await audit('limit')).reason, 'rate_limited')

	assert.equal((await herold.admin('/api/ban', post({ user: 'u1', seconds: 60, reason: 'spam' }))).status, 200)
	const order = await audit('moderation')

	assert.deepEqual([order.message, order.action, order.user, order.reason], ['moderation ordered', 'ban', 'u1', 'spam'])
	assert.match(order.conn, /^[\w-]{19}$/)
	await levels(herold, { level: 'info' })
	assert.equal((await audit('admin')).message, 'the level of the log was changed')
})

story('the last events of every process', { options: { workers: 2 } }, async (herold) => {
	const client = await ChatClient.login(herold, { userId: 'u1' })

	client.send({ type: 'chat', message: 'hello', ref: 1 })
	await client.next('ack')
	const { processes } = (await herold.admin('/api/trace')).json
	const named = (name) => processes.filter((p) => p.process === name)
	const kinds = (p) => p.events.map((event) => event.event)

	assert.deepEqual(processes.map((p) => p.process).sort(), ['admin', 'broker', 'master', 'worker', 'worker'])
	for (const p of processes) {
		assert.ok(p.events.length > 0 && p.events.every(({ event, time }) => EVENTS.includes(event) && Math.abs(Date.now() - time) < 3600_000), p.process)
		assert.deepEqual(p.events.map(({ time }) => time), p.events.map(({ time }) => time).sort((a, b) => a - b), `in order: ${p.process}`)
	}
	assert.ok(kinds(named('master')[0]).includes('start') && kinds(named('master')[0]).includes('ready'))
	const worker = named('worker').find((p) => kinds(p).includes('message'))
	const own = worker.events.filter(({ conn }) => conn === client.received.find(({ type }) => type === 'connection').id)

	assert.deepEqual(own.map(({ event }) => event).filter((name) => name !== 'publish'), ['accept', 'request', 'upgrade', 'message', 'message'])
	const publish = own.findLast(({ event }) => event === 'publish')
	const link = named('broker')[0].events.find((event) => event.event === 'link_up' && event.pid === worker.pid)
	const heard = named('broker')[0].events.filter((event) => event.event === 'publish' && event.link === link.link)

	assert.ok(heard.some(({ bytes, request }) => bytes === publish.bytes && request === publish.request), 'the broker has the same publication')
	assert.ok(worker.events.some(({ event, bytes }) => event === 'deliver' && bytes === publish.bytes))
	assert.equal(named('admin')[0].serving, named('admin')[0].events.findLast(({ event }) => event === 'request').conn, 'it serves who asks')

	assert.deepEqual((await herold.admin('/api/trace?process=worker&slot=1')).json.processes.map(({ process, slot }) => [process, slot]), [['worker', 1]])
	assert.deepEqual((await herold.admin('/api/trace?process=broker')).json.processes.map(({ pid }) => pid), [(await herold.pids()).broker])
	for (const query of ['process=clerk', 'slot=a', 'process=', 'slot='])
		assert.equal((await herold.admin(`/api/trace?${query}`)).status, 400, query)
	await client.close()
	await herold.waitLog(/closed by the client/)
	const after = (await herold.admin(`/api/trace?process=worker&slot=${worker.slot}`)).json.processes[0]

	assert.deepEqual(after.events.filter(({ event }) => event === 'close').map(({ reason }) => reason), ['client_close'])
})

// With the header of systemtap at build time, every event is a probe; without it there is none.
story('probes', {}, async (herold) => {
	const notes = (program) => execFileSync('readelf', ['-n', join(dirname(herold.program), program)], { encoding: 'utf8' })
	const probes = (program) => new Set([...notes(program).matchAll(/Provider: herold\s+Name: (\w+)/g)].map(([, name]) => name))
	// As the Makefile finds it.
	const { status } = spawnSync('cc', ['-include', 'sys/sdt.h', '-fsyntax-only', '-x', 'c', '/dev/null'])
	const isThere = status === 0

	for (const [program, wanted] of [['herold', ['accept', 'message', 'publish', 'deliver', 'close']], ['herold-broker', ['publish', 'link_up', 'link_down']]]) {
		const there = probes(program)

		for (const name of wanted)
			assert.equal(there.has(name), isThere, `${name} of ${program}`)
		assert.ok([...there].every((name) => EVENTS.includes(name)), [...there].join())
	}
})
