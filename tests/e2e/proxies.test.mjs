// Whom Herold takes for the client behind a proxy: X-Forwarded-For and the PROXY protocol, from trusted_proxies only
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'

import { ChatClient } from './support/client.mjs'
import { logFields, run, story, waitFor } from './support/herold.mjs'
import { OP, RawSocket, frame, handshake } from './support/raw.mjs'
import { RESIDUE, assertNoResidue } from './support/residue.mjs'
import { secure } from './support/secure.mjs'

const V1 = 'PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n'
const V2 = Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x27', 'latin1'),
	Buffer.from('20010db8000000000000000000000007', 'hex'), Buffer.from('20010db8000000000000000000000001', 'hex'), Buffer.from([0x12, 0x67, 1, 0xbb]),
	// One more thing that the proxy says, of a kind that nobody here asks for.
	Buffer.from([0xea, 0, 0])])
const port = (address) => Number(address.slice(address.lastIndexOf(':') + 1))
/** The line that says that a connection of this client has ended. */
const ended = async (herold, peer) => logFields(await waitFor(() => herold.lines.find((line) => logFields(line).peer === peer), `the end of ${peer}`))
const closed = async (herold) => (await herold.status()).counters.closed

/** A WebSocket that echoes, behind these first bytes. */
async function echoBehind(raw, header) {
	raw.write(header)
	raw.write(handshake({ path: '/echo' }))
	assert.equal((await raw.response()).status, 101)
	raw.write(frame(OP.TEXT, 'hello'))
	assert.equal(String((await raw.frame()).payload), 'hello')
	raw.destroy()
}

story('X-Forwarded-For: who it is for the log', { options: { trusted_proxies: '127.0.0.1,192.0.2.0/24' } }, async (herold) => {
	const cases = [
		['203.0.113.7', '203.0.113.7'],
		['10.9.9.9, 203.0.113.8', '203.0.113.8'],
		['10.9.9.9, 2001:db8::8, 192.0.2.1', '2001:db8::8'],
		['203.0.113.9, nonsense, 192.0.2.2', '192.0.2.2'],
	]

	for (const [list, peer] of cases) {
		const client = await ChatClient.open(herold, { path: '/echo', headers: { 'X-Forwarded-For': list } })

		await client.close(1000)
		assert.equal((await ended(herold, peer)).reason, 'client_close')
	}
	assert.equal((await herold.status()).counters.forwarded_requests, cases.length)
	const liar = await ChatClient.open(herold, { path: '/echo', localAddress: '127.0.0.5', headers: { 'X-Forwarded-For': '203.0.113.66' } })

	await liar.close(1000)
	await herold.waitLog(/peer=127\.0\.0\.5:\d+ /)
	assert.equal((await herold.status()).counters.forwarded_requests, cases.length)
	assert.ok(!herold.lines.some((line) => line.includes('203.0.113.66')))
})

story('requests of several clients on one connection of a proxy', { options: { trusted_proxies: '127.0.0.1' } }, async (herold) => {
	const raw = await RawSocket.open(herold.address)

	for (const list of ['203.0.113.1', '203.0.113.2']) {
		raw.write(`GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: ${list}\r\n\r\n`)
		assert.equal((await raw.response()).status, 200)
	}
	raw.write('GET /nothing HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.3\r\n\r\n')
	assert.equal((await raw.response()).status, 404)
	raw.destroy()
	assert.equal((await ended(herold, '203.0.113.3')).reason, 'http_refused')
	const other = await RawSocket.open(herold.address)

	other.write('GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.4\r\n\r\nGET nonsense HTTP/1.1\r\n\r\n')
	assert.equal((await other.response()).status, 200)
	assert.equal((await other.response()).status, 400)
	other.destroy()
	const refused = await waitFor(() => herold.lines.find((line) => line.includes('400 the request')), 'the refusal')

	assert.match(logFields(refused).peer, /^127\.0\.0\.1:/, 'what was no request has no client')
})

story('nobody is trusted unless it is said', {}, async (herold) => {
	const client = await ChatClient.open(herold, { path: '/echo', headers: { 'X-Forwarded-For': '203.0.113.7' } })

	await client.close(1000)
	await herold.waitLog(/peer=127\.0\.0\.1:\d+ .*reason=client_close/)
})

const PROXIED = { listen: '127.0.0.1:0,127.0.0.1:0 proxy_protocol', trusted_proxies: '127.0.0.1', handshake_seconds: 1 }

story('the PROXY protocol, both versions', { options: PROXIED }, async (herold) => {
	const [plain, proxied] = herold.addresses

	assert.ok(herold.lines.some((line) => line.includes(`${proxied}/`) && line.includes('proxy_protocol=expected')))
	await echoBehind(await RawSocket.open(proxied), V1)
	await ended(herold, '203.0.113.7:4711')
	await echoBehind(await RawSocket.open(proxied), V2)
	await ended(herold, '[2001:db8::7]:4711')
	// On the other address it is no request.
	const wrong = await RawSocket.open(plain)

	wrong.write(V1)
	assert.equal((await wrong.response()).status, 400)
	await wrong.finished()
	assert.equal((await herold.status()).counters.proxy_headers, 2)
})

story('without a good header from a trusted proxy: the end', { options: PROXIED }, async (herold) => {
	const proxied = herold.addresses[1]
	const stranger = new RawSocket(connect({ host: '127.0.0.1', port: port(proxied), localAddress: '127.0.0.5' }))

	await stranger.finished()
	await herold.waitLog(/peer=127\.0\.0\.5:\d+ .*reason=proxy_untrusted/)
	const direct = await RawSocket.open(proxied)

	direct.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
	await direct.finished()
	assert.equal(direct.bytes.length, 0)
	await herold.waitLog(/reason=proxy_header_bad .*"the connection does not begin with it"/)
	const slow = await RawSocket.open(proxied)

	slow.write('PROXY TCP4 203.0.113.7 ')
	await slow.finished()
	await herold.waitLog(/reason=proxy_header_timeout/)
	const large = await RawSocket.open(proxied)

	large.write(Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff', 'latin1'), Buffer.alloc(65535)]))
	await large.finished()
	const { proxy_untrusted, proxy_header_bad, proxy_header_timeout } = await closed(herold)

	assert.deepEqual([proxy_untrusted, proxy_header_bad, proxy_header_timeout], [1, 2, 1])
	assert.equal((await herold.status()).counters.proxy_headers, 0)
})

const NO_HEADER = 'the connection does not begin with it'
const NO_LINE = 'the line is malformed'
const v2 = (rest) => Buffer.from(`\r\n\r\n\0\r\nQUIT\n${rest}`, 'latin1')
const v1 = (rest) => `PROXY ${rest}\r\n`

/** What it is, the bytes, the sentence in the log. */
const BAD_HEADERS = [
	['none', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', NO_HEADER],
	['TLS', Buffer.from('16030100c8010000c40303', 'hex'), NO_HEADER],
	['in small letters', 'proxy TCP4 192.0.2.1 192.0.2.9 51234 443\r\n', NO_HEADER],
	['another signature', '\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c', NO_HEADER],
	['LF alone', 'PROXY TCP4 192.0.2.1 192.0.2.9 51234 443\n', 'the line does not end with CRLF'],
	['without an end', `PROXY UNKNOWN ${'3'.repeat(200)}`, 'the line is too long'],
	['another transport', v1('UDP4 192.0.2.1 192.0.2.9 51234 443'), NO_LINE],
	['without a port', v1('TCP4 192.0.2.1 192.0.2.9 51234'), NO_LINE],
	['two blanks', v1('TCP4  192.0.2.1 192.0.2.9 51234 443'), NO_LINE],
	['more than an address', v1('TCP4 192.0.2.256 192.0.2.9 51234 443'), NO_LINE],
	['the other family', v1('TCP6 192.0.2.1 192.0.2.9 51234 443'), NO_LINE],
	['a name', v1('TCP4 localhost 192.0.2.9 51234 443'), NO_LINE],
	['more than a port', v1('TCP4 192.0.2.1 192.0.2.9 65536 443'), NO_LINE],
	['another version', v2('\x11\x11\0\x0c'), 'the version or the command is unknown'],
	['another command', v2('\x22\x11\0\x0c'), 'the version or the command is unknown'],
	['another family', v2('\x21\x41\0\x0c'), 'the address family or the transport is unknown'],
	['addresses cut short', v2('\x21\x11\0\x0b12345678901'), 'the addresses are cut short'],
	['64 KiB', v2('\x21\x11\xff\xff'), 'it is too long'],
]

story('nothing is left of refused headers', { options: { ...PROXIED, ...RESIDUE } }, async (herold, t) => {
	const proxied = herold.addresses[1]

	for (const [what, bytes, sentence] of BAD_HEADERS) {
		const raw = await RawSocket.open(proxied)
		const from = herold.lines.length

		raw.write(bytes)
		await raw.finished()
		assert.equal(raw.bytes.length, 0, `${what}: no answer to whom nobody knows`)
		await waitFor(() => herold.lines.slice(from).some((line) => line.includes('reason=proxy_header_bad') && line.includes(sentence)), `${what}: the sentence`)
	}
	assert.equal((await closed(herold)).proxy_header_bad, BAD_HEADERS.length)
	const count = await assertNoResidue(herold, BAD_HEADERS, { address: proxied }) +
		await assertNoResidue(herold, [['a stranger', V1]], { address: proxied, localAddress: '127.0.0.5' })

	t.diagnostic(`refusals of proxies that left nothing: ${count}`)
})

story('the header of the PROXY protocol before TLS', { options: { listen: '', tls_listen: '127.0.0.1:0 proxy_protocol', tls_self_signed: 'on', trusted_proxies: '127.0.0.1' } },
	async (herold) => {
		for (const [header, peer] of [[V1, '203.0.113.7:4711'], [V2, '[2001:db8::7]:4711']]) {
			const tcp = connect(herold.tls)

			tcp.write(header)
			const socket = await secure({ socket: tcp })

			await echoBehind(new RawSocket(socket), '')
			await ended(herold, peer)
		}
		await assert.rejects(secure(herold.tls))
		assert.equal((await closed(herold)).proxy_header_bad, 1)
		const liar = connect({ ...herold.tls, localAddress: '127.0.0.5' })

		liar.write(V1)
		await assert.rejects(secure({ socket: liar }))
		assert.equal((await closed(herold)).proxy_untrusted, 1)
	})

const folder = mkdtempSync(join(tmpdir(), 'herold-proxies-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

story('a proxy on the same host comes by a unix socket', { options: { listen: `unix:${folder}/a,unix:${folder}/b proxy_protocol`, trusted_proxies: 'unix',
	user: process.getuid() === 0 ? 'root' : 'nobody' } }, async (herold) => {
	const raw = await RawSocket.open(`unix:${folder}/a`)

	raw.write(handshake({ path: '/echo', headers: { 'X-Forwarded-For': '203.0.113.7' } }))
	assert.equal((await raw.response()).status, 101)
	raw.destroy()
	await ended(herold, '203.0.113.7')
	await echoBehind(await RawSocket.open(`unix:${folder}/b`), V1)
	await ended(herold, '203.0.113.7:4711')
})

test('what cannot work is said at the start', async () => {
	const nobody = await run(['-o', 'listen=127.0.0.1:1 proxy_protocol', '--check'])

	assert.equal(nobody.code, 78)
	assert.match(nobody.err, /nobody may come there, because trusted_proxies is empty/)
	const noAddress = await run(['-o', 'trusted_proxies=10.0.0.0/40', '--check'])

	assert.equal(noAddress.code, 78)
	assert.match(noAddress.err, /trusted_proxies: "10\.0\.0\.0\/40" is no address or network/)
})
