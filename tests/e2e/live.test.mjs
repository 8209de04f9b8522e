// /live of the admin listener: who is let in, what a viewer gets, and that it is made once for all
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'

import { ChatClient } from './support/client.mjs'
import { REACHES_FILES, story, waitFor } from './support/herold.mjs'
import { RawSocket, handshake } from './support/raw.mjs'

// With what a subprotocol may not have.
const TOKEN = 'correct-horse/battery+staple=='
const VIEWERS = 32
const dir = mkdtempSync(join(tmpdir(), 'herold-live-'))

writeFileSync(join(dir, 'token'), TOKEN)

after(() => rmSync(dir, { recursive: true }))

const protocolOf = (token) => `herold, herold.token.${Buffer.from(token).toString('base64url')}`
const look = (herold, headers = {}) => ChatClient.open({ wsUrl: `ws://${herold.adminAddress}` }, { path: '/live', headers })
const counters = async (herold, headers) => (await herold.admin('/status', { headers })).json.counters

/** Asks for the WebSocket of the admin listener, with these headers: status and sentence. */
async function ask(herold, headers = {}) {
	const raw = await RawSocket.open(herold.adminAddress)

	raw.write(handshake({ path: '/live', headers }))
	const { status, body, headers: answered } = await raw.response()

	raw.destroy()
	return { status, error: status === 101 ? '' : JSON.parse(body).error, protocol: answered['sec-websocket-protocol'] }
}

story('what a viewer gets: the history once, and every second how it is', { options: { workers: 2 } }, async (herold) => {
	const user = await ChatClient.login(herold, { userId: 'ada', room: 'lobby' })
	const viewer = await look(herold)
	const history = await viewer.next('history')

	assert.deepEqual(viewer.received[0], history, 'first of all')
	assert.deepEqual([history.step, history.span, history.columns[0]], [5000, 900000, 'time'])
	const now = await viewer.next('now')

	assert.equal(now.verdict.state, 'well')
	assert.deepEqual(now.verdict.because, [])
	assert.deepEqual(now.processes.map((p) => p.kind).sort(), ['admin', 'broker', 'master', 'worker', 'worker'])
	assert.ok(now.processes.every((p) => p.kind === 'master' || p.ready))
	assert.ok(Math.abs(Date.now() - now.time) < 5000)
	await viewer.next((m) => m.type === 'now' && m.figures.connections === 1 && m.figures.users === 1)
	const pointed = await viewer.next((m) => m.point !== undefined)

	assert.equal(pointed.point.length, history.columns.length)
	const times = viewer.received.filter((m) => m.type === 'now').slice(1).map((m) => m.time)

	assert.deepEqual(times, [...new Set(times)].sort(), 'each of a later time')
	const late = await look(herold)
	const all = await late.next('history')

	assert.deepEqual(all.points.at(-1), pointed.point, 'who comes later has it from the history')
	await waitFor(() => late.received.length > 3, 'messages for both')
	const byTime = new Map(viewer.received.map((m) => [m.time, m]))
	const same = late.received.slice(2).filter((m) => byTime.has(m.time))

	assert.ok(same.length > 0)
	for (const m of same)
		assert.deepEqual(m, byTime.get(m.time), 'the same message for all')
	assert.equal((await counters(herold)).viewers, 2)
	late.close()
	viewer.close()
	await waitFor(async () => (await counters(herold)).viewers === 0, 'nobody looks any more')
	user.close()
})

story('rates and counts are those of the clients', { options: { workers: 1 } }, async (herold) => {
	const viewer = await look(herold)
	const echo = await ChatClient.open(herold, { path: '/echo' })
	const before = (await viewer.next('now')).time

	for (let i = 0; i < 50; i++)
		echo.send(`"${'x'.repeat(100)}"`)
	const busy = await viewer.next((m) => m.type === 'now' && m.figures.received > 0)

	// 50 in the last 5 seconds, as far as it has been looking for so long.
	assert.ok(busy.figures.received > 5 && busy.figures.received < 60, `${busy.figures.received}`)
	assert.ok(busy.figures.bytes_received > 5 * 100)
	assert.ok(busy.time >= before)
	const quiet = await viewer.next((m) => m.type === 'now' && m.time > busy.time && m.figures.received === 0)

	assert.equal(quiet.figures.connections, 1, 'who looks is no client')
	echo.terminate()
	const ended = await viewer.next((m) => m.type === 'now' && m.ends.some((e) => e.what === 'client_eof' || e.what === 'client_reset'))

	assert.equal(ended.figures.connections, 0)
	viewer.close()
})

story('a worker that died is in the verdict and in the last errors', { options: { workers: 2 } }, async (herold) => {
	const { workers: [pid] } = await herold.pids()
	const viewer = await look(herold)

	process.kill(pid, 'SIGKILL')
	const trouble = await viewer.next((m) => m.type === 'now' && m.verdict.state === 'trouble')

	assert.deepEqual(trouble.restarts, { worker: 1, broker: 0, admin: 0 })
	assert.ok(trouble.verdict.because.includes('workers ended and were started again: 1 in the last minute'))
	const line = trouble.log.find((each) => each.level === 'error')

	assert.match(line.text, new RegExp(`child_pid=${pid}\\b`))
	assert.deepEqual([line.process, line.area], ['master', 'process'])
	viewer.close()
})

story('the largest rooms, and who does not take what is sent', { options: { workers: 2, client_queue_bytes: 64 << 20 } }, async (herold) => {
	const users = []

	for (const [i, room] of ['small', 'large', 'large', 'large', 'middle', 'middle'].entries())
		users.push(await ChatClient.login(herold, { userId: `u${i}`, room }))
	const viewer = await look(herold)
	const { rooms } = await viewer.next((m) => m.rooms?.length === 3)

	assert.deepEqual(rooms.map((r) => [r.room, r.members]), [['large', 3], ['middle', 2], ['small', 1]])
	await viewer.next((m) => m.readers?.length === 0)
	const lazy = await RawSocket.upgraded(herold.address, { path: '/broadcast' })
	const talker = await ChatClient.open(herold, { path: '/broadcast' })

	lazy.pause()
	const talking = setInterval(() => talker.send(JSON.stringify({ type: 'talk', text: 'x'.repeat(200000) })), 20)

	try {
		const { readers: [reader] } = await viewer.next((m) => m.readers?.some((r) => r.queued_bytes > 200000), 30000)

		assert.equal(reader.address, `127.0.0.1:${lazy.socket.localPort}`)
		assert.equal(reader.protocol, 'broadcast')
	} finally {
		clearInterval(talking)
	}
	lazy.destroy()
	await viewer.next((m) => m.readers?.length === 0 && m.figures.waiting === 0)
	for (const client of [...users, talker, viewer])
		client.close()
})

/** What it is, headers, status, sentence, counter. */
const REFUSED = [
	['a page of another origin', { Origin: 'http://evil.example' }, 403, /^pages of another host may not connect here/, 'admin_origins_refused'],
	['a page of another port', { Host: 'localhost:8081', Origin: 'http://localhost:8080' }, 403, /^pages of another host may not connect here/, 'admin_origins_refused'],
	['a page without an origin', { Origin: 'null' }, 403, /Origin: null/, 'admin_origins_refused'],
	['two Origins', { Host: 'localhost', Origin: ['http://localhost', 'http://localhost'] }, 403, /^there is more than one Origin header$/, 'admin_origins_refused'],
	['a foreign name', { Host: 'evil.example', Origin: 'http://evil.example' }, 421, /^without an admin_token/, 'hosts_refused'],
	['another version', { 'Sec-WebSocket-Version': '8' }, 426, /13/],
	['no key', { 'Sec-WebSocket-Key': undefined }, 400, /Sec-WebSocket-Key/],
]

story('who is refused: foreign Origin, foreign Host, bad handshakes', { options: { workers: 1 } }, async (herold) => {
	for (const [what, headers, status, sentence, counter] of REFUSED) {
		const before = await counters(herold)
		const answer = await ask(herold, headers)

		assert.equal(answer.status, status, what)
		assert.match(answer.error, sentence, what)
		if (counter !== undefined)
			assert.equal((await counters(herold))[counter], before[counter] + 1, what)
	}
	const own = { Host: herold.adminAddress, Origin: `http://${herold.adminAddress}` }

	assert.equal((await ask(herold, own)).status, 101, 'its own page')
	assert.equal((await ask(herold, { Host: 'localhost', Origin: 'https://localhost' })).status, 101, 'behind a proxy with TLS')
	assert.equal((await ask(herold)).status, 101, 'no browser')
	const plain = await herold.admin('/live')

	assert.equal(plain.status, 426, 'a plain GET is told what it could have')
	assert.equal((await herold.admin('/live', { headers: { Origin: 'http://evil.example' } })).status, 403, 'or why not')
	assert.equal((await herold.admin('/live', { method: 'POST' })).status, 405)
})

story('with an admin_token the WebSocket asks for it, too', { options: { workers: 1, admin_token: TOKEN } }, async (herold) => {
	const authorized = { Authorization: `Bearer ${TOKEN}` }
	const tried = [
		['no token', {}, 401],
		['a wrong one', { 'Sec-WebSocket-Protocol': protocolOf(`${TOKEN}x`) }, 401],
		['half of it', { 'Sec-WebSocket-Protocol': protocolOf(TOKEN.slice(0, -1)) }, 401],
		['two guesses', { 'Sec-WebSocket-Protocol': `${protocolOf('x'.repeat(20))}, ${protocolOf(TOKEN)}` }, 401],
		['no base64url', { 'Sec-WebSocket-Protocol': 'herold, herold.token.=' }, 401],
		['a wrong one in the header, the right one beside it', { Authorization: 'Bearer x', 'Sec-WebSocket-Protocol': protocolOf(TOKEN) }, 401],
		['the token of a foreign page', { Host: 'localhost', Origin: 'http://evil.example', 'Sec-WebSocket-Protocol': protocolOf(TOKEN) }, 403],
		['the token', { 'Sec-WebSocket-Protocol': protocolOf(TOKEN) }, 101],
		['the token of the own page, by any name', { Host: 'status.example', Origin: 'https://status.example', 'Sec-WebSocket-Protocol': protocolOf(TOKEN) }, 101],
		['the token of a program', authorized, 101],
	]

	for (const [what, headers, status] of tried) {
		const before = await counters(herold, authorized)
		const answer = await ask(herold, headers)

		assert.equal(answer.status, status, `${what}: ${answer.error}`)
		assert.equal((await counters(herold, authorized)).admin_refused, before.admin_refused + (status === 401 ? 1 : 0), what)
		if (status === 101 && headers['Sec-WebSocket-Protocol'] !== undefined)
			assert.equal(answer.protocol, 'herold', 'never the token')
	}
	for (const path of ['/', '/status.js', '/status.css', '/icon.svg'])
		assert.equal((await herold.admin(path)).status, 200, `${path} asks for none`)
	assert.equal((await herold.admin('/live', { headers: authorized })).status, 426)
	assert.equal((await herold.admin('/live')).status, 401)
	assert.ok(!herold.log().includes(Buffer.from(TOKEN).toString('base64url')))
})

story('as many viewers as there may be; another one is told so', { options: { workers: 1 } }, async (herold) => {
	const viewers = []

	for (let i = 0; i < VIEWERS; i++)
		viewers.push(await look(herold))
	assert.deepEqual(await ask(herold), { status: 503, error: 'as many status pages are open as there may be', protocol: undefined })
	assert.equal((await herold.admin('/live')).status, 503, 'a plain GET hears it, too')
	const { viewers_refused: refused, viewers: open } = await counters(herold)

	assert.deepEqual([refused, open], [2, VIEWERS])
	await Promise.all(viewers.map((viewer) => viewer.next('now')))
	viewers.pop().terminate()
	await waitFor(async () => (await ask(herold)).status === 101, 'a place that became free')
	for (const viewer of viewers)
		viewer.close()
})

story('a viewer has nothing to say', { options: { workers: 1 } }, async (herold) => {
	const viewer = await look(herold)

	await viewer.next('now')
	viewer.send('{"type":"hello"}')
	assert.deepEqual(await viewer.closed, { code: 1008, reason: 'too many errors: the status page only listens' })
	const large = await look(herold)

	large.send('x'.repeat(200))
	assert.equal((await large.closed).code, 1009)
})

story('another token ends those who came with the one before', { options: { workers: 1, admin_token_file: join(dir, 'token'), ...REACHES_FILES } }, async (herold) => {
	const viewer = await look(herold, { Authorization: `Bearer ${TOKEN}` })

	// The same again is no other.
	process.kill(herold.pid, 'SIGHUP')
	await herold.waitLog(/the admin token was read again/)
	const heard = viewer.received.length

	await waitFor(() => viewer.received.length > heard + 1, 'messages, still')
	writeFileSync(join(dir, 'token'), 'another-horse-battery-staple\n')
	process.kill(herold.pid, 'SIGHUP')
	assert.equal((await viewer.closed).code, 4401)
	assert.equal((await ask(herold, { 'Sec-WebSocket-Protocol': protocolOf(TOKEN) })).status, 401)
	assert.equal((await ask(herold, { 'Sec-WebSocket-Protocol': protocolOf('another-horse-battery-staple') })).status, 101)
})

story('a drain tells viewers, and does not wait for them', { options: { workers: 1 } }, async (herold) => {
	const viewer = await look(herold)

	await viewer.next('now')
	herold.terminate()
	assert.equal((await viewer.closed).code, 1001)
})
