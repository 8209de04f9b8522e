// What the log says of a process that dies: why, where, what had happened before, and whom it was serving.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'

import { ChatClient } from './support/client.mjs'
import { logFields, story, waitFor } from './support/herold.mjs'

const CRASHING = { crashes: true, options: { workers: 1 } }
const IS_ASAN = (process.env.BIN ?? '').includes('asan')

/** Lines with this message, as objects. */
const lines = (herold, message) => herold.lines.map(logFields).filter((line) => line.message === message)

/** Ready again, and nothing in the log yet. */
async function begin(herold) {
	await waitFor(async () => (await herold.admin('/readyz').catch(() => ({}))).status === 200, 'readiness')
	herold.lines.length = 0
}

/** Names of the functions in a backtrace, innermost first; those of libraries are left out. */
function functions(herold, backtrace, program = 'herold') {
	const addresses = backtrace.split(' ').filter((place) => place.startsWith(`${program}+`)).map((place) => place.slice(program.length + 1))
	const said = execFileSync('addr2line', ['-i', '-f', '-e', join(dirname(herold.program), program), ...addresses], { encoding: 'utf8' })

	return said.split('\n').filter((_, i) => i % 2 === 0)
}

/* A sanitizer puts functions of its own between ours. */
function assertCalls(names, wanted) {
	let at = -1

	for (const name of wanted) {
		at = names.indexOf(name, at + 1)
		assert.ok(at >= 0, `${wanted.join(' < ')} in ${names.join(' < ')}`)
	}
}

async function crash(herold, order) {
	await begin(herold)
	const client = await ChatClient.open(herold, { path: '/echo' })
	const upgrade = (await herold.status()).workers[0].pid

	client.send('"before"')
	await client.next((m) => m === 'before')
	client.send(`crash:${order}`)
	await client.closed
	await herold.waitLog(/before it died.* event=crash/)
	const [crashed] = lines(herold, 'crashed')
	const [died] = lines(herold, 'a process died')

	assert.equal(lines(herold, 'crashed').length, 1)
	assert.equal(crashed.pid, String(upgrade), 'the worker wrote it')
	return { crashed, died, events: lines(herold, 'before it died') }
}

const CRASHES = [
	{ order: 'SEGV', signal: 'SEGV', address: /^0x10$/, calls: ['write_nowhere', 'crash_on_order', '__wrap_conn_send_back', 'on_message', 'conn_on_ready', 'worker_run', 'main'] },
	{ order: 'JUMP', signal: 'SEGV', address: /^0x0$/, backtrace: /^0x0 herold\+0x[0-9a-f]+$/, calls: [] },
	{ order: 'STACK', signal: 'SEGV', address: /^0x[0-9a-f]+$/, calls: ['overflow'] },
	{ order: 'BUS', signal: 'BUS', address: /^0x[0-9a-f]+000$/, calls: ['read_what_is_not_there', 'conn_ws_input'] },
	{ order: 'FPE', signal: 'FPE', calls: ['__wrap_conn_send_back', 'conn_ws_input'] },
	{ order: 'ILL', signal: 'ILL', address: /^0x[0-9a-f]+$/, calls: ['__wrap_conn_send_back', 'conn_ws_input'] },
	{ order: 'BUG', signal: 'ABRT', why: /^bug at tests\/crash\/crash\.c:\d+: slice_eq_text\(order, "crash:BUG"\)$/, calls: ['abort_because', 'bug_abort', 'crash_on_order', 'conn_ws_input'] },
]

story('a worker that makes a mistake', CRASHING, async (herold, t) => {
	if (!IS_ASAN)
		await herold.waitLog(/in the sandbox.* seccomp=on/)
	for (const { order, signal, address, why, backtrace, calls } of CRASHES) {
		await t.test(order, async () => {
			const { crashed, died, events } = await crash(herold, order)

			assert.equal(crashed.level ?? 'error', 'error')
			assert.equal(crashed.signal, signal)
			if (address !== undefined)
				assert.match(crashed.address, address)
			if (why !== undefined)
				assert.match(crashed.why, why)
			assert.match(crashed.backtrace, backtrace ?? /herold\+0x/)
			assertCalls(functions(herold, crashed.backtrace), calls)
			// The master knows the same without having been told.
			assert.equal(died.end, `signal ${signal}`)
			assert.equal(died.child, 'worker 0')
			assert.equal(died.child_pid, crashed.pid)
			assert.match(crashed.conn, /^[\w-]{19}$/)
			assert.equal(died.conn, crashed.conn)
			const own = events.filter((event) => event.conn === crashed.conn)

			assert.deepEqual(own.map((event) => event.event), ['accept', 'request', 'upgrade', 'message', 'message', 'crash'])
			assert.deepEqual(own.filter((event) => event.event === 'message').map((event) => Number(event.bytes)), ['"before"'.length, `crash:${order}`.length])
			assert.ok(own.every((event) => event.child === 'worker 0' && Number(event.ms_before) >= 0 && Number(event.ms_before) < 60000))
		})
	}
	// It is one of many deaths for the rest: restarted, and counted.
	await begin(herold)
	assert.equal((await herold.status()).restarts.worker, CRASHES.length)
})

story('a broker and an admin process that make a mistake', CRASHING, async (herold) => {
	await begin(herold)
	const before = await herold.pids()

	await herold.admin('/api/publish', { method: 'POST', body: '{"channel":"crash:SEGV","data":1}' })
	const broker = await herold.waitLog(/message="crashed"/).then(logFields)

	assert.deepEqual([broker.pid, broker.signal, broker.address], [String(before.broker), 'SEGV', '0x10'])
	assert.match(broker.link, /^\d+$/)
	assertCalls(functions(herold, broker.backtrace, 'herold-broker'), ['write_nowhere', '__wrap_router_on_message', 'main'])
	await herold.waitLog(/before it died.* event=crash/)
	assert.equal(lines(herold, 'a process died')[0].child, 'broker')
	assert.equal(lines(herold, 'a process died')[0].link, broker.link)
	assert.ok(lines(herold, 'before it died').some((event) => event.event === 'link_up'))

	await begin(herold)
	await herold.admin('/readyz?crash:BUG').catch(() => {})
	await herold.waitLog(/before it died.* event=crash/)
	const [admin] = lines(herold, 'crashed')

	assert.equal(admin.pid, String(before.admin))
	assert.match(admin.why, /^bug at tests/)
	assertCalls(functions(herold, admin.backtrace), ['bug_abort', '__wrap_admin_readyz', 'admin_run'])
	assert.equal(lines(herold, 'a process died')[0].conn, admin.conn)
	await begin(herold)
})

story('who is killed cannot say anything, and is told of all the same', { options: { workers: 1, log_format: 'json' } }, async (herold) => {
	await begin(herold)
	const client = await ChatClient.open(herold, { path: '/echo' })
	const { workers: [pid] } = await herold.pids()

	for (let i = 0; i < 100; i++)
		client.send(JSON.stringify(`${i}`))
	await client.next((m) => m === '99')
	process.kill(pid, 'SIGKILL')
	await waitFor(() => lines(herold, 'before it died').length === 32, 'its last events')
	const [died] = lines(herold, 'a process died')

	assert.equal(lines(herold, 'crashed').length, 0)
	assert.deepEqual([died.child, died.child_pid, died.end, died.level], ['worker 0', pid, 'signal KILL', 'error'])
	// Nobody was served in that moment: it slept.
	assert.equal(died.conn, undefined)
	assert.deepEqual(lines(herold, 'before it died').map(({ event, is_text }) => [event, is_text]), Array(32).fill(['message', 1]))
	await begin(herold)
})

// Of a signal from outside the log says who sent it; and the process ends by it.
story('a signal that somebody sent', CRASHING, async (herold) => {
	await begin(herold)
	const { workers: [pid] } = await herold.pids()

	process.kill(pid, 'SIGSEGV')
	await herold.waitLog(/a process died/)
	assert.deepEqual([lines(herold, 'crashed')[0].signal, lines(herold, 'crashed')[0].sent_by], ['SEGV', String(process.pid)])
	assert.equal(lines(herold, 'a process died')[0].end, 'signal SEGV')
	await begin(herold)
})
