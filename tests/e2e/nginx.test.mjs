// A real nginx with the shipped files in front of real Herolds: syntax, chat, backends that go, limits, TLS, page, log
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { join } from 'node:path'
import test from 'node:test'

import { certificate } from './support/certificates.mjs'
import { ChatClient } from './support/client.mjs'
import { logFields, sleep, waitFor } from './support/herold.mjs'
import { Nginx, frontStory, shippedFiles } from './support/nginx.mjs'
import { RawSocket } from './support/raw.mjs'
import { SecureSocket, secure } from './support/secure.mjs'

const PAGE = { 'index.html': '<title>From disk</title>', 'own.js': '1' }
let users = 0

const several = (nginx, count, options) =>
	Promise.all(Array.from({ length: count }, () => ChatClient.login(nginx, { userId: `u${users++}` }, options)))

/** Each says something and has it acknowledged. */
async function allChat(clients) {
	for (const client of clients)
		assert.equal((await client.ask({ type: 'chat', message: 'here', ref: `${client.loginOk.userId} ${client.received.length}` })).type, 'ack')
}

/** Opens and closes at once: the status that refused it, or 101. */
async function knock(url, options) {
	const client = new ChatClient(url, options)

	try {
		await client.opened
	} catch (error) {
		return Number(/ (\d+)$/.exec(error.message)[1])
	}
	client.terminate()
	return 101
}

test('every shipped file is good', async () => {
	const nginx = new Nginx({ backends: ['127.0.0.1:1'], tls: certificate('nginx'), stream: ['127.0.0.1:2'] })

	try {
		await nginx.configure()
		const { code, out } = await nginx.run('-T')

		assert.equal(code, 0, out)
		for (const name of shippedFiles)
			assert.ok(out.includes(`# configuration file ${join(nginx.conf, name)}:`), `${name} is in use`)
		assert.doesNotMatch(out, /\[(emerg|alert|crit|error)\]/)
	} finally {
		nginx.kill()
	}
})

frontStory('chat through nginx, over three backends', { backends: 3 }, async ({ nginx, herolds }) => {
	const clients = await several(nginx, 12)
	const counts = await Promise.all(herolds.map(async (herold) => (await herold.status()).counters.websockets))

	assert.deepEqual(counts, [4, 4, 4], 'dealt out evenly')
	for (const [i, client] of clients.entries())
		assert.equal((await client.ask({ type: 'chat', message: `hello ${i}`, ref: `r${i}` })).type, 'ack')
	// Each of these Herolds is a world of its own: who is together with u0 hears what u0 hears.
	for (const client of clients) {
		await waitFor(() => client.received.findLast((m) => m.count !== undefined).count === 4, 'four users')
		await waitFor(() => client.texts().length === 4, 'four messages')
	}
	await Promise.all(clients.map((client) => client.close(1000)))
	for (const client of clients)
		assert.equal(client.closeInfo.code, 1000)
})

frontStory('a backend that drains: newcomers go elsewhere, nobody sees its 503', { backends: 2, options: (i) => i === 0 ? { predrain_seconds: 6 } : {} },
	async ({ nginx, herolds: [leaving, staying] }) => {
		const early = await several(nginx, 8)

		leaving.terminate()
		await waitFor(async () => (await leaving.admin('/readyz')).status === 503, 'it refuses')
		const late = await several(nginx, 20)

		assert.equal((await staying.status()).counters.websockets, 24)
		await allChat([...early, ...late])
		assert.ok((await leaving.status()).counters.connections_refused_drain > 0, 'it was asked, and refused')
		assert.ok(early.every((client) => client.closeInfo === undefined), 'who was there has not been asked to go yet')
		// Now it closes those it has, and then it refuses connections altogether.
		await waitFor(() => leaving.exit, 'its end', 20000)
		assert.deepEqual(early.map((client) => client.closeInfo?.code).filter(Boolean), [1001, 1001, 1001, 1001])
		const last = await several(nginx, 8)

		await allChat(last)
		for (const client of [...early, ...late, ...last])
			client.terminate()
		await waitFor(() => nginx.accesses().length >= 36, 'all of it in the log')
		const refused = nginx.accesses().filter((line) => line.backend_status === '503, 101')

		assert.ok(refused.length > 0 && refused.every((line) => line.backend === `${leaving.address}, ${staying.address}`))
		assert.ok(nginx.accesses().every((line) => line.status === 101))
	})

frontStory('a backend that is killed: no newcomer fails', { backends: 3, ends: { 0: { code: null, signal: 'SIGKILL' } } },
	async ({ nginx, herolds: [dead, ...living] }) => {
		const early = await several(nginx, 9)

		dead.kill()
		// At once, while nginx still believes in it.
		const late = await several(nginx, 30)

		await allChat(late)
		await waitFor(() => early.filter((client) => client.closeInfo !== undefined).length === 3, 'the three of the dead one')
		const back = await several(nginx, 3)

		await allChat(early.filter((client) => client.closeInfo === undefined))
		assert.equal((await Promise.all(living.map((herold) => herold.status()))).reduce((sum, s) => sum + s.counters.websockets, 0), 39)
		for (const client of [...early, ...late, ...back])
			client.terminate()
		await waitFor(() => nginx.accesses().length >= 42, 'all of it in the log')
		const elsewhere = nginx.accesses().filter((line) => line.backend.startsWith(`${dead.address}, `))

		assert.ok(elsewhere.length > 0, 'somebody was sent to the dead one first')
		assert.ok(nginx.accesses().every((line) => line.status === 101))
	})

frontStory('another list of backends and a reload: nobody is cut off, newcomers follow the list', { backends: 3 }, async ({ nginx, herolds }) => {
	const early = await several(nginx, 9)

	nginx.writeUpstream(herolds.slice(0, 2).map((herold) => herold.address))
	await nginx.reload()
	const late = await several(nginx, 9)

	await allChat([...early, ...late])
	const counts = await Promise.all(herolds.map(async (herold) => (await herold.status()).counters.websockets))

	assert.equal(counts[2], 3, 'the third has those it had')
	assert.equal(counts[0] + counts[1], 15)
	nginx.writeUpstream(herolds.map((herold) => herold.address))
	await nginx.reload()
	await allChat([...early, ...late, ...await several(nginx, 6)])
	assert.ok([...early, ...late].every((client) => client.closeInfo === undefined))
})

/** The peers in the lines of a log that say how connections ended. */
const peersOf = (herold) => herold.lines.filter((line) => line.includes('reason=client_')).map((line) => logFields(line).peer)

frontStory('Herold knows the client, not nginx; what a client says of itself is not believed', { backends: 1, proxied: true },
	async ({ nginx, herolds: [herold] }) => {
		const honest = await ChatClient.login(nginx, { userId: 'honest' }, { localAddress: '127.0.0.21' })
		const liar = await ChatClient.login(nginx, { userId: 'liar' }, { localAddress: '127.0.0.22', headers: { 'X-Forwarded-For': '203.0.113.66, 127.0.0.1' } })
		const byStream = await ChatClient.login({ wsUrl: nginx.streamWsUrl }, { userId: 'tcp' }, { localAddress: '127.0.0.23' })
		const streamLiar = await ChatClient.login({ wsUrl: nginx.streamWsUrl }, { userId: 'tcp liar' }, { localAddress: '127.0.0.24',
			headers: { 'X-Forwarded-For': '203.0.113.66' } })

		await allChat([honest, liar, byStream, streamLiar])
		for (const client of [honest, liar, byStream, streamLiar])
			await client.close(1000)
		await waitFor(() => peersOf(herold).length === 4, 'four ends')
		assert.deepEqual(peersOf(herold).map((peer) => peer.replace(/:\d+$/, '')), ['127.0.0.21', '127.0.0.22', '127.0.0.23', '127.0.0.24'])
		const { counters } = await herold.status()

		assert.deepEqual([counters.forwarded_requests, counters.proxy_headers], [2, 2])
	})

frontStory('by stream, with a backend that is killed', { backends: 2, proxied: true, ends: { 0: { code: null, signal: 'SIGKILL' } } },
	async ({ nginx, herolds: [dead, living] }) => {
		const tcp = { wsUrl: nginx.streamWsUrl }
		const early = await several(tcp, 4)

		dead.kill()
		// Here nginx tries another one only when a connection is refused; that of a process amid its end is accepted, and then cut.
		await waitFor(() => dead.processes().length === 0, 'the end of all its processes')
		await allChat(await several(tcp, 8))
		await waitFor(() => early.filter((client) => client.closeInfo !== undefined).length === 2, 'those of the dead one')
		assert.equal((await living.status()).counters.websockets, 10)
	})

frontStory('limits: 20 requests a second after 100 at once, 200 WebSockets from one address', { backends: 1, page: PAGE }, async ({ nginx }) => {
	const url = `${nginx.wsUrl}/echo`
	const raw = new RawSocket(connect({ host: '127.0.0.1', port: nginx.port, localAddress: '127.0.0.9' }))
	const began = Date.now()
	const statuses = []

	raw.write('GET /own.js HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(800))
	while (statuses.length < 800)
		statuses.push((await raw.response()).status)
	const passed = statuses.filter((status) => status === 200).length
	const seconds = (Date.now() - began) / 1000

	assert.ok(passed >= 100 && passed <= 102 + 20 * seconds, `${passed} passed in ${seconds} s`)
	assert.equal(statuses.filter((status) => status === 429).length, 800 - passed)
	assert.ok(passed < 800)
	raw.destroy()
	assert.equal(await knock(url, { localAddress: '127.0.0.10' }), 101, 'others are not touched by it')

	const open = []

	while (open.length < 200) {
		const client = new ChatClient(url, { localAddress: '127.0.0.11' })

		await client.opened.then(() => open.push(client), () => sleep(50))
	}
	// Slower than the limit of requests; so it is the other one that refuses.
	for (let i = 0; i < 5; i++) {
		await sleep(200)
		assert.equal(await knock(url, { localAddress: '127.0.0.11' }), 429)
	}
	await open.pop().close(1000)
	await waitFor(async () => await knock(url, { localAddress: '127.0.0.11' }) === 101, 'room for one', 5000)
	assert.ok(open.every((client) => client.closeInfo === undefined), 'who is in stays in')
	for (const client of open)
		client.terminate()
})

frontStory('TLS', { tls: certificate('nginx-tls'), page: PAGE }, async ({ nginx }) => {
	const at = { host: '127.0.0.1', port: nginx.tlsPort }
	const first = await secure(at)
	const session = new Promise((done) => first.once('session', done))

	assert.equal(first.getProtocol(), 'TLSv1.3')
	first.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
	const again = await secure(at, { session: await session })

	assert.ok(again.reused, 'sessions are resumed')
	for (const socket of [first, again])
		socket.destroy()
	await assert.rejects(secure(at, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }))
	const socket = await SecureSocket.open(at)

	assert.equal(String(await socket.echo('over TLS')), 'over TLS')
	socket.end()
	const client = await ChatClient.login({ wsUrl: `wss://127.0.0.1:${nginx.tlsPort}` }, { userId: 'secure' }, { rejectUnauthorized: false })

	await allChat([client])
	await client.close(1000)
})

frontStory('page, health and errors', { backends: 1, page: PAGE, ends: { 0: { code: null, signal: 'SIGKILL' } } }, async ({ nginx, herolds: [herold] }) => {
	const get = (path, headers = {}) => fetch(nginx.url + path, { headers })
	const page = await get('/')
	const built = await fetch(`${herold.url}/`)

	assert.equal(await page.text(), PAGE['index.html'])
	for (const name of ['content-type', 'content-security-policy', 'cache-control', 'x-content-type-options', 'referrer-policy', 'cross-origin-opener-policy'])
		assert.equal(page.headers.get(name), built.headers.get(name), name)
	assert.equal((await get('/', { 'If-None-Match': page.headers.get('etag') })).status, 304)
	assert.equal((await get('/own.js')).headers.get('content-type'), 'text/javascript; charset=utf-8')
	// What is not on disk is Herold's, and so is every WebSocket.
	assert.equal(await (await get('/herold.js')).text(), await (await fetch(`${herold.url}/herold.js`)).text())
	assert.equal((await get('/nothing')).status, 404)
	assert.equal((await get('/..%2fconf/nginx.conf')).status, 400)
	assert.equal((await get('/ws')).status, 426)
	const client = await ChatClient.login(nginx, { userId: 'page' }, { path: '/' })

	await allChat([client])
	client.terminate()
	herold.kill()
	assert.equal((await get('/ws')).status, 502)
	const health = await get('/healthz')

	assert.deepEqual([health.status, health.headers.get('content-type'), await health.json()], [200, 'application/json', { status: 'ok' }])
	assert.equal(await (await get('/')).text(), PAGE['index.html'])
})

frontStory('the access log is JSON, whatever clients send', { backends: 1 }, async ({ nginx, herolds: [herold] }) => {
	const raw = await RawSocket.open(nginx.address)

	raw.write('GET /a%22b%0A?token=secret HTTP/1.1\r\nHost: x"y\r\nUser-Agent: "\\\x01\xff\t{\r\nConnection: close\r\n\r\n')
	await raw.response()
	await raw.finished()
	raw.destroy()
	await fetch(`${nginx.url}/healthz`)
	const client = await ChatClient.open(nginx, { path: '/echo' })

	client.send(Buffer.from('abc'))
	await client.next('binary')
	await client.close(1000)
	const [bad, socket] = await waitFor(() => nginx.accesses().length >= 2 && nginx.accesses(), 'two lines')

	assert.equal(nginx.accesses().length, 2, '/healthz is not logged')
	assert.deepEqual([bad.method, bad.path, bad.host, bad.client], ['GET', '/a"b\n', 'x"y', '127.0.0.1'])
	assert.ok(bad.agent.startsWith('"\\') && !JSON.stringify(bad).includes('secret'))
	assert.deepEqual([socket.path, socket.status, socket.upgrade, socket.backend, socket.backend_status],
		['/echo', 101, 'websocket', herold.address, '101'])
	for (const name of ['status', 'bytes_in', 'bytes_out', 'seconds', 'connection'])
		assert.equal(typeof socket[name], 'number', name)
})
