// Clients that were not written here, each with and without compression, over plain connections and TLS: echoes of many sizes, pings from
// the server while they are idle, the close handshake from either side.
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'node:test'
import { WebSocket } from 'ws'

import { exercise } from './interop/whatwg.mjs'
import { Browser } from './support/browser.mjs'
import { certificate, read } from './support/certificates.mjs'
import { story } from './support/herold.mjs'

// The last one is the limit.
const SIZES = [0, 1, 125, 126, 2000, 65535, 65536, 1024 * 1024]
const TIMEOUT_MS = 90000
const here = (name) => new URL(`./interop/${name}`, import.meta.url).pathname
const PYTHON = '/usr/bin/python3'

const textOf = (size) => Buffer.from('é'.repeat(size >> 1) + '.'.repeat(size & 1))
const binaryOf = (size) => Buffer.from({ length: size }).map((_, i) => (i * 31 + (i >> 8) * 17) & 255)

function runs(file, args) {
	try {
		return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
	} catch {
		return null
	}
}

/** The report that a program prints. */
function reportOf(file, args, env = {}) {
	return new Promise((done, fail) => execFile(file, args, { timeout: TIMEOUT_MS, env: { ...process.env, ...env } }, (error, out, err) =>
		error === null ? done(JSON.parse(out)) : fail(new Error(`${error.message}\n${out}${err}`))))
}

async function exerciseWs({ url, isOffering, ca, sizes, idleMs }) {
	const report = { echoes: 0, wrong: [] }
	const open = () => new Promise((done, fail) => {
		const socket = new WebSocket(url, { perMessageDeflate: isOffering, ca })

		socket.once('open', () => done(socket)).once('error', fail)
	})
	const next = (socket) => new Promise((done) => socket.once('message', (data, isBinary) => done({ data, isBinary })))
	const closed = (socket) => new Promise((done) => socket.once('close', (code, reason) => done([code, reason.toString()])))
	const socket = await open()

	report.extensions = socket.extensions
	for (const size of sizes) {
		for (const [isBinary, data] of [[false, textOf(size)], [true, binaryOf(size)]]) {
			socket.send(data, { binary: isBinary })
			const got = await next(socket)

			if (got.isBinary === isBinary && got.data.equals(data))
				report.echoes++
			else
				report.wrong.push(`${isBinary ? 'binary' : 'text'} of ${size}`)
		}
	}
	await sleep(idleMs)
	for (const [part, fin] of [['still', false], [' ', false], ['here', true]])
		socket.send(part, { fin })
	report.after = (await next(socket)).data.toString()
	const end = closed(socket)

	socket.close(3000, 'bye ☺')
	report.close = (await end)[0]
	const greedy = await open()

	greedy.on('error', () => {})
	greedy.send(binaryOf(sizes.at(-1) + 1))
	report.refusal = await closed(greedy)
	return report
}

/* A script of Python's; its package may be missing. */
function python(name, script) {
	return {
		name,
		isChoosing: true,
		missing: runs(PYTHON, ['-c', `import ${name.split(' ')[1]}`]) === null && `${PYTHON} has no ${name.split(' ')[1]}: apt-get install python3-${name.split(' ')[1]}`,
		run: ({ url, isOffering, caFile, sizes, idleMs }) =>
			reportOf(PYTHON, [here(script), url, isOffering ? 'yes' : 'no', JSON.stringify(sizes), String(idleMs), caFile ?? '']),
	}
}

const nodeFlags = globalThis.WebSocket !== undefined ? [] : ['--experimental-websocket']
let browser = null

/** isChoosing: it can be told not to offer compression. missing: why it cannot run here. run: its report. */
const CLIENTS = [
	{ name: 'ws', isChoosing: true, missing: false, run: exerciseWs },
	{
		name: 'node\'s own', isChoosing: false,
		missing: runs(process.execPath, [...nodeFlags, '-e', 'new WebSocket("ws://[::1]:1").onerror = () => {}']) === null && `node ${process.version} has no WebSocket of its own`,
		run: ({ url, caFile, sizes, idleMs }) => reportOf(process.execPath,
			[...nodeFlags, '--no-warnings', here('whatwg.mjs'), url, JSON.stringify(sizes), String(idleMs)], caFile === undefined ? {} : { NODE_EXTRA_CA_CERTS: caFile }),
	},
	python('Python\'s websockets', 'websockets_client.py'),
	python('Python\'s autobahn', 'autobahn_client.py'),
	{
		name: 'Chromium', isChoosing: false, missing: false,
		run: async ({ url, pageUrl, sizes, idleMs }) => {
			browser ??= Browser.start()
			const page = await (await browser).open(pageUrl, { ignoreHTTPSErrors: true })

			const report = await page.evaluate(exercise, { url, sizes, idleMs })

			assert.deepEqual(page.problems, [])
			return report
		},
	},
]

function assertReport(report, sizes, isCompressed) {
	assert.deepEqual({ echoes: report.echoes, wrong: report.wrong }, { echoes: 2 * sizes.length, wrong: [] })
	assert.match(report.extensions, isCompressed ? /permessage-deflate/ : /^$/)
	assert.equal(report.after, 'still here')
	assert.equal(report.close, 3000)
	assert.equal(report.refusal[0], 1009)
	assert.match(report.refusal[1], /message too big: the message is larger than this server accepts/)
}

const { pem, key } = certificate('interop', { hosts: ['localhost', '127.0.0.1'], ca: true })

/** Where each client goes, and whom it trusts there. */
function placesOf(herold) {
	const { host, port } = herold.tls

	return [
		{ place: 'plain', url: `${herold.wsUrl}/echo`, pageUrl: `${herold.url}/` },
		{ place: 'TLS', url: `wss://${host}:${port}/echo`, pageUrl: `https://${host}:${port}/`, ca: read('interop.pem'), caFile: pem },
	]
}

/** Every client at every place, offering compression and, if it can, not offering it. */
function everyClient(t, herold, { mode, sizes = SIZES, idleMs = 0 }) {
	const ways = CLIENTS.flatMap((client) => client.isChoosing ? [{ client, isOffering: true }, { client, isOffering: false }] : [{ client, isOffering: true }])

	return Promise.all(placesOf(herold).flatMap(({ place, ...where }) => ways.map(({ client, isOffering }) =>
		t.test(`${client.name}, ${place}, ${isOffering ? 'offering compression' : 'without'}`, { skip: client.missing }, async () => {
			assertReport(await client.run({ ...where, isOffering, sizes, idleMs }), sizes, isOffering && mode !== 'off')
		}))))
}

const TLS = { tls_listen: '127.0.0.1:0', tls_certificate: pem, tls_key: key }

for (const mode of ['off', 'shared', 'dedicated']) {
	const options = { ...TLS, compression: mode, max_message_bytes: SIZES.at(-1) }

	story(`clients of others, compression ${mode}`, { options, concurrency: 4, timeout: 180000 }, async (herold, t) => {
		await everyClient(t, herold, { mode })
		assert.equal((await herold.status()).counters.inflate_calls > 0, mode !== 'off')
	})
}

// Who answers no ping is gone after two heartbeats. Small messages: who is busy with a large one answers late.
story('clients of others answer pings', { options: { ...TLS, heartbeat_seconds: 1, max_message_bytes: 1024 }, concurrency: 8, timeout: 120000 }, async (herold, t) => {
	await everyClient(t, herold, { mode: 'shared', sizes: [0, 1024], idleMs: 2500 })
	const { counters } = await herold.status()

	assert.ok(counters.pings_sent > 0)
	assert.equal(counters.closed.ping_timeout, 0)
})

const curlSpeaks = runs('curl', ['--version'])?.match(/^Protocols:(.*)$/m)?.[1].split(' ').includes('ws')

story('curl', { skip: !curlSpeaks && 'this curl has no ws://' }, async (herold) => {
	const out = await new Promise((done) => execFile('curl', ['-sN', '--max-time', '2', `${herold.wsUrl}/ws`], (error, stdout) => done(stdout)))

	assert.match(out, /^\{"type":"connection","id":"[\w-]+"/)
})

test.after(async () => (await browser)?.close())
