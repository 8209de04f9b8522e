// Malformed requests, handshakes and frames: each gets the documented answer, and nobody but its sender pays for it.
// (What is wrong with messages of the chat: chat-errors.test.mjs.)
import assert from 'node:assert/strict'

import { usersOnEachWorker } from './support/client.mjs'
import { sleep, story, waitFor } from './support/herold.mjs'
import { OP, RawSocket, closePayload, frame, handshake } from './support/raw.mjs'

const KEY = 'Sec-WebSocket-Key'
const VERSION = 'Sec-WebSocket-Version'
const NOT_16_BYTES = 'Sec-WebSocket-Key is not the base64 of 16 bytes'
const WANT_13 = [426, 'only Sec-WebSocket-Version: 13 is spoken here', { 'sec-websocket-version': '13', upgrade: 'websocket' }]
const WANT_UPGRADE = [426, 'this is a WebSocket, ask for it with Upgrade: websocket', { 'sec-websocket-version': '13', upgrade: 'websocket' }]
const NO_METHOD = 'the request does not begin with a method and a space'
const NO_BODY = 'The body is larger than what is accepted here.'

const upgrade = (headers, more) => handshake({ headers, ...more })
const get = (lines, path = '/') => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${lines}\r\n`
const many = (n, line) => Array.from({ length: n }, (_, i) => line(i)).join('')

/** What it is, the bytes, the status, the sentence, headers of the answer. */
const REQUESTS = [
	['no Host', upgrade({ Host: undefined }), 400, 'the Host header is missing'],
	['two Hosts', upgrade({ Host: ['a', 'b'] }), 400, 'there is more than one Host header'],
	['a Host with a blank', upgrade({ Host: 'a b' }), 400, 'the Host header is malformed'],
	['a Host with a path', upgrade({ Host: 'a/b' }), 400, 'the Host header is malformed'],
	['no key', upgrade({ [KEY]: undefined }), 400, 'the Sec-WebSocket-Key header is missing'],
	['two keys', upgrade({ [KEY]: ['dGhlIHNhbXBsZSBub25jZQ==', 'dGhlIHNhbXBsZSBub25jZQ=='] }), 400, 'there is more than one Sec-WebSocket-Key header'],
	['an empty key', upgrade({ [KEY]: '' }), 400, NOT_16_BYTES],
	['a key of 15 bytes', upgrade({ [KEY]: Buffer.alloc(15).toString('base64') }), 400, NOT_16_BYTES],
	['a key of 17 bytes', upgrade({ [KEY]: Buffer.alloc(17).toString('base64') }), 400, NOT_16_BYTES],
	['a key that is no base64', upgrade({ [KEY]: '!!!!!!!!!!!!!!!!!!!!!!==' }), 400, NOT_16_BYTES],
	['no version', upgrade({ [VERSION]: undefined }), ...WANT_13],
	['version 8', upgrade({ [VERSION]: '8' }), ...WANT_13],
	['version 013', upgrade({ [VERSION]: '013' }), ...WANT_13],
	['versions in a list', upgrade({ [VERSION]: '13, 8' }), ...WANT_13],
	['two versions', upgrade({ [VERSION]: ['13', '13'] }), 400, 'there is more than one Sec-WebSocket-Version header'],
	['an upgrade by POST', upgrade({}, { method: 'POST' }), 405, 'a WebSocket handshake is a GET request', { allow: 'GET' }],
	['no upgrade', get('', '/ws'), ...WANT_UPGRADE],
	['an upgrade to h2c', upgrade({ Upgrade: 'h2c' }), ...WANT_UPGRADE],
	['Connection: keep-alive', upgrade({ Connection: 'keep-alive' }), 400, 'the Connection header does not name upgrade'],
	['an upgrade in HTTP/1.0', upgrade({}, { version: 'HTTP/1.0' }), 400, 'a WebSocket handshake needs HTTP/1.1 (in nginx: proxy_http_version 1.1)'],
	['an upgrade with a body', upgrade({ 'Content-Length': '5' }), 413, NO_BODY],
	['an upgrade elsewhere', upgrade({}, { path: '/nowhere' }), 404, 'there is no WebSocket at this address; try /ws, /echo or /broadcast'],
	['an unknown path', get('', '/nowhere'), 404, 'there is nothing at this address'],
	['a path beside a known one', get('', '/ws/'), 404, 'there is nothing at this address'],
	['POST of the page', 'POST / HTTP/1.1\r\nHost: a\r\n\r\n', 405, 'only GET and HEAD are answered here', { allow: 'GET, HEAD' }],
	['DELETE of the page', 'DELETE / HTTP/1.1\r\nHost: a\r\n\r\n', 405, 'only GET and HEAD are answered here', { allow: 'GET, HEAD' }],
	['GET with a body', get('Content-Length: 1\r\n'), 413, NO_BODY],
	['an endless body', get('Content-Length: 18446744073709551615\r\n'), 413, NO_BODY],
	['a length that is none', get('Content-Length: 5x\r\n'), 400, 'Content-Length is not a number'],
	['a negative length', get('Content-Length: -1\r\n'), 400, 'Content-Length is not a number'],
	['a length beyond 64 bits', get('Content-Length: 18446744073709551616\r\n'), 400, 'Content-Length is not a number'],
	['two lengths', get('Content-Length: 0\r\nContent-Length: 1\r\n'), 400, 'there is more than one Content-Length header'],
	['chunks', get('Transfer-Encoding: chunked\r\n'), 501, 'Transfer-Encoding is not supported, send a Content-Length'],
	['an odd expectation', get('Expect: a-miracle\r\n'), 417, 'No expectation but 100-continue can be met.'],
	['LF in the first line', 'GET / HTTP/1.1\nHost: a\n\n', 400, 'the request line does not end with CRLF after the HTTP version'],
	['LF behind a header', 'GET / HTTP/1.1\r\nHost: a\n\r\n', 400, 'a line ends with LF instead of CRLF'],
	['CR alone', 'GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n', 400, 'a CR stands without its LF'],
	['NUL in a header', get('X: a\0b\r\n'), 400, 'a header value has a control character'],
	['NUL in the path', get('', '/a\0b'), 400, 'the request target has a character that must be escaped'],
	['a folded header', get('X: a\r\n b\r\n'), 400, 'a header line begins with a blank, folded lines are not accepted'],
	['a blank before the colon', get('X : a\r\n'), 400, 'a header name is followed by a blank'],
	['no colon', get('nonsense\r\n'), 400, 'a header line has no name before a colon'],
	['a header without a name', get(': a\r\n'), 400, 'a header line has no name before a colon'],
	['a head of more than 8 KiB', get(`X: ${'a'.repeat(8192)}\r\n`), 431, 'the request head is longer than 8192 bytes'],
	['a head of 8 KiB that does not end', get('').slice(0, -2) + 'X: '.padEnd(8300, 'a'), 431, 'the request head is longer than 8192 bytes'],
	['101 headers', get(many(100, (i) => `X-${i}: a\r\n`)), 431, 'there are more than 100 headers'],
	['a path of more than 8 KiB', get('', `/${'a'.repeat(9000)}`), 414, 'the request target is too long'],
	['a long method', 'A'.repeat(40), 501, 'the method is unknown'],
	['TLS', Buffer.from('16030100c8010000c40303', 'hex'), 400, 'this looks like TLS, but this port speaks plain HTTP'],
	['other bytes', Buffer.from('80ff00fe0d0a', 'hex'), 400, NO_METHOD],
	['a blank first', ' GET / HTTP/1.1\r\n\r\n', 400, NO_METHOD],
	['HTTP/0.9', 'GET /\r\n', 400, 'the HTTP version is missing'],
	['HTTP/2 in the first line', 'GET / HTTP/2.0\r\n\r\n', 505, 'only HTTP/1.1 and HTTP/1.0 are spoken here'],
	['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'the request target does not begin with a slash'],
	['a whole URL', 'GET http://localhost/ HTTP/1.1\r\n', 400, 'the request target does not begin with a slash'],
	['HTTP/1.10', 'GET / HTTP/1.10\r\n\r\n', 400, 'the request line does not end with CRLF after the HTTP version'],
	['another protocol', 'GET / ICAP/1.0\r\n\r\n', 400, 'the request target is not followed by the HTTP version'],
]

const PROTOCOL = (why) => [1002, `protocol error: ${why}`]
const UTF8 = [1007, 'text is not valid UTF-8: the text is not valid UTF-8']
const UTF8_CUT = [1007, 'text is not valid UTF-8: the text ends in the middle of a UTF-8 character']
const TOO_BIG = [1009, 'message too big: the message is larger than this server accepts']
const RESERVED_BIT = PROTOCOL('a reserved bit is set, but no extension was agreed on')
const RESERVED_OPCODE = PROTOCOL('the opcode is reserved')
const FRAGMENTED_CONTROL = PROTOCOL('a control frame must not be fragmented')
const LONG_CONTROL = PROTOCOL('a control frame must not be longer than 125 bytes')
const BAD_CODE = PROTOCOL('the code of a close frame is not valid')
const SHORTEST = PROTOCOL('the length must be encoded in as few bytes as possible')
const more = { fin: false }
const bytes = (...list) => Buffer.from(list)

/** What it is, frames to /echo with max_message_bytes=1024, close code and reason. */
const FRAMES = [
	['not masked', [frame(OP.TEXT, 'a', { mask: false })], PROTOCOL('a client must mask its frames')],
	['a close frame not masked', [frame(OP.CLOSE, '', { mask: false })], PROTOCOL('a client must mask its frames')],
	['RSV1', [frame(OP.TEXT, 'a', { rsv: 4 })], RESERVED_BIT],
	['RSV2', [frame(OP.BINARY, 'a', { rsv: 2 })], RESERVED_BIT],
	['RSV3', [frame(OP.PING, 'a', { rsv: 1 })], RESERVED_BIT],
	...[3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf].map((opcode) => [`opcode ${opcode}`, [frame(opcode, 'a')], RESERVED_OPCODE]),
	['a ping in fragments', [frame(OP.PING, 'a', more)], FRAGMENTED_CONTROL],
	['a close frame in fragments', [frame(OP.CLOSE, closePayload(1000), more)], FRAGMENTED_CONTROL],
	['a ping of 126 bytes', [frame(OP.PING, 'a'.repeat(126))], LONG_CONTROL],
	['a close frame of 64 KiB', [frame(OP.CLOSE, Buffer.alloc(65536))], LONG_CONTROL],
	['half a close code', [frame(OP.CLOSE, bytes(3))], PROTOCOL('a close frame has a code of two bytes or nothing at all')],
	...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535].map((code) =>
		[`close code ${code}`, [frame(OP.CLOSE, closePayload(code))], BAD_CODE]),
	['a close reason that is no UTF-8', [frame(OP.CLOSE, closePayload(1000, bytes(0xc3, 0x28)))],
		[1007, 'text is not valid UTF-8: the reason of a close frame is not valid UTF-8']],
	['a short length in 2 bytes', [frame(OP.TEXT, 'a', { lengthBytes: 2 })], SHORTEST],
	['a short length in 8 bytes', [frame(OP.TEXT, 'a'.repeat(200), { lengthBytes: 8 })], SHORTEST],
	['the highest bit of the length', [frame(OP.BINARY, '', { length: 2n ** 63n })], PROTOCOL('the highest bit of the length must be 0')],
	['too big by its header', [frame(OP.BINARY, '', { length: 1025 })], TOO_BIG],
	['far too big by its header', [frame(OP.BINARY, '', { length: 2n ** 62n })], TOO_BIG],
	['too big by fragments', [frame(OP.TEXT, 'a'.repeat(1000), more), frame(OP.CONTINUATION, 'a'.repeat(25), more)], TOO_BIG],
	['a continuation of nothing', [frame(OP.CONTINUATION, 'a')], PROTOCOL('a continuation frame without a message to continue')],
	['a continuation of what was ended', [frame(OP.TEXT, 'a', more), frame(OP.CONTINUATION, 'b'), frame(OP.CONTINUATION, 'c')],
		PROTOCOL('a continuation frame without a message to continue')],
	['a message inside another', [frame(OP.TEXT, 'a', more), frame(OP.TEXT, 'b')],
		PROTOCOL('a new message begins before the last fragment of the previous one')],
	['bytes that are never UTF-8', [frame(OP.TEXT, bytes(0x61, 0xff))], UTF8],
	['overlong UTF-8', [frame(OP.TEXT, bytes(0xc0, 0x80))], UTF8],
	['a surrogate', [frame(OP.TEXT, bytes(0xed, 0xa0, 0x80))], UTF8],
	['beyond Unicode', [frame(OP.TEXT, bytes(0xf4, 0x90, 0x80, 0x80))], UTF8],
	['half a character', [frame(OP.TEXT, bytes(0x61, 0xc3))], UTF8_CUT],
	['half a character in the last fragment', [frame(OP.TEXT, 'a', more), frame(OP.CONTINUATION, bytes(0xf0, 0x9f, 0x98))], UTF8_CUT],
	['a character broken between fragments', [frame(OP.TEXT, bytes(0xc3), more), frame(OP.CONTINUATION, 'a', more)], UTF8],
	['no UTF-8 in a frame that goes on', [frame(OP.TEXT, bytes(0x61, 0xff), { length: 1000 })], UTF8],
	['a bad frame behind good ones', [frame(OP.TEXT, 'a'), frame(OP.PING, 'b'), frame(OP.TEXT, 'c', { rsv: 4 })], RESERVED_BIT],
]

const NO_CHANNEL = 'channel is missing, or not a channel\'s name'
const NO_LIST = 'channels is not a list of 1 to 1000 names of channels, each once'
const NO_KEY = 'idempotency_key is not a string of 1 to 256 bytes'
const publish = (body) => ['POST', '/api/publish', typeof body === 'string' ? body : JSON.stringify(body)]
const broadcast = (body) => ['POST', '/api/broadcast', JSON.stringify(body)]

/** Method, path, body, status, sentence, headers of the answer. */
const API = [
	[...publish(''), 400, /^the body is not valid JSON: line 1: /],
	[...publish('{"channel":"a","data":1'), 400, /^the body is not valid JSON: line 1: /],
	[...publish('{"channel":"a",\n"data":1,"data":2}'), 400, /^the body is not valid JSON: line 2: /],
	[...publish('{"channel":"a","data":"\xff"}'), 400, /^the body is not valid JSON: /],
	[...publish(`{"channel":"a","data":${'['.repeat(64)}${']'.repeat(64)}}`), 400, /^the body is not valid JSON: .*nested too deep/],
	[...publish([]), 400, 'the body is not a JSON object'],
	...[undefined, 5, '', 'a b', 'a\nb', 'a'.repeat(256), '$users', '$'].map((channel) => [...publish({ channel, data: 1 }), 400, NO_CHANNEL]),
	[...publish({ channel: 'a' }), 400, 'data is missing'],
	...['', 5, 'k'.repeat(257)].map((key) => [...publish({ channel: 'a', data: 1, idempotency_key: key }), 400, NO_KEY]),
	[...publish({ channel: 'a', data: 'x'.repeat(1024) }), 413, 'data is larger than max_message_bytes'],
	[...publish({ channel: 'a', data: 'x'.repeat(400 * 1024) }), 413, NO_BODY],
	...[undefined, 'a', [], ['a', 5], ['a', 'b', 'a'], Array.from({ length: 1001 }, (_, i) => `c${i}`)].map((channels) => [...broadcast({ channels, data: 1 }), 400, NO_LIST]),
	[...broadcast({ channels: ['a'] }), 400, 'data is missing'],
	['GET', '/api/publish', '', 405, 'this address does not answer that method', { allow: 'POST' }],
	['POST', '/api/channels', '{}', 405, 'this address does not answer that method', { allow: 'GET, HEAD' }],
	['PUT', '/status', '', 405, 'this address does not answer that method', { allow: 'GET, HEAD' }],
	['GET', '/api', '', 404, 'there is nothing at this address'],
	['GET', '/ws', '', 404, 'there is nothing at this address'],
	...['abc', '-1', '1001', ''].map((limit) => ['GET', `/api/channels?limit=${limit}`, '', 400, 'limit is not a number from 0 to 1000']),
	['GET', '/api/history', '', 400, 'channel is missing'],
	['GET', '/api/history?channel=a&before=x', '', 400, 'before is not a number from 0 to 9223372036854775807'],
	['GET', '/api/history?channel=a&epoch=e&offset=x', '', 400, 'offset is not a number from 0 to 9223372036854775807'],
	['GET', '/api/history?channel=a&offset=1', '', 400, 'epoch and offset belong together'],
	['GET', '/api/history?channel=a&epoch=e', '', 400, 'epoch and offset belong together'],
	['GET', `/api/history?channel=a&epoch=${'e'.repeat(100)}&offset=1`, '', 400, 'epoch is longer than 31 bytes, or has a wrong escape'],
	['GET', '/api/presence?channel=%zz', '', 400, 'channel is longer than 255 bytes, or has a wrong escape'],
	['GET', `/api/channels?prefix=${'x'.repeat(256)}`, '', 400, 'prefix is longer than 255 bytes, or has a wrong escape'],
	['GET', '/api/presence?channel=a&after=u1', '', 400, 'after is not the next of another answer'],
	...['channels?', 'presence?channel=a&'].map((path) => ['GET', `/api/${path}after=%00`, '', 400, 'after is longer than 255 bytes, or has a wrong escape']),
]

/** Sees the refusal, and that the connection is ended with it. */
async function assertRefused(raw, what, status, sentence, headers = {}) {
	const answer = await raw.response()

	assert.equal(answer.status, status, `${what}: ${answer.body}`)
	assert.equal(answer.headers['content-type'], 'application/json', what)
	const json = JSON.parse(answer.body)

	assert.equal(json.status, status, what)
	if (sentence instanceof RegExp)
		assert.match(json.error, sentence, what)
	else
		assert.equal(json.error, sentence, what)
	for (const [name, value] of Object.entries(headers))
		assert.equal(answer.headers[name], value, `${what}: ${name}`)
	await raw.finished()
}

async function assertClosed(address, what, frames, [code, reason]) {
	const raw = await RawSocket.upgraded(address, { path: '/echo' })

	raw.write(Buffer.concat(frames))
	const close = await raw.closeFrame()

	assert.notEqual(close, null, `${what}: ended without a close frame`)
	assert.deepEqual([close.code, close.reason, close.masked], [code, reason, false], what)
	await raw.finished()
}

/** Runs fn while somebody else is connected to each worker, to whom it must not matter. */
async function withBystander(herold, fn) {
	const before = await herold.pids()
	const bystanders = await usersOnEachWorker(herold)

	await fn()
	for (const client of bystanders)
		await client.ask({ type: 'chat', message: 'still here', ref: 1 })
	for (const client of bystanders)
		await waitFor(() => client.texts().length === bystanders.length, 'the messages of all bystanders')
	assert.deepEqual(await herold.pids(), before, 'the same processes')
	assert.ok(!herold.lines.some((line) => / error /.test(line)), 'no error in the log')
}

story('malformed requests and handshakes', { options: { log_level: 'debug' } }, async (herold) => {
	await withBystander(herold, async () => {
		for (const [what, request, ...expected] of REQUESTS) {
			const raw = await RawSocket.open(herold.address)

			raw.write(request)
			await assertRefused(raw, what, ...expected)
		}
		// A refusal is final: what follows in the same segment is not looked at.
		const raw = await RawSocket.open(herold.address)

		raw.write(get('X : a\r\n') + get(''))
		await assertRefused(raw, 'a bad request before a good one', 400, 'a header name is followed by a blank')
		assert.equal(raw.bytes.length, 0)
	})
	const { counters } = await herold.status()

	assert.equal(counters.closed.http_refused, REQUESTS.length + 1)
	assert.equal(counters.http_status['426'], REQUESTS.filter((row) => row[2] === 426).length)
})

story('malformed frames', { options: { max_message_bytes: 1024 } }, async (herold) => {
	await withBystander(herold, async () => {
		for (const row of FRAMES)
			await assertClosed(herold.address, ...row)
		// The limit itself is fine, in one frame and in many.
		const raw = await RawSocket.upgraded(herold.address, { path: '/echo' })

		raw.write(frame(OP.TEXT, 'a'.repeat(1024)))
		assert.equal((await raw.frame()).payload.length, 1024)
		raw.write(Buffer.concat([frame(OP.TEXT, 'a'.repeat(1000), more), frame(OP.CONTINUATION, 'b'.repeat(24))]))
		assert.equal((await raw.frame()).payload.length, 1024)
		raw.destroy()
	})
	const { closed } = (await herold.status()).counters

	for (const [name, code] of [['protocol_error', 1002], ['bad_utf8', 1007], ['too_big', 1009]])
		assert.equal(closed[name], FRAMES.filter((row) => row[2][0] === code).length, name)
})

story('requests to the server API', { options: { max_message_bytes: 1024 } }, async (herold) => {
	await withBystander(herold, async () => {
		for (const [method, path, body, ...expected] of API) {
			const raw = await RawSocket.open(herold.adminAddress)

			raw.write(Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`, 'latin1'))
			await assertRefused(raw, `${method} ${path} ${body.slice(0, 80)}`, ...expected)
		}
		const raw = await RawSocket.open(herold.adminAddress)

		raw.write('GET /status HTTP/1.1\r\nHost: a\r\nOrigin: http://evil.example\r\n\r\n')
		await assertRefused(raw, 'a web page', 403, 'the admin listener does not answer web pages of other origins')
	})
	assert.deepEqual((await herold.admin('/api/channels?prefix=a')).json, { channels: [], more: false }, 'nothing was published')
})

story('requests that take too long', { options: { handshake_seconds: 1, log_level: 'debug' } }, async (herold) => {
	const dripping = await RawSocket.open(herold.address)
	const begun = await RawSocket.open(herold.address)
	const silent = await RawSocket.open(herold.address)
	const body = await RawSocket.open(herold.adminAddress)
	const answered = await RawSocket.open(herold.address)
	const start = Date.now()

	begun.write('GET / HTTP/1.1\r\nHost: a\r\n')
	body.write('POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"channel":')
	answered.write(get(''))
	assert.equal((await answered.response()).status, 200)
	for (let i = 0; !dripping.ended && dripping.bytes.length === 0; i++) {
		dripping.write(i === 0 ? 'GET /' : 'a')
		await sleep(50)
	}
	assert.ok(Date.now() - start < 5000, 'bytes now and then do not prolong it')
	for (const raw of [begun, body, dripping])
		await assertRefused(raw, 'half a request', 408, 'The request was not complete in time.')
	// Whoever asked for nothing, or for nothing more, gets no answer.
	for (const raw of [silent, answered]) {
		await raw.finished()
		assert.equal(raw.bytes.length, 0)
	}
	const { closed } = (await herold.status()).counters

	assert.deepEqual([closed.handshake_timeout, closed.http_idle], [4, 1])
})
