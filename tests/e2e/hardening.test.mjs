// What is left to whoever comes to run code of his own in one of the processes, and who may ask the admin listener.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'

import { ChatClient } from './support/client.mjs'
import { Herold, run, story, waitFor } from './support/herold.mjs'
import { RawSocket } from './support/raw.mjs'

const TOKEN = 'correct-horse-battery-staple'
const AUTHORIZED = { headers: { Authorization: `Bearer ${TOKEN}` } }
const IS_ASAN = (process.env.BIN ?? '').includes('asan')
const IS_ROOT = process.getuid() === 0
const folder = mkdtempSync(join(tmpdir(), 'herold-test-'))

process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

function file(name, text) {
	const path = join(folder, name)

	writeFileSync(path, text, { mode: 0o600 })
	return path
}

const field = (pid, name) => new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]
const coreLimit = (pid) => /^Max core file size\s+(\S+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))[1]
const children = ({ broker, admin, workers }) => [broker, admin, ...workers]

/* Who owns what the kernel shows of a process: its user, or root if its memory is nobody's business. */
const isDumpable = (pid) => statSync(`/proc/${pid}/environ`).uid === Number(field(pid, 'Uid'))

story('every child gives up what it does not need', {}, async (herold) => {
	const pids = await herold.pids()

	for (const pid of children(pids)) {
		assert.equal(field(pid, 'NoNewPrivs'), '1', `NoNewPrivs of ${pid}`)
		assert.equal(field(pid, 'Seccomp'), IS_ASAN ? '0' : '2', `Seccomp of ${pid}`)
		assert.equal(coreLimit(pid), '0')
		// Root's own processes show the same either way.
		assert.equal(isDumpable(pid), field(pid, 'Uid') === '0', `the memory of ${pid}`)
	}
	assert.equal(coreLimit(pids.master), '0')
	const said = IS_ASAN ? /no sandbox: this build has a sanitizer/ : /in the sandbox" landlock=\d+ seccomp=on/

	assert.equal(herold.lines.filter((line) => said.test(line)).length, children(pids).length, `one line of each: ${said}`)
	// Those that are started later, too.
	process.kill(pids.workers[0], 'SIGKILL')
	process.kill(pids.broker, 'SIGKILL')
	const again = await waitFor(async () => {
		const now = await herold.pids()

		return now.broker !== pids.broker && now.workers[0] !== pids.workers[0] && (await herold.admin('/readyz')).status === 200 && now
	}, 'a new worker and a new broker')

	for (const pid of children(again))
		assert.deepEqual([field(pid, 'NoNewPrivs'), field(pid, 'Seccomp')], ['1', IS_ASAN ? '0' : '2'], `${pid}`)
	// In it, everything is done that has to be done.
	const [ada, ben] = [await ChatClient.login(herold, { userId: 'ada' }), await ChatClient.login(herold, { userId: 'ben' })]

	await ada.ask({ type: 'chat', message: 'hello', ref: 1 })
	assert.equal((await ben.next('chat')).message, 'hello')
	await herold.api('publish', { channel: 'room:lobby', data: 'x', idempotency_key: 'k' })
	await Promise.all([ada.close(), ben.close()])
})

story('sandbox=off, core_dumps=on', { options: { sandbox: 'off', core_dumps: 'on' } }, async (herold) => {
	const pids = await herold.pids()

	for (const pid of children(pids)) {
		assert.deepEqual([field(pid, 'NoNewPrivs'), field(pid, 'Seccomp')], ['1', field(process.pid, 'Seccomp')])
		assert.equal(coreLimit(pid), coreLimit(process.pid))
		assert.ok(isDumpable(pid))
	}
	assert.ok(!herold.lines.some((line) => /sandbox/.test(line)))
})

/** Is the text somewhere in what this process may write to? */
function isInMemory(pid, text) {
	const wanted = Buffer.from(text)
	const memory = openSync(`/proc/${pid}/mem`, 'r')

	try {
		for (const [, from, to] of readFileSync(`/proc/${pid}/maps`, 'utf8').matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw/gm)) {
			const bytes = Buffer.alloc(parseInt(to, 16) - parseInt(from, 16))

			// Some of the kernel's own cannot be read.
			try {
				readSync(memory, bytes, 0, bytes.length, parseInt(from, 16))
			} catch {
				continue
			}
			if (bytes.includes(wanted))
				return true
		}
	} finally {
		closeSync(memory)
	}
	return false
}

/** How the token is given: options, environment. */
const WAYS = [
	['-o', { options: { admin_token: TOKEN } }],
	['environment', { env: { HEROLD_ADMIN_TOKEN: TOKEN } }],
	['file', { options: { admin_token_file: file('token', `${TOKEN}\n`) } }],
	['configuration file', { args: ['-c', file('config.json', JSON.stringify({ admin_token: TOKEN }))] }],
]

for (const [way, settings] of WAYS) {
	story(`a token given by ${way} is seen nowhere`, settings, async (herold) => {
		const status = (await herold.admin('/status', AUTHORIZED)).json
		const pids = [herold.pid, status.broker.pid, status.admin.pid, ...status.workers.map((w) => w.pid)]

		assert.equal((await herold.admin('/status')).status, 401)
		for (const pid of pids) {
			assert.ok(!readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(TOKEN), `the arguments of ${pid}`)
			assert.ok(!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(TOKEN), `the environment of ${pid}`)
		}
		// The broker and the workers never need it; the sanitizer keeps what was freed. The master needs it for a reload, unless it is in a file.
		if (IS_ROOT && !IS_ASAN)
			assert.equal(isInMemory(herold.pid, TOKEN), way !== 'file', 'the memory of the master')
		for (const pid of IS_ROOT && !IS_ASAN ? [status.broker.pid, ...status.workers.map((w) => w.pid)] : [])
			assert.ok(!isInMemory(pid, TOKEN), `the memory of ${pid}`)
		process.kill(herold.pid, 'SIGHUP')
		assert.doesNotMatch(await herold.waitLog(/the configuration was read again/), /needs_restart=\S*admin_token/)
		assert.ok(!herold.log().includes(TOKEN), 'the log')
	})
}

test('a token is masked where the configuration is shown', async () => {
	const { code, out, err } = await run(['--check'], { env: { HEROLD_ADMIN_TOKEN: TOKEN } })

	assert.equal(code, 0, err)
	assert.equal(JSON.parse(out).admin_token, '***')
	assert.ok(!`${out}${err}`.includes(TOKEN))
	const bad = await run(['--check', '-o', 'admin_token=too short'])

	assert.deepEqual([bad.code, bad.out, bad.err], [78, '', 'herold: admin_token: a token of 9 characters is not allowed, but 16 to 512\n'])
})

const ELSEWHERE = (address) => `herold: admin_listen: "${address}" can be reached from elsewhere, which is not allowed without an admin_token or admin_token_file\n`

test('bound wider than the loopback without a token, it does not start', async () => {
	for (const address of ['0.0.0.0:0', '10.0.0.1:8081', '[::]:0', '[2001:db8::1]:8081']) {
		for (const how of [['--check'], []]) {
			const { code, err } = await run(['-o', 'listen=127.0.0.1:0', '-o', `admin_listen=127.0.0.1:0,${address}`, ...how])

			assert.deepEqual([code, err], [78, ELSEWHERE(address)])
		}
		assert.equal((await run(['-o', `admin_listen=${address}`, '-o', `admin_token=${TOKEN}`, '--check'])).code, 0)
	}
	for (const address of ['127.0.0.1:0', '127.8.9.10:0', '[::1]:0', 'unix:/tmp/x', 'unix:@x'])
		assert.equal((await run(['-o', `admin_listen=${address}`, '--check'])).code, 0, address)
	for (const [what, text, why] of [
		['none', null, /^herold: admin_token_file: \S+: No such file or directory\n$/],
		['empty', '\n', /^herold: admin_token_file: \S+: a token of 0 characters is not allowed, but 16 to 512\n$/],
		['two lines', `${TOKEN}\n${TOKEN}\n`, /^herold: admin_token_file: \S+: a token has visible characters of ASCII only, and no blanks\n$/],
	]) {
		const path = text === null ? join(folder, 'nowhere') : file('bad-token', text)
		const { code, err } = await run(['-o', `admin_token_file=${path}`, '--check'])

		assert.equal(code, 78, what)
		assert.match(err, why)
	}
	const both = await run(['-o', `admin_token_file=${file('token', TOKEN)}`, '-o', `admin_token=${TOKEN}`, '--check'])

	assert.deepEqual([both.code, both.err], [78, 'herold: admin_token: not allowed beside admin_token_file\n'])
})

const MISSING = [401, 'the admin listener wants Authorization: Bearer with the admin_token', 'Bearer realm="herold admin"']
const WRONG = [401, 'this is not the admin_token', 'Bearer realm="herold admin", error="invalid_token"']
const request = (path, lines = '', { method = 'GET', host = 'localhost' } = {}) => `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`

/** What it is, the request, status and perhaps sentence and challenge. */
const ASKED = [
	['no token', request('/status'), ...MISSING],
	['another scheme', request('/status', `Authorization: Basic ${TOKEN}\r\n`), ...MISSING],
	['the token alone', request('/status', `Authorization: ${TOKEN}\r\n`), ...MISSING],
	['two headers', request('/status', `Authorization: Bearer ${TOKEN}\r\n`.repeat(2)), ...MISSING],
	['the token in the query', request(`/status?token=${TOKEN}`), ...MISSING],
	['nothing behind Bearer', request('/status', 'Authorization: Bearer\r\n'), ...WRONG],
	['the beginning of the token', request('/status', `Authorization: Bearer ${TOKEN.slice(0, -1)}\r\n`), ...WRONG],
	['more than the token', request('/status', `Authorization: Bearer ${TOKEN}x\r\n`), ...WRONG],
	['in capitals', request('/status', `Authorization: Bearer ${TOKEN.toUpperCase()}\r\n`), ...WRONG],
	['a very long one', request('/status', `Authorization: Bearer ${'x'.repeat(7000)}\r\n`), ...WRONG],
	['no token, publish', request('/api/publish', 'Content-Length: 2\r\n', { method: 'POST' }), ...MISSING],
	['no token, a large body announced', request('/api/publish', 'Content-Length: 1000000\r\nExpect: 100-continue\r\n', { method: 'POST' }), ...MISSING],
	['no token, no such address', request('/nowhere'), ...MISSING],
	['no token, another method', request('/status', '', { method: 'DELETE' }), ...MISSING],
	['no token, history', request('/api/history?channel=a'), ...MISSING],
	['the token', request('/status', `Authorization: Bearer ${TOKEN}\r\n`), 200],
	['the token, the scheme in small letters', request('/status', `authorization: bearer ${TOKEN}\r\n`), 200],
	['the token, by any name', request('/status', `Authorization: Bearer ${TOKEN}\r\n`, { host: 'herold.example:8081' }), 200],
	['health', request('/healthz'), 200],
	['health, by any name', request('/healthz', '', { host: 'herold.example' }), 200],
	['readiness', request('/readyz'), 200],
	['the token of a web page', request('/status', `Authorization: Bearer ${TOKEN}\r\nOrigin: http://localhost\r\n`), 403, 'the admin listener does not answer web pages of other origins'],
	['an Origin that is empty', request('/healthz', 'Origin:\r\n'), 403, 'the admin listener does not answer web pages of other origins'],
]

story('the admin listener asks for its token', { options: { workers: 1, admin_token: TOKEN, admin_listen: '0.0.0.0:0' } }, async (herold) => {
	// The log has it as people type it; localhost may be another address first.
	herold.adminUrl = herold.adminUrl.replace('localhost', '127.0.0.1')
	herold.adminAddress = herold.adminAddress.replace('localhost', '127.0.0.1')
	const refused = async () => (await herold.admin('/status', AUTHORIZED)).json.counters

	for (const [what, bytes, status, sentence, challenge] of ASKED) {
		const before = await refused()
		const raw = await RawSocket.open(herold.adminAddress)

		raw.write(bytes)
		const answer = await raw.response()

		assert.equal(answer.status, status, `${what}: ${answer.body}`)
		assert.equal(answer.headers['www-authenticate'], challenge, what)
		if (sentence !== undefined)
			assert.deepEqual(JSON.parse(answer.body), { status, error: sentence }, what)
		raw.destroy()
		const after = await refused()

		assert.equal(after.admin_refused - before.admin_refused, status === 401 ? 1 : 0, `${what}: admin_refused`)
		assert.equal(after.http_status[401] - before.http_status[401], status === 401 ? 1 : 0, `${what}: answers 401`)
	}
	const [, port] = herold.adminAddress.split(':')
	const health = await run(['-o', `admin_listen=127.0.0.1:${port}`, '-o', `admin_token=${TOKEN}`, '--healthcheck'])

	assert.deepEqual(health, { code: 0, signal: null, out: '', err: '' })
	assert.ok(!herold.log().includes(TOKEN))
})

const NEXT_TOKEN = 'another-horse-battery-staple'
const rotating = file('rotating', TOKEN)

story('a reload changes the token', { options: { workers: 1, admin_token_file: rotating } }, async (herold) => {
	const asked = async (token) => (await herold.admin('/status', { headers: { Authorization: `Bearer ${token}` } })).status

	assert.deepEqual([await asked(TOKEN), await asked(NEXT_TOKEN)], [200, 401])
	writeFileSync(rotating, `${NEXT_TOKEN}\n`)
	process.kill(herold.pid, 'SIGHUP')
	await waitFor(async () => await asked(NEXT_TOKEN) === 200, 'the new token is good')
	assert.equal(await asked(TOKEN), 401)
	// What is no token is refused, and the one before stays; also in an admin process that is started later.
	writeFileSync(rotating, '\n')
	process.kill(herold.pid, 'SIGHUP')
	await herold.waitLog(/read again and refused.*admin_token_file/)
	process.kill((await herold.admin('/status', { headers: { Authorization: `Bearer ${NEXT_TOKEN}` } })).json.admin.pid, 'SIGKILL')
	await waitFor(async () => await asked(NEXT_TOKEN) === 200, 'a new admin process')
	assert.equal(await asked(TOKEN), 401)
})

const REBOUND = 'without an admin_token the admin listener is asked by an address, localhost, or one of the option hosts'

story('without a token, the admin listener is asked by its own names', { options: { workers: 1, hosts: 'status.example' } }, async (herold) => {
	const ask = async (host, path = '/status') => {
		const raw = await RawSocket.open(herold.adminAddress)

		raw.write(request(path, '', { host }))
		const answer = await raw.response()

		raw.destroy()
		return answer
	}

	for (const host of ['localhost', 'LOCALHOST:1', '127.0.0.1', herold.adminAddress, '[::1]:8081', 'status.example', 'status.example:80'])
		assert.equal((await ask(host)).status, 200, host)
	for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.nip.io', 'a.status.example', '']) {
		const before = (await herold.status()).counters.hosts_refused
		const answer = await ask(host)

		assert.deepEqual(JSON.parse(answer.body), { status: 421, error: REBOUND }, host)
		assert.equal((await herold.status()).counters.hosts_refused, before + 1, host)
		assert.equal((await ask(host, '/healthz')).status, 200)
	}
})

test('the broker takes links from its own user only', { skip: !IS_ROOT && 'only root can be somebody else' }, async () => {
	const herold = await Herold.start()

	try {
		const [, name] = /(@herold-\d+-[0-9a-f]+)$/m.exec(readFileSync('/proc/net/unix', 'utf8').split('\n')
			.filter((line) => line.includes(`@herold-${herold.pid}-`)).join('\n'))
		// Somebody else only when it runs: he may not reach the program itself.
		const script = `import os, socket\nos.setgid(65533)\nos.setuid(65533)\ns = socket.socket(socket.AF_UNIX)\ns.settimeout(10)\ns.connect('\\0${name.slice(1)}')\nprint(len(s.recv(1)))`
		const ended = await new Promise((done, fail) => execFile('/usr/bin/python3', ['-c', script], { cwd: '/' },
			(error, out) => error === null ? done(out) : fail(error)))

		assert.equal(ended, '0\n', 'ended without a byte')
		await herold.waitLog(/link refused.*why="another user" uid=65533/)
		assert.equal((await herold.admin('/readyz')).status, 200)
		await herold.stop()
	} finally {
		herold.kill()
	}
})
