// The program at its command line, in the process list and in its log.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'

import { ChatClient } from './support/client.mjs'
import { Herold, logFields, run, story, waitFor } from './support/herold.mjs'

const folder = mkdtempSync(join(tmpdir(), 'herold-test-'))

process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

function file(name, text) {
	const path = join(folder, name)

	writeFileSync(path, text)
	return path
}

test('--check prints what is in force, by precedence', async () => {
	const path = file('good.json', '{\n\t"workers": 3,\n\t"heartbeat_seconds": 7,\n\t"drain_seconds": 9,\n\t"listen": ["127.0.0.1:9000", "[::1]:9000"]\n}\n')
	const { code, out, err } = await run(['-c', path, '-o', 'workers=5', '-o', 'max_message_bytes=2m', '--check'],
		{ env: { HEROLD_WORKERS: '4', HEROLD_HEARTBEAT_SECONDS: '8' } })

	assert.deepEqual([code, err], [0, ''])
	const values = JSON.parse(out)

	assert.equal(values.workers, 5, '-o is stronger than the environment')
	assert.equal(values.heartbeat_seconds, 8, 'the environment is stronger than the file')
	assert.equal(values.drain_seconds, 9, 'the file is stronger than the default')
	assert.equal(values.max_message_bytes, 2097152)
	assert.equal(values.log_level, 'info')
	assert.deepEqual(values.listen, ['127.0.0.1:9000', '[::1]:9000'])
	// What it prints can be read again.
	assert.deepEqual(JSON.parse((await run(['-c', file('again.json', out), '--check'])).out), values)
})

/** Arguments, environment, text of the file FILE, and the sentence. */
const REFUSED = [
	[['-o', 'colour=red'], {}, null, /^herold: -o: there is no option "colour" \(--help lists them\)$/],
	[['-o', 'workers'], {}, null, /^herold: -o workers: want NAME=VALUE$/],
	[['-o', 'workers=300'], {}, null, /^herold: -o: workers: "300" is not allowed, but 0 to 256$/],
	[['-o', 'log_level=loud'], {}, null, /^herold: -o: log_level: "loud" is not allowed, but one of error, warn, info, debug$/],
	[['-o', 'chat_message_bytes=1g'], {}, null, /^herold: -o: chat_message_bytes: "1g" is not allowed, but 256 to 1048576 bytes \(k, m or g may follow the number\)$/],
	[['-o', 'listen=nowhere'], {}, null, /^herold: .*listen: .*nowhere/],
	[['-o', 'history_total_bytes=1m', '-o', 'history_bytes=2m'], {}, null, /^herold: history_bytes \(2097152\) is more than history_total_bytes \(1048576\): lower the one or raise the other$/],
	[[], { HEROLD_WORKERS: 'many' }, null, /^herold: environment variable HEROLD_WORKERS: workers: "many" is not allowed, but 0 to 256$/],
	[[], {}, '{\n\t"workers": 2,\n\t"colour": "red"\n}\n', /^herold: FILE:3: there is no option "colour" \(--help lists them\)$/],
	[[], {}, '{\n\t"workers": 2,\n\n\t"heartbeat_seconds": 0\n}\n', /^herold: FILE:4: heartbeat_seconds: "0" is not allowed, but 1 to 3600 seconds$/],
	[[], {}, '{\n\t"workers": [2]\n}\n', /^herold: FILE:2: workers: want a string or a whole number$/],
	[[], {}, '{\n\t"workers": 1.5\n}\n', /^herold: FILE:2: workers: want a string or a whole number$/],
	[[], {}, '{\n\t"workers": 2,\n\t"workers": 3\n}\n', /^herold: FILE:3: .*workers/],
	[[], {}, '{\n\t"workers": 2\n', /^herold: FILE:\d: /],
	[[], {}, '[]', /^herold: FILE:1: want one JSON object$/],
	[['-c', '/nowhere/at/all.json'], {}, null, /^herold: \/nowhere\/at\/all\.json: No such file or directory$/],
]

// As Kubernetes sets them for a service named herold.
test('unknown environment variables are ignored with one warning', async () => {
	const { code, out, err } = await run(['--check'], { env: { HEROLD_PORT: 'tcp://10.0.0.1:8080', HEROLD_SERVICE_HOST: '10.0.0.1', HEROLD_WORKERS: '2' } })

	assert.equal(code, 0)
	assert.equal(JSON.parse(out).workers, 2)
	assert.match(err, /^[^\n]* warn [^\n]*environment variables that name no option are ignored[^\n]*HEROLD_PORT,HEROLD_SERVICE_HOST[^\n]*\n$/)
})

test('what is wrong with a configuration is said with its place and what is allowed', async () => {
	for (const [at, [args, env, text, sentence]] of REFUSED.entries()) {
		const path = text === null ? null : file(`bad-${at}.json`, text)

		for (const how of [['--check'], []]) {
			const { code, out, err } = await run([...(path === null ? [] : ['-c', path]), ...args, ...how], { env })
			const said = err.trimEnd().replace(path, 'FILE')

			assert.match(said, sentence)
			assert.deepEqual([code, out, said.includes('\n')], [78, '', false], said)
		}
	}
	for (const args of [['--colour'], ['surplus'], ['-o']]) {
		const { code, err } = await run(args)

		assert.equal(code, 78, args[0])
		assert.match(err, /usage: herold /)
	}
})

test('--help, --version', async () => {
	const help = await run(['--help'])

	assert.equal(help.code, 0)
	for (const part of ['usage: herold ', '--check', '--healthcheck', '  max_message_bytes=1048576\n', 'Allowed: one of text, json.'])
		assert.ok(help.out.includes(part), part)
	assert.match((await run(['--version'])).out, /^herold \d+\.\d+\.\d+\n$/)
})

story('a second server on the same address, --healthcheck, the process list', { options: { workers: 3 } }, async (herold) => {
	const at = ['-o', `listen=${herold.address}`, '-o', `admin_listen=${herold.adminAddress}`]
	const second = await run(['-o', `listen=${herold.address}`, '-o', 'admin_listen=127.0.0.1:0'])

	assert.equal(second.code, 1)
	assert.ok(second.err.includes(`cannot listen on ${herold.address}: another program listens there already`), second.err)
	const admin = await run(['-o', 'listen=127.0.0.1:0', '-o', `admin_listen=${herold.adminAddress}`])

	assert.equal(admin.code, 1)
	assert.ok(admin.err.includes(`cannot listen on ${herold.adminAddress}: another program listens there already`), admin.err)

	assert.deepEqual(await run([...at, '--healthcheck']), { code: 0, signal: null, out: '', err: '' })
	const nobody = await run(['-o', 'admin_listen=127.0.0.1:1', '--healthcheck'])

	assert.equal(nobody.code, 1)
	assert.equal(nobody.err, 'herold: 127.0.0.1:1: Connection refused\n')

	const pids = await herold.pids()
	const title = (pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0+$/, '')

	assert.equal(title(pids.master), 'herold: master')
	assert.equal(title(pids.broker), 'herold: broker')
	assert.equal(title(pids.admin), 'herold: admin')
	assert.deepEqual(pids.workers.map(title), ['herold: worker 0', 'herold: worker 1', 'herold: worker 2'])
	assert.deepEqual(herold.processes().sort(), [pids.master, pids.broker, pids.admin, ...pids.workers].sort(), 'and nobody else')
	assert.match(await herold.waitLog(/open files/), / files=\d+ connections_per_worker=\d+ connections=\d+$/)
	if (process.getuid() === 0 && !herold.staysRoot) {
		const uid = (pid) => /^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]

		for (const pid of [pids.broker, pids.admin, ...pids.workers])
			assert.notEqual(uid(pid), '0', `${title(pid)} is not root`)
	}
})

test('of many that start in the same instant on one address, one serves', async () => {
	const held = createServer().listen(0, '127.0.0.1')

	await once(held, 'listening')
	const options = { listen: `127.0.0.1:${held.address().port}`, workers: 4 }

	held.close()
	await once(held, 'close')
	const started = await Promise.allSettled(Array.from({ length: 4 }, () => Herold.start({ options })))
	const [winner, ...more] = started.filter((s) => s.status === 'fulfilled').map((s) => s.value)

	try {
		assert.equal(more.length, 0)
		for (const { reason } of started.filter((s) => s.status === 'rejected'))
			assert.ok(reason.message.includes(`cannot listen on ${options.listen}: another Herold listens there already`), reason.message)
		await winner.stop()
	} finally {
		for (const herold of [winner, ...more])
			herold?.kill()
	}
})

test('a child that can never start stops the whole program', { skip: process.getuid() !== 0 && 'only root drops to another user' }, async () => {
	const { code, err } = await run(['-o', 'listen=127.0.0.1:0', '-o', 'admin_listen=127.0.0.1:0', '-o', 'user=nobody-of-this-name'])

	assert.notEqual(code, 0)
	assert.ok(err.includes('nobody-of-this-name'), err)
})

const LEVELS = ['error', 'warn', 'info', 'debug']

for (const format of ['text', 'json']) {
	story(`the log as ${format}, with every frame`, { options: { log_format: format, log_level: 'debug', workers: 1 } }, async (herold) => {
		const echo = await ChatClient.open(herold, { path: '/echo' })
		// What would break a line or end a quoted text early.
		const odd = 'odd "reason" \\ \n\u0007\u009b é'

		echo.send('"12345"')
		await echo.next((m) => m === '12345')
		await echo.close(4000, odd)
		await waitFor(() => herold.lines.some((line) => line.includes('client_close')), 'the line at its end')
		const fields = herold.lines.map((line) => ({ ...logFields(line), line }))
		const { conn, peer } = fields.find((f) => f.reason === 'client_close')
		const frames = fields.filter((f) => f.conn === conn && f.opcode !== undefined)

		assert.match(peer, /^127\.0\.0\.1:\d+$/)
		assert.deepEqual(frames.map((f) => [f.message, f.opcode, Number(f.bytes), f.peer]),
			[['frame in', 'text', 7, peer], ['frame out', 'text', 7, peer], ['frame in', 'close', 2 + Buffer.byteLength(odd), peer], ['frame out', 'close', 2, peer]])
		if (format === 'text')
			return
		assert.equal(fields.find((f) => f.reason === 'client_close').detail, odd)
		for (const { line, time, level, pid, message } of fields) {
			const keys = [...line.matchAll(/[{,]"(\w+)":/g)].map((m) => m[1])

			assert.deepEqual(keys, Object.keys(JSON.parse(line)), 'no name comes twice')
			assert.equal(new Date(time).toISOString(), time)
			assert.ok(LEVELS.includes(level) && Number.isInteger(pid) && message.length > 0, line)
		}
	})
}

test('SIGHUP reads the configuration again', async () => {
	const path = file('reload.json', '{"log_level": "info"}')
	const herold = await Herold.start({ args: ['-c', path] })

	try {
		writeFileSync(path, '{"log_level": "debug", "heartbeat_seconds": 5}')
		process.kill(herold.pid, 'SIGHUP')
		const line = await herold.waitLog(/was read again/)

		assert.match(line, / changed=log_level .*needs_restart=heartbeat_seconds/)
		writeFileSync(path, '{"log_level": "loud"}')
		process.kill(herold.pid, 'SIGHUP')
		assert.match(await herold.waitLog(/refused; the old one stays/), /reload\.json:1: log_level: /)
		await herold.stop()
	} finally {
		herold.kill()
	}
})
