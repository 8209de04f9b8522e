// Who is refused before there is a WebSocket: requests whose end is in doubt (smuggling), names that are not ours, pages of others.
// Each has a status, a sentence and a counter, and nothing of the request comes back.
import assert from 'node:assert/strict'

import { story, waitFor } from './support/herold.mjs'
import { RawSocket, handshake } from './support/raw.mjs'
import { RESIDUE, assertNoResidue } from './support/residue.mjs'

// Stands in every request, and must be in no answer.
const MARK = 'zq9mark'
const get = (lines, path = `/${MARK}`) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${lines}\r\n`
const post = (lines, body = '') => `POST /?${MARK} HTTP/1.1\r\nHost: localhost\r\n${lines}\r\n${body}`
const line = (first) => `${first}\r\nHost: localhost\r\nX: ${MARK}\r\n\r\n`
const INNER = `GET /${MARK} HTTP/1.1\r\nHost: localhost\r\n\r\n`

const NO_TE = [501, 'Transfer-Encoding is not supported, send a Content-Length']
const TWO_LENGTHS = [400, 'there is more than one Content-Length header']
const NO_LENGTH = [400, 'Content-Length is not a number']
const NO_SLASH = [400, 'the request target does not begin with a slash']
const NO_METHOD = [400, 'the request does not begin with a method and a space']
const FOLDED = [400, 'a header line begins with a blank, folded lines are not accepted']
const BLANK_BEHIND = [400, 'a header name is followed by a blank']
const NO_NAME = [400, 'a header line has no name before a colon']
const CONTROL = [400, 'a header value has a control character']
const LF_ALONE = [400, 'a line ends with LF instead of CRLF']
const CR_ALONE = [400, 'a CR stands without its LF']
const ESCAPE = [400, 'the request target has a character that must be escaped']
const BAD_HOST = [400, 'the Host header is malformed']
const GET_ONLY = [405, 'only GET and HEAD are answered here']
const NO_BODY = [413, 'The body is larger than what is accepted here.']

/** What it is, the bytes, status and sentence. */
const SHAPES = [
	['a length and chunks', post('Content-Length: 4\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${INNER}`), ...NO_TE],
	['chunks and a length', post('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', `0\r\n\r\n${INNER}`), ...NO_TE],
	['chunks', post('Transfer-Encoding: chunked\r\n', `0\r\n\r\n${INNER}`), ...NO_TE],
	['chunks in capitals', post('TRANSFER-ENCODING: CHUNKED\r\n', `0\r\n\r\n${INNER}`), ...NO_TE],
	['an encoding that is none', post('Transfer-Encoding: identity\r\n'), ...NO_TE],
	['an encoding twice', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n'), ...NO_TE],
	['an empty encoding', post('Transfer-Encoding:\r\n'), ...NO_TE],
	['an encoding behind a tab', post('Transfer-Encoding:\tchunked\r\n'), ...NO_TE],
	['an encoding with a blank behind its name', post('Transfer-Encoding : chunked\r\n'), ...BLANK_BEHIND],
	['an encoding in a folded line', post('X: a\r\n Transfer-Encoding: chunked\r\n'), ...FOLDED],
	['an encoding behind LF', post('X: a\nTransfer-Encoding: chunked\r\n'), ...LF_ALONE],
	['an encoding behind CR', post('X: a\rTransfer-Encoding: chunked\r\n'), ...CR_ALONE],
	['an encoding behind a vertical tab', post('Transfer-Encoding:\x0bchunked\r\n'), ...CONTROL],
	['two lengths that contradict each other', post('Content-Length: 0\r\nContent-Length: 44\r\n', INNER), ...TWO_LENGTHS],
	['the same length twice', post('Content-Length: 0\r\nContent-Length: 0\r\n', INNER), ...TWO_LENGTHS],
	['a list of lengths', post('Content-Length: 0, 44\r\n', INNER), ...NO_LENGTH],
	['a length with a sign', post('Content-Length: +44\r\n', INNER), ...NO_LENGTH],
	['a hexadecimal length', post('Content-Length: 0x2c\r\n', INNER), ...NO_LENGTH],
	['a length in quotes', post('Content-Length: "44"\r\n', INNER), ...NO_LENGTH],
	['a length with a blank inside', post('Content-Length: 4 4\r\n', INNER), ...NO_LENGTH],
	['a length that is too large for 64 bits', post('Content-Length: 99999999999999999999\r\n', INNER), ...NO_LENGTH],
	['a body of a GET', get('Content-Length: 44\r\n') + INNER, ...NO_BODY],
	['a body of a handshake', handshake({ path: '/ws', headers: { 'Content-Length': '44', 'X-M': MARK } }) + INNER, ...NO_BODY],
	['a folded Host', `GET / HTTP/1.1\r\nHost:\r\n ${MARK}\r\n\r\n`, ...FOLDED],
	['a folded first line', `GET / HTTP/1.1\r\n Host: ${MARK}\r\n\r\n`, ...FOLDED],
	['a tab before the colon', get(`X\t: ${MARK}\r\n`), ...BLANK_BEHIND],
	['a name with a control character', get(`X\x01: ${MARK}\r\n`), ...NO_NAME],
	['a name with a byte above ASCII', get(Buffer.from(`X\u00e4: ${MARK}\r\n`)), ...NO_NAME],
	['NUL in a value', get(`X: ${MARK}\0\r\n`), ...CONTROL],
	['DEL in a value', get(`X: ${MARK}\x7f\r\n`), ...CONTROL],
	['an escape of terminals in a value', get(`X: \x1b[31m${MARK}\r\n`), ...CONTROL],
	['NUL in the target', line(`GET /${MARK}\0 HTTP/1.1`), ...ESCAPE],
	['an absolute target', line(`GET http://localhost/${MARK} HTTP/1.1`), ...NO_SLASH],
	['an absolute target of another host', line(`GET https://${MARK}.example/ HTTP/1.1`), ...NO_SLASH],
	['an authority as the target', line(`CONNECT ${MARK}:443 HTTP/1.1`), ...NO_SLASH],
	['an asterisk as the target', line('OPTIONS * HTTP/1.1'), ...NO_SLASH],
	['no target', line('GET  HTTP/1.1'), ...NO_SLASH],
	['LF behind the first line', `GET /${MARK} HTTP/1.1\nHost: localhost\r\n\r\n`, 400, 'the request line does not end with CRLF after the HTTP version'],
	['LF as the end of the head', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${MARK}\r\n\n`, ...NO_NAME],
	['two empty lines first', `\r\n\r\n${INNER}`, ...NO_METHOD],
	['a tab behind the method', line(`GET\t/${MARK} HTTP/1.1`), ...NO_METHOD],
	['a blank in the target', line(`GET /${MARK} x HTTP/1.1`), 400, 'the request target is not followed by the HTTP version'],
	['a name of 9000 bytes', get(`${MARK}${'x'.repeat(9000)}: 1\r\n`), 431, 'the request head is longer than 8192 bytes'],
	['a target of 9000 bytes', get('', `/${MARK}${'x'.repeat(9000)}`), 414, 'the request target is too long'],
	['a method of 40 bytes', MARK.padEnd(40, 'X'), 501, 'the method is unknown'],
	['no Host', `GET /${MARK} HTTP/1.1\r\n\r\n`, 400, 'the Host header is missing'],
	['two Hosts', get(`Host: ${MARK}\r\n`), 400, 'there is more than one Host header'],
	['a Host with a user', handshake({ headers: { Host: `${MARK}@localhost` } }), ...BAD_HOST],
	['a Host with a path', handshake({ headers: { Host: `localhost/${MARK}` } }), ...BAD_HOST],
	['a Host with two ports', handshake({ headers: { Host: `${MARK}:80:81` } }), ...BAD_HOST],
	['a Host with an open bracket', handshake({ headers: { Host: '[::1' } }), ...BAD_HOST],
	...['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'get', MARK].flatMap((method) => ['/', '/ws', `/${MARK}`].map((path) =>
		[`${method} ${path}`, line(`${method} ${path} HTTP/1.1`), ...GET_ONLY])),
]

const ANOTHER_HOST = 'pages of another host may not connect here: their Origin is not this Host (option origins; a proxy has to pass Host on)'
const MALFORMED = 'the Origin header is malformed'
const NO_ORIGIN = 'pages without an origin of their own (Origin: null) may not connect here (option origins)'
const NOT_LISTED = 'pages of this Origin may not connect here (option origins)'

/** Origin, Host, and the sentence; undefined: welcome. */
const SAME_HOST = [
	[undefined, 'a.example'],
	['http://a.example', 'a.example'],
	['https://a.example', 'a.example'],
	['https://A.example', 'a.Example'],
	['http://a.example:8080', 'a.example:8080'],
	['http://[::1]:8080', '[::1]:8080'],
	[`http://${MARK}.example`, 'a.example', ANOTHER_HOST],
	['http://a.example:8081', 'a.example:8080', ANOTHER_HOST],
	['http://a.example', 'a.example:8080', ANOTHER_HOST],
	[`http://a.example.${MARK}`, 'a.example', ANOTHER_HOST],
	[`http://${MARK}.a.example`, 'a.example', ANOTHER_HOST],
	['file://', 'a.example', MALFORMED],
	['null', 'a.example', NO_ORIGIN],
	[`http://a.example/${MARK}`, 'a.example', MALFORMED],
	[`http://a.example@${MARK}`, 'a.example', MALFORMED],
	['', 'a.example', MALFORMED],
	[['http://a.example', 'http://a.example'], 'a.example', 'there is more than one Origin header'],
]

const LISTED = [
	[undefined, 'a.example'],
	['https://a.example', 'a.example'],
	['https://deep.down.b.example:8443', 'a.example:8080'],
	['http://a.example', 'a.example', NOT_LISTED],
	['https://b.example:8443', 'a.example', NOT_LISTED],
	['https://x.b.example', 'a.example', NOT_LISTED],
	[`https://${MARK}`, 'a.example', NOT_LISTED],
	['null', 'a.example', NO_ORIGIN],
]

const NOT_OUR_NAME = 'this server does not go by the name in the Host header (option hosts)'

/** Path and Host, which are refused with 421 whatever else they ask. */
const REBOUND = [
	['/', 'evil.example'],
	['/ws', 'evil.example'],
	['/ws', 'a.example.evil'],
	['/ws', 'x.a.example'],
	['/chat.js', 'evil.example:8080'],
	['/nowhere', '127.0.0.1'],
	['/ws', 'b.example:8081'],
	['/ws', ''],
]

const counters = async (herold) => (await herold.status()).counters

/** The refusal as it has to be, and its counters by exactly one. */
async function assertRefused(herold, what, bytes, status, sentence, counter) {
	const before = await counters(herold)
	const raw = await RawSocket.open(herold.address)

	raw.write(bytes)
	const answer = await raw.response()

	assert.equal(answer.status, status, `${what}: ${answer.body}`)
	assert.deepEqual(JSON.parse(answer.body), { status, error: sentence }, what)
	assert.equal(answer.headers['content-type'], 'application/json', what)
	assert.equal(answer.headers['x-content-type-options'], 'nosniff', what)
	assert.equal(answer.headers['cache-control'], 'no-store', what)
	assert.equal(answer.headers['content-security-policy'], "default-src 'none'; frame-ancestors 'none'", what)
	assert.ok(!JSON.stringify(answer).includes(MARK), `${what}: something of the request came back: ${JSON.stringify(answer)}`)
	await raw.finished()
	assert.equal(raw.bytes.length, 0, `${what}: one answer, whatever stood behind the request`)
	const after = await counters(herold)

	assert.equal(after.http_status[status], before.http_status[status] + 1, `${what}: answers ${status}`)
	assert.equal(after.closed.http_refused, before.closed.http_refused + 1, `${what}: closed`)
	for (const name of ['origins_refused', 'hosts_refused'])
		assert.equal(after[name] - before[name], name === counter ? 1 : 0, `${what}: ${name}`)
}

async function assertWelcome(herold, what, headers) {
	const raw = await RawSocket.upgraded(herold.address, { path: '/ws', headers })

	assert.equal((await raw.frame()).opcode, 1, what)
	raw.destroy()
}

/** Upgrades, and the plain GET of the same address that tells why. */
async function assertOrigins(herold, rows) {
	for (const [origin, host, sentence] of rows) {
		const headers = { Host: host, Origin: origin }
		const what = `${origin} at ${host}`

		if (sentence === undefined) {
			await assertWelcome(herold, what, headers)
			continue
		}
		const lines = [origin].flat().map((one) => `Origin: ${one}\r\n`).join('')

		await assertRefused(herold, what, handshake({ path: '/ws', headers }), 403, sentence, 'origins_refused')
		await assertRefused(herold, `GET, ${what}`, `GET /ws HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`, 403, sentence, 'origins_refused')
	}
}

async function assertNothingLeft(herold) {
	await waitFor(async () => (await herold.status()).workers.every((w) => w.connections === 0), 'all connections gone')
	const { websockets, client_queue_bytes: queued } = await counters(herold)

	assert.deepEqual([websockets, queued], [0, 0])
	assert.ok(!herold.lines.some((text) => / error /.test(text)), 'no error in the log')
}

story('requests whose end is in doubt, and other methods', { options: { workers: 1 } }, async (herold) => {
	for (const [what, bytes, status, sentence] of SHAPES)
		await assertRefused(herold, what, bytes, status, sentence)
	await assertNothingLeft(herold)
})

const originRows = (rows) => rows.filter(([, , sentence]) => sentence !== undefined)
	.map(([origin, host]) => [`${origin} at ${host}`, handshake({ path: '/ws', headers: { Host: host, Origin: origin } })])
const LISTS = { origins: 'https://a.example,https://*.b.example:8443', hosts: 'a.example,b.example:8080' }

for (const [kind, options, rows] of [
	['requests', {}, SHAPES], ['origins', {}, originRows(SAME_HOST)], ['listed origins', LISTS, originRows(LISTED)],
	['hosts', LISTS, REBOUND.map(([path, host]) => [`${path} at ${host}`, handshake({ path, headers: { Host: host } })])],
]) {
	story(`nothing is left of refused ${kind}`, { options: { ...RESIDUE, ...options } }, async (herold, t) => {
		t.diagnostic(`refusals of ${kind} that left nothing: ${await assertNoResidue(herold, rows)}`)
	})
}

story('without a list, pages connect to the host that they come from', { options: { workers: 1 } }, async (herold) => {
	await assertOrigins(herold, SAME_HOST)
	// The page and its files are for everybody.
	const page = await fetch(herold.url, { headers: { Origin: 'http://evil.example' } })

	assert.equal(page.status, 200)
	assert.equal(page.headers.get('x-content-type-options'), 'nosniff')
	assert.match(page.headers.get('content-security-policy'), /frame-ancestors 'none'/)
	assert.equal(page.headers.get('referrer-policy'), 'no-referrer')
	await page.text()
	await assertNothingLeft(herold)
})

story('listed origins, and names of this host', {
	options: { workers: 1, ...LISTS },
}, async (herold) => {
	await assertOrigins(herold, LISTED)
	for (const [path, host] of REBOUND) {
		const what = `${path} at ${host}`

		await assertRefused(herold, what, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nX: ${MARK}\r\n\r\n`, 421, NOT_OUR_NAME, 'hosts_refused')
		await assertRefused(herold, `upgrade, ${what}`, handshake({ path, headers: { Host: host } }), 421, NOT_OUR_NAME, 'hosts_refused')
	}
	await assertWelcome(herold, 'the name with its port', { Host: 'b.example:8080' })
	await assertRefused(herold, 'HTTP/1.0 without a Host', 'GET / HTTP/1.0\r\n\r\n', 421, NOT_OUR_NAME, 'hosts_refused')
	await assertNothingLeft(herold)
})

story('everybody is welcome with *', { options: { workers: 1, origins: '*' } }, async (herold) => {
	for (const origin of ['http://evil.example', 'null', 'file://'])
		await assertWelcome(herold, origin, { Origin: origin })
	await assertNothingLeft(herold)
})
