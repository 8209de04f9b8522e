// herold-ctl: what operators type, what they see, and what scripts get.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'

import { ChatClient, usersOnEachWorker } from './support/client.mjs'
import { ctl } from './support/ctl.mjs'
import { REACHES_FILES, story, waitFor } from './support/herold.mjs'

const folder = mkdtempSync(join(tmpdir(), 'herold-ctl-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const file = (name, text) => {
	writeFileSync(join(folder, name), text)
	return join(folder, name)
}
/** Its code and output, when it has said nothing on the side. */
const quiet = async (...args) => {
	const { code, out, err } = await ctl(...args)

	assert.equal(err, '')
	return [code, out]
}
const rows = (out) => out.trimEnd().split('\n').map((line) => line.split(/ {2,}/))

story('status, rooms and version', {}, async (herold) => {
	const clients = await usersOnEachWorker(herold, 1, (i) => i === 0 ? 'large' : 'small')

	await ChatClient.login(herold, { userId: 'one more', room: 'large' })
	const [code, out] = await quiet(herold, ['status'])

	assert.equal(code, 0)
	assert.match(out, /^state +ready\nversion +[\d.]+\nuptime +/)
	assert.match(out, new RegExp(`^websockets +${clients.length + 1}$`, 'm'))
	assert.match(out, /^slot +pid +ready +draining +uptime +connections /m)
	const { json } = await ctl(herold, ['status', '--json'])

	assert.deepEqual([json.ready, json.workers.length], [true, 2])
	assert.match((await quiet(herold, ['version']))[1], /^herold-ctl +([\d.]+)\nserver +\1\n$/)
	assert.equal((await ctl(herold, ['version', '--json'])).json.server, json.version)
	// As large as they are, the largest first.
	const counts = { large: 2, small: clients.length - 1 }
	const wanted = Object.entries(counts).sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).map(([room, n]) => [room, `${n}`])

	assert.deepEqual(rows((await quiet(herold, ['rooms']))[1]).map((row) => row.slice(0, 2)), [['room', 'members'], ...wanted])
	assert.equal(rows((await quiet(herold, ['rooms', '--top', '1']))[1]).length, 2)
	assert.deepEqual(await quiet(herold, ['rooms', '--top=0']), [0, ''])
})

story('find, disconnect and message', {}, async (herold) => {
	const clients = await usersOnEachWorker(herold)
	const { json: { connections: [one] } } = await ctl(herold, ['find', '--user', 'u0', '--json'])
	const [head, row, ...others] = rows((await quiet(herold, ['find', '--id', one.id]))[1])

	assert.deepEqual(head, ['id', 'worker', 'user', 'address', 'protocol', 'since', 'queued', 'stuck', 'rooms'])
	assert.deepEqual([row[0], row[2], row[3], row[4], others], [one.id, 'u0', one.address, 'chat', []])
	assert.equal(rows((await quiet(herold, ['find', '--address', '127.0.0.0/8']))[1]).length, clients.length + 1)
	// On a narrow terminal a connection is a few lines.
	assert.match((await quiet(herold, ['find', '--user', 'u0'], { env: { COLUMNS: '40' } }))[1],
		new RegExp(`^id {8}${one.id}\\nworker {4}[01]\\nuser {6}u0\\n(.+\\n){6}$`))
	assert.deepEqual(await quiet(herold, ['message', '--user', 'u1', '{"text":"hello"}']), [0, '1 connection told\n'])
	assert.deepEqual((await clients[1].next('publication')).data, { text: 'hello' })
	await quiet(herold, ['message', '--user', 'u1', '--text', 'just "this"'])
	assert.equal((await clients[1].next('publication')).data, 'just "this"')
	await quiet(herold, ['message', '--user', 'u1', '-'], { input: '[1, 2]' })
	assert.deepEqual((await clients[1].next('publication')).data, [1, 2])
	assert.deepEqual(await quiet(herold, ['disconnect', '--id', one.id, '--code', '4000', '--reason', 'ünü']), [0, '1 connection ended\n'])
	assert.deepEqual(await clients[0].closed, { code: 4000, reason: 'ended by the operator: ünü' })
	for (const args of [['find', '--id', one.id], ['disconnect', '--user', 'u0'], ['message', '--user', 'u0', '1']]) {
		const { code, out, err } = await ctl(herold, args)

		assert.deepEqual([code, out], [1, ''])
		assert.match(err, /^herold-ctl: (status 404: )?there is no such connection on this host\n$/)
	}
	assert.equal((await ctl(herold, ['disconnect', '--address', '127.0.0.1', '--json'])).json.done, clients.length - 1)
})

story('publish', {}, async (herold) => {
	const client = await ChatClient.login(herold, { userId: 'u', room: 'lobby' })

	assert.match((await quiet(herold, ['publish', 'room:lobby', '{"n":1}', '--key', 'k']))[1], /^epoch +\w+\noffset +1\nrepeated +no\n$/)
	assert.equal((await ctl(herold, ['publish', 'room:lobby', '{"n":1}', '--key', 'k', '--json'])).json.repeated, true)
	assert.deepEqual((await client.next('publication')).data, { n: 1 })
	await quiet(herold, ['publish', 'room:lobby', '-', '--text'], { input: 'x'.repeat(500000) })
	assert.equal((await client.next('publication')).data.length, 500000)
	const { code, err } = await ctl(herold, ['publish', '$users', '1'])

	assert.deepEqual([code, err], [2, "herold-ctl: status 400: channel is missing, or not a channel's name\n"])
})

story('levels of the log, and the last events', {}, async (herold) => {
	const levels = async (...args) => Object.fromEntries(rows((await quiet(herold, ['log-level', ...args]))[1]))

	assert.deepEqual([(await levels()).conn, (await levels()).limits], ['info', 'info'])
	const changed = await levels('debug', '--area', 'conn')

	assert.deepEqual([changed.conn, changed.limits], ['debug', 'info'])
	assert.deepEqual(await levels(), changed)
	assert.deepEqual(new Set(Object.values(await levels('warn'))), new Set(['warn']))
	assert.equal((await ctl(herold, ['log-level', '--json'])).json.levels.conn, 'warn')
	for (const args of [['loud'], ['debug', '--area', 'nowhere']])
		assert.equal((await ctl(herold, ['log-level', ...args])).code, 2)
	const client = await ChatClient.open(herold, { path: '/echo' })
	const { json: { connections: [{ id, worker }] } } = await ctl(herold, ['find', '--address', '127.0.0.1', '--json'])
	const [code, out] = await quiet(herold, ['trace', '--process', 'worker', '--slot', `${worker}`])

	assert.equal(code, 0)
	assert.match(out, new RegExp(`^\\nworker ${worker}, pid \\d+.*\\ntime +event +details\\n`))
	assert.match(out, new RegExp(`^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d\\.\\d{3} +accept +conn=${id} `, 'm'))
	for (const name of ['master 0', 'broker 0', 'admin 0', 'worker 0', 'worker 1'])
		assert.match((await quiet(herold, ['trace']))[1], new RegExp(`^${name}, pid \\d+`, 'm'))
	assert.equal((await ctl(herold, ['trace', '--slot', '99'])).code, 1)
	assert.equal((await ctl(herold, ['trace', '--process', 'none'])).code, 2)
	await client.close()
})

story('reload: what was read is in force, or refused', {
	options: { ...REACHES_FILES }, args: ['-c', file('reload.json', '{"log_level":"info"}')],
}, async (herold) => {
	assert.deepEqual(await quiet(herold, ['reload']), [0, 'status  reloaded\n'])
	await herold.waitLog(/the configuration was read again/)
	await herold.waitLog(/audit=admin/)
	file('reload.json', '{"no_such_option":1}')
	const { code, out, err } = await ctl(herold, ['reload'])

	assert.deepEqual([code, out], [1, ''])
	assert.match(err, /^herold-ctl: status 409: the configuration was read again and refused/)
	// Several at a time all get an answer.
	file('reload.json', '{"log_level":"info"}')
	assert.deepEqual((await Promise.all(Array.from({ length: 8 }, () => ctl(herold, ['reload'])))).map((each) => each.code), Array(8).fill(0))
	// The next admin process can order as well.
	const { admin } = await herold.pids()

	process.kill(admin, 'SIGKILL')
	await waitFor(async () => (await ctl(herold, ['reload'])).code === 0, 'a new admin process')
	assert.notEqual((await herold.pids()).admin, admin)
})

story('drain: the server ends in order, once', { options: { drain_seconds: 1, predrain_seconds: 1 } }, async (herold) => {
	const client = await ChatClient.login(herold, { userId: 'u' })

	assert.deepEqual(await quiet(herold, ['drain']), [0, 'status  draining\n'])
	await waitFor(async () => (await herold.admin('/readyz')).status === 503, 'readyz is red')
	const { code, err } = await ctl(herold, ['drain'])

	assert.deepEqual([code, err], [1, 'herold-ctl: status 409: the server is going away already\n'])
	assert.equal((await client.closed).code, 1001)
	await waitFor(() => herold.exit, 'the end')
	assert.match(herold.lines.find((line) => /shutting down/.test(line)), /by="the admin listener"/)
	herold.isTerminated = true
})

const TOKEN = 'a token of fair length'.replaceAll(' ', '-')

story('the token: from a file or the environment, never from the command line', { options: { admin_token: TOKEN } }, async (herold) => {
	const wrong = await ctl(herold, ['rooms'], { env: { HEROLD_ADMIN_TOKEN: 'no-token-of-this-server' } })

	assert.deepEqual([wrong.code, wrong.err], [1, 'herold-ctl: status 401: this is not the admin_token\n'])
	assert.deepEqual([(await ctl(herold, ['rooms'])).code, (await ctl(herold, ['rooms', '--token', TOKEN])).code], [1, 2])
	const tokenFile = file('token', `${TOKEN}\n`)
	const ways = [
		[['--token-file', tokenFile], {}],
		[[], { HEROLD_ADMIN_TOKEN: TOKEN }],
		[[], { HEROLD_ADMIN_TOKEN_FILE: tokenFile }],
		[['--config', file('a.json', JSON.stringify({ admin_token_file: tokenFile }))], {}],
		[['--config', file('b.json', JSON.stringify({ admin_token: TOKEN }))], {}],
	]

	for (const [args, env] of ways)
		assert.deepEqual(await quiet(herold, ['rooms', ...args], { env }), [0, ''])
	for (const [text, sentence] of [['', /the token is empty/], ['two words', /the token has a blank/], ['x'.repeat(513), /longer than 512/]]) {
		const { code, err } = await ctl(herold, ['rooms', '--token-file', file('bad', text)])

		assert.equal(code, 2)
		assert.match(err, sentence)
	}
})

story('the address: from an option, the environment or a configuration file, TCP or a unix socket', {
	options: { admin_listen: `unix:${join(folder, 'admin.sock')}`, ...REACHES_FILES },
}, async (herold) => {
	const address = `unix:${join(folder, 'admin.sock')}`
	const ways = [
		[['--server', address], {}],
		[[], { HEROLD_CTL_ADDRESS: address }],
		[[], { HEROLD_ADMIN_LISTEN: `${address},127.0.0.1:1` }],
		[['--config', file('c.json', JSON.stringify({ admin_listen: [address, '127.0.0.1:1'] }))], {}],
		[['--config', file('d.json', JSON.stringify({ admin_listen: address }))], { HEROLD_ADMIN_LISTEN: '127.0.0.1:1' }],
		[['--server', address], { HEROLD_CTL_ADDRESS: '127.0.0.1:1' }],
	]

	for (const [args, env] of ways)
		assert.deepEqual(await quiet(null, ['rooms', ...args], { env }), [0, ''])
	herold.adminUrl = undefined
})

test('wrong usage is said, with status 2', async () => {
	const wrong = [
		[[], /a command is missing/],
		[['fly'], /there is no command fly/],
		[['rooms', '--fly'], /there is no option --fly/],
		[['rooms', '--top'], /a value is missing behind --top/],
		[['rooms', '--top', '1', '--top', '2'], /given twice: --top/],
		[['rooms', '--json=yes'], /nothing stands behind --json=yes/],
		[['rooms', '--user', 'a'], /this command does not take --user/],
		[['rooms', 'more'], /one too many: more/],
		[['publish', 'channel'], /missing: CHANNEL DATA/],
		[['find'], /one of --user, --address, --id and --slowest is wanted/],
		[['find', '--user', 'a', '--id', 'b'], /one of --user/],
		[['disconnect'], /one of --user, --address and --id is wanted/],
		[['disconnect', '--user', 'a', '--code', 'x'], /--code is not a number/],
		[['message', '--user', 'a', '{'], /DATA is no JSON/],
		[['message', '--user', 'a', '1,"user":"b"'], /DATA is no JSON/],
		[['log-level', '--area', 'conn'], /--area is for setting a level/],
		[['rooms', '--timeout', '0'], /--timeout is not a number of seconds/],
		[['rooms', '--server', 'here'], /no address/, 3],
		[['rooms', '--config', '/nowhere/at.all'], /No such file/],
		[['rooms', '--config', file('list.json', '[]')], /it is no JSON object/],
		[['rooms', '--config', file('broken.json', '{')], /it is no JSON object: /],
	]

	for (const [args, sentence, status = 2] of wrong) {
		const { code, out, err } = await ctl(null, args)

		assert.deepEqual([args, code, out], [args, status, ''])
		assert.match(err, sentence)
	}
})

test('help of everything, and of each command', async () => {
	const [code, out] = await quiet(null, ['--help'])
	const commands = [...out.matchAll(/^ {2}([a-z][a-z-]+)( |$)/gm)].map(([, name]) => name)

	assert.equal(code, 0)
	assert.deepEqual(commands, ['status', 'rooms', 'find', 'disconnect', 'message', 'publish', 'log-level', 'trace', 'drain', 'reload', 'version'])
	for (const name of commands) {
		const help = await quiet(null, [name, '--help'])

		assert.equal(help[0], 0)
		assert.match(help[1], new RegExp(`^usage: herold-ctl ${name} `))
	}
})

/** A server that is none: fn(socket) for each connection. */
async function withServer(fn, use) {
	const sockets = new Set()
	const server = createServer((socket) => {
		sockets.add(socket)
		socket.on('error', () => {})
		fn(socket)
	})

	await new Promise((done) => server.listen(0, '127.0.0.1', done))
	try {
		await use({ adminAddress: `127.0.0.1:${server.address().port}` })
	} finally {
		sockets.forEach((socket) => socket.destroy())
		await new Promise((done) => server.close(done))
	}
}

test('who cannot be reached, does not answer, or answers nonsense: status 3', async () => {
	const answers = [
		['', /the connection ended before an answer/],
		['hello\r\n\r\n', /no answer in HTTP/],
		['HTTP/1.1 200 OK\r\n\r\n{}', /not complete/],
		['HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}', /not complete/],
		['HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n{}', /not complete/],
		['HTTP/1.1 xyz OK\r\nContent-Length: 2\r\n\r\n{}', /no answer in HTTP/],
		['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', /the answer is no JSON/],
	]

	for (const [answer, sentence] of answers) {
		await withServer((socket) => socket.once('data', () => socket.end(answer)), async (server) => {
			const { code, out, err } = await ctl(server, ['rooms'])

			assert.deepEqual([code, out], [3, ''], answer)
			assert.match(err, sentence)
		})
	}
	await withServer(() => {}, async (server) => {
		const { code, err } = await ctl(server, ['rooms', '--timeout', '1'])

		assert.equal(code, 3)
		assert.match(err, /no answer in time/)
	})
	const { code, err } = await ctl(null, ['rooms', '--server', '127.0.0.1:1'])

	assert.equal(code, 3)
	assert.match(err, /^herold-ctl: 127\.0\.0\.1:1: Connection refused\n$/)
	assert.deepEqual((await ctl(null, ['version', '--server', '127.0.0.1:1'])).code, 3)
	assert.equal((await ctl(null, ['rooms', '--server', `unix:${join(folder, 'nobody')}`])).code, 3)
})

test('what cannot be done just now: status 4; nothing that a server says reaches the terminal as a control character', async () => {
	const reply = (status, json) => (socket) => socket.once('data', () => socket.end(
		`HTTP/1.1 ${status} X\r\nContent-Length: ${Buffer.byteLength(json)}\r\n\r\n${json}`))

	await withServer(reply(503, '{"status":503,"error":"not now"}'), async (server) => {
		const { code, err } = await ctl(server, ['rooms'])

		assert.deepEqual([code, err], [4, 'herold-ctl: status 503: not now\n'])
	})
	await withServer(reply(200, '{"matched":1,"workers":2,"workers_answered":1,"connections":[],"done":0}'), async (server) => {
		for (const args of [['find', '--user', 'a'], ['disconnect', '--user', 'a']])
			assert.equal((await ctl(server, args)).code, 4)
	})
	await withServer(reply(200, '{"rooms":[{"room":"\\u001b[31mred\\u202e","members":1},{"room":"äö","members":123456}]}'), async (server) => {
		const { code, out } = await ctl(server, ['rooms'])

		assert.deepEqual([code, out], [0, 'room       members\n?[31mred?        1\näö          123456\n'])
	})
	await withServer(reply(500, '{"error":"\\u001b[31mred"}'), async (server) => {
		const { code, err } = await ctl(server, ['rooms'])

		assert.deepEqual([code, err], [4, 'herold-ctl: status 500: ?[31mred\n'])
	})
})
