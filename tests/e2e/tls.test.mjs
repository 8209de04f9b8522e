// TLS: versions, names, resumption, client certificates, reloads under load, and those who get it wrong.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { X509Certificate, randomBytes } from 'node:crypto'
import { copyFileSync } from 'node:fs'
import test from 'node:test'
import tls from 'node:tls'

import { certificate, ocspResponse, path, read, write } from './support/certificates.mjs'
import { Herold, run, sleep, story, waitFor } from './support/herold.mjs'
import { OP, RawSocket } from './support/raw.mjs'
import { SecureSocket, get, relay, secure } from './support/secure.mjs'

certificate('ca', { hosts: ['An authority'], ca: true })
certificate('first', { hosts: ['localhost', '127.0.0.1'], by: 'ca' })
certificate('named', { hosts: ['chat.example', '*.chat.example'], rsa: true })
certificate('next', { hosts: ['next.example'] })
certificate('client', { hosts: ['a-client'], by: 'ca' })
certificate('stranger', { hosts: ['a-stranger'] })

const BASE = { tls_listen: '127.0.0.1:0', tls_certificate: path('first.pem'), tls_key: path('first.key'), log_level: 'debug' }
const VERSIONS = ['TLSv1.2', 'TLSv1.3']
const only = (version) => ({ minVersion: version, maxVersion: version })
const closedBy = async (herold) => (await herold.status()).counters.closed

/** Waits until so many connections ended for this reason. */
const untilClosed = (herold, reason, count) => waitFor(async () => (await closedBy(herold))[reason] >= count, `${count} times ${reason}`)

function openssl(args, input = '') {
	return new Promise((done) => {
		const child = execFile('openssl', args, { timeout: 10000 }, (error, out, err) => done({ out: out + err }))

		child.stdin.end(input)
	})
}

story('versions, ALPN, ciphers', { options: { ...BASE, tls_kernel: 'off' } }, async (herold, t) => {
	for (const version of VERSIONS) {
		const socket = await secure(herold.tls, { ...only(version), ALPNProtocols: ['h2', 'http/1.1'] })

		assert.equal(socket.getProtocol(), version)
		assert.equal(socket.alpnProtocol, 'http/1.1')
		assert.match(socket.getCipher().name, /GCM|CHACHA20/)
		socket.destroy()
		const { out } = await openssl(['s_client', '-connect', `127.0.0.1:${herold.tls.port}`, version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3'])

		assert.match(out, new RegExp(`New, ${version}`))
		assert.match(out, /Secure Renegotiation|TLSv1\.3/)
	}
	await assert.rejects(secure(herold.tls, { ...only('TLSv1.1'), ciphers: 'DEFAULT@SECLEVEL=0' }), 'TLS 1.1 is refused')
	await assert.rejects(secure(herold.tls, { ALPNProtocols: ['h2'] }), /no application protocol/)
	await assert.rejects(secure(herold.tls, { ...only('TLSv1.2'), ciphers: 'AES256-SHA' }), /handshake failure/)
	await untilClosed(herold, 'tls_handshake_failed', 3)
	await herold.waitLog(/reason=tls_handshake_failed.*detail="no shared cipher"/)
	const renegotiation = await openssl(['s_client', '-connect', `127.0.0.1:${herold.tls.port}`, '-tls1_2'], 'R\n')

	assert.match(renegotiation.out, /no renegotiation/)
	const { counters } = await herold.status()

	assert.equal(counters.tls_handshakes_now, 0)
	assert.equal(counters.tls_kernel, 0)
	t.diagnostic(`handshakes: ${counters.tls_handshakes}`)
})

story('the certificate by the name that is asked for', {
	options: { ...BASE, tls_certificate: `${path('first.pem')},${path('named.pem')}`, tls_key: `${path('first.key')},${path('named.key')}` },
}, async (herold) => {
	for (const version of VERSIONS) {
		for (const [servername, expected] of [['localhost', 'localhost'], ['chat.example', 'chat.example'], ['CHAT.example', 'chat.example'],
			['a.chat.example', 'chat.example'], ['a.b.chat.example', 'localhost'], ['other.example', 'localhost'], ['', 'localhost']]) {
			const socket = await secure(herold.tls, { ...only(version), servername })

			assert.equal(socket.certificate, expected, `${version} ${servername}`)
			socket.destroy()
		}
	}
	// Whoever checks is content.
	const socket = await secure(herold.tls, { rejectUnauthorized: true, ca: read('ca.pem'), servername: 'localhost' })

	assert.ok(socket.authorized)
	socket.destroy()
})

story('pages, refusals and messages of all sizes', { options: { ...BASE, max_message_bytes: '4m' } }, async (herold) => {
	for (const version of VERSIONS) {
		const { text } = await get(herold.tls, only(version), 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')

		assert.match(text, /^HTTP\/1\.1 200 [\s\S]*<\/html>\s*$/)
		const client = await SecureSocket.open(herold.tls, '/echo', only(version))

		for (const size of [0, 1, 125, 16383, 16384, 16385, 65536, 100000, 1 << 20, 4 << 20]) {
			const bytes = randomBytes(size)

			assert.ok(bytes.equals(await client.echo(bytes)), `${version}, ${size} bytes`)
		}
		client.ws.close(1000)
		await waitFor(() => client.closed, 'the close')
		assert.equal(client.closed.code, 1000)
	}
	const { text } = await get(herold.tls, {}, 'BAD\r\n\r\n')

	assert.match(text, /^HTTP\/1\.1 400 /)
})

story('many small messages at once, in pieces of one byte', { options: BASE }, async (herold) => {
	const client = await SecureSocket.open(herold.tls)

	for (let i = 0; i < 20000; i++)
		client.ws.send(`message ${i}`)
	await waitFor(() => client.messages.length === 20000, 'all echoes', 30000)
	assert.ok(client.messages.every((m, i) => m.toString() === `message ${i}`))
	client.end()
	const between = await relay(herold.tls, { oneByOne: true })
	const slow = await SecureSocket.open(between.at)

	assert.equal((await slow.echo('byte by byte')).toString(), 'byte by byte')
	slow.end()
	between.end()
})

/** The worker that has the one WebSocket more than before. */
async function workerOf(herold, fn) {
	const count = async () => (await herold.status()).workers.map((w) => w.websockets)
	const before = await count()
	const client = await fn()
	const after = await waitFor(async () => {
		const now = await count()

		return now.some((n, i) => n > before[i]) && now
	}, 'a WebSocket more')

	return { client, worker: after.findIndex((n, i) => n > before[i]) }
}

/** A session to be resumed: of 1.3 it comes with the ticket behind the handshake. */
async function sessionOf(at, options) {
	const socket = await secure(at, options)
	let session = socket.getProtocol() === 'TLSv1.2' ? socket.getSession() : undefined

	socket.on('session', (s) => { session = s })
	await waitFor(() => session, 'a session')
	socket.destroy()
	return session
}

async function isResumed(at, session, options = {}) {
	const socket = await secure(at, { ...options, session })
	const { reused } = socket

	socket.destroy()
	return reused
}

story('resumption on another worker', { options: { ...BASE, workers: 4 } }, async (herold) => {
	for (const version of VERSIONS) {
		const session = await sessionOf(herold.tls, only(version))
		const workers = new Set()
		const clients = []

		while (workers.size < 3 && clients.length < 60) {
			const { client, worker } = await workerOf(herold, () => SecureSocket.open(herold.tls, '/echo', { ...only(version), session }))

			assert.ok(client.raw.isSessionReused(), `${version}: resumed on worker ${worker}`)
			workers.add(worker)
			clients.push(client)
		}
		assert.ok(workers.size >= 3, `resumed on workers ${[...workers]}`)
		clients.forEach((client) => client.end())
	}
	const { counters, workers } = await herold.status()

	assert.ok(counters.tls_resumptions >= 6)
	// One that was started later has the same keys.
	const session = await sessionOf(herold.tls)

	for (const { pid } of workers)
		process.kill(pid, 'SIGKILL')
	await waitFor(async () => (await herold.status()).ready, 'new workers')
	assert.ok(await isResumed(herold.tls, session))
})

story('keys of tickets change', { options: { ...BASE, tls_ticket_seconds: 2 } }, async (herold) => {
	const tries = []

	// A ticket just made is good, on whichever side of a change.
	for (let i = 0; i < 8; i++) {
		tries.push((async () => {
			await sleep(i * 300)
			const session = await sessionOf(herold.tls)

			await sleep(900)
			return isResumed(herold.tls, session)
		})())
	}
	assert.deepEqual(await Promise.all(tries), tries.map(() => true))
	const old = await sessionOf(herold.tls)

	await sleep(4500)
	assert.equal(await isResumed(herold.tls, old), false, 'an old ticket costs a full handshake')
})

test('keys of tickets from a file, shared by hosts', { timeout: 60000 }, async () => {
	const [one, two] = [randomBytes(80), randomBytes(80)]

	write('tickets', one)
	const options = { ...BASE, tls_ticket_key_file: path('tickets') }
	const [a, b] = [await Herold.start({ options }), await Herold.start({ options })]

	try {
		for (const version of VERSIONS)
			assert.ok(await isResumed(b.tls, await sessionOf(a.tls, only(version)), only(version)), version)
		const old = await sessionOf(a.tls)
		const reload = async (bytes) => {
			const lines = b.lines.length

			write('tickets', bytes)
			process.kill(b.pid, 'SIGHUP')
			await waitFor(() => b.lines.slice(lines).some((line) => /was read again/.test(line)), 'the reload')
		}

		await reload(Buffer.concat([two, one]))
		assert.ok(await isResumed(b.tls, old), 'the older key still opens')
		assert.equal(await isResumed(a.tls, await sessionOf(b.tls)), false, 'the new one makes')
		await reload(two)
		assert.equal(await isResumed(b.tls, old), false, 'it was taken out')
		await reload(two.subarray(1))
		await b.waitLog(/error .*refused.*79 bytes are no ticket keys/)
		await Promise.all([a.stop(), b.stop()])
	} finally {
		a.kill()
		b.kill()
	}
})

for (const [rule, letsIn] of [['required', false], ['optional', true]]) {
	story(`client certificates, ${rule}`, { options: { ...BASE, tls_client_ca: path('ca.pem'), tls_client_certificate: rule } }, async (herold) => {
		const page = async (options) => (await get(herold.tls, options)).text
		const own = { cert: read('client.pem'), key: read('client.key') }

		for (const version of VERSIONS) {
			assert.match(await page({ ...only(version), ...own }), /404/)
			await assert.rejects(page({ ...only(version), cert: read('stranger.pem'), key: read('stranger.key') }), version)
			if (letsIn)
				assert.match(await page(only(version)), /404/)
			else
				await assert.rejects(page(only(version)), version)
			const session = await sessionOf(herold.tls, { ...only(version), ...own })

			assert.ok(await isResumed(herold.tls, session, { ...only(version), ...own }), `${version} resumed`)
		}
		await untilClosed(herold, 'tls_handshake_failed', letsIn ? 2 : 4)
		await herold.waitLog(/detail="certificate verify failed"/)
	})
}

story('OCSP stapling', { options: { ...BASE, tls_ocsp_file: ocspResponse('first', 'ca') } }, async (herold) => {
	const socket = tls.connect({ ...herold.tls, requestOCSP: true, rejectUnauthorized: false })
	const response = await new Promise((done, fail) => socket.once('OCSPResponse', done).once('error', fail))

	assert.ok(read('first.der').equals(response))
	socket.destroy()
	assert.match((await openssl(['s_client', '-connect', `127.0.0.1:${herold.tls.port}`, '-status'])).out, /Cert Status: good/)
})

story('those who get it wrong', { options: BASE }, async (herold) => {
	const address = `127.0.0.1:${herold.tls.port}`
	const plain = await RawSocket.open(address)

	plain.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
	const answer = await plain.response()

	assert.equal(answer.status, 400)
	assert.match(JSON.parse(answer.body).error, /TLS is spoken here/)
	await plain.finished()
	for (const bytes of [Buffer.from('\r\n\r\n'), randomBytes(1000).fill(0, 0, 1), Buffer.from('160301ffff01', 'hex'), Buffer.from('1603010005010000010', 'hex'),
		Buffer.concat([Buffer.from('1603010200', 'hex'), randomBytes(512).fill(1, 0, 1)]), Buffer.alloc(100000, 0x16)]) {
		const raw = await RawSocket.open(address)

		raw.write(bytes)
		raw.end()
		await raw.finished()
	}
	assert.ok((await closedBy(herold)).tls_handshake_failed >= 5)
	// Amid a connection.
	const between = await relay(herold.tls)
	const client = await SecureSocket.open(between.at)

	assert.equal((await client.echo('good')).toString(), 'good')
	between.server.write(Buffer.concat([Buffer.from('1703030100', 'hex'), randomBytes(256)]))
	await waitFor(() => client.closed, 'the end')
	await untilClosed(herold, 'tls_error', 1)
	// An end without close_notify is an end.
	const cut = await SecureSocket.open(between.at)

	assert.equal((await cut.echo('good')).toString(), 'good')
	between.server.end()
	await untilClosed(herold, 'client_eof', 1)
	between.end()
	assert.ok(!herold.lines.some((line) => / error /.test(line)), 'no error in the log')
})

story('handshakes that come to nothing', { options: { ...BASE, handshake_seconds: 1, tls_handshakes_max: 3, workers: 1 } }, async (herold) => {
	const address = `127.0.0.1:${herold.tls.port}`
	const half = async () => {
		const raw = await RawSocket.open(address)

		raw.write(Buffer.from('16030102000100', 'hex'))
		return raw
	}
	const silent = await RawSocket.open(address)
	const halves = [await half(), await half(), await half()]

	await waitFor(async () => (await herold.status()).counters.tls_handshakes_now === 3, 'three under way')
	const refused = await half()

	await refused.finished()
	await untilClosed(herold, 'tls_handshakes_full', 1)
	for (const raw of [silent, ...halves])
		await raw.finished(5000)
	assert.deepEqual([(await closedBy(herold)).tls_handshake_timeout, (await herold.status()).counters.tls_handshakes_now], [4, 0])
	// One that stops behind its first flight.
	const between = await relay(herold.tls)
	const stuck = tls.connect({ ...between.at, rejectUnauthorized: false })

	stuck.on('error', () => {})
	stuck.once('keylog', () => { between.isDeaf = true })
	await untilClosed(herold, 'tls_handshake_timeout', 5)
	between.end()
	const client = await SecureSocket.open(herold.tls)

	assert.equal((await client.echo('well')).toString(), 'well')
	client.end()
})

story('a reader that stops', { options: { ...BASE, send_timeout_seconds: 60, client_queue_bytes: '1m', workers: 1 } }, async (herold) => {
	const client = await SecureSocket.open(herold.tls)
	const count = 3000

	client.raw.pause()
	for (let i = 0; i < count; i++)
		client.ws.send(String(i).padEnd(4096, '.'))
	await waitFor(async () => (await herold.status()).counters.reads_paused > 0, 'it is not read from')
	client.raw.resume()
	await waitFor(() => client.messages.length === count, 'all echoes', 30000)
	assert.ok(client.messages.every((m, i) => m.toString() === String(i).padEnd(4096, '.')))
	// One who is too far behind is told so, behind the last message that had begun.
	const slow = await SecureSocket.open(herold.tls, '/broadcast')
	const loud = await SecureSocket.open(herold.tls, '/broadcast')
	let frames = 0

	slow.raw.pause()
	for (; (await closedBy(herold)).slow_client === 0 && frames < 20000; frames += 50) {
		for (let i = 0; i < 50; i++)
			loud.ws.send(`${frames + i}|${'x'.repeat(3000 + i)}`)
		await waitFor(() => loud.messages.length === frames + 50, 'the broadcast')
	}
	slow.raw.resume()
	await waitFor(() => slow.closed, 'the close')
	assert.deepEqual([slow.closed.code, slow.error], [1013, undefined])
	assert.ok(slow.messages.every((m, i) => m.toString().startsWith(`${i}|`)))
	for (const each of [client, loud])
		each.end()
})

const reloaded = (herold, pattern) => {
	const lines = herold.lines.length

	process.kill(herold.pid, 'SIGHUP')
	return waitFor(() => herold.lines.slice(lines).find((line) => pattern.test(line)), `a log line like ${pattern}`)
}

copyFileSync(path('first.pem'), path('live.pem'))
copyFileSync(path('first.key'), path('live.key'))
story('new certificates under load', { options: { ...BASE, tls_certificate: path('live.pem'), tls_key: path('live.key') } }, async (herold) => {
	const clients = await Promise.all(Array.from({ length: 50 }, () => SecureSocket.open(herold.tls)))
	let isOver = false, echoes = 0
	const loads = clients.map(async (client, i) => {
		for (let n = 0; !isOver; n++, echoes++)
			assert.equal((await client.echo(`${i} ${n}`))?.toString(), `${i} ${n}`)
	})
	const certificateNow = async () => {
		const socket = await secure(herold.tls)

		socket.destroy()
		return socket.certificate
	}
	const seen = async (expected) => {
		for (let i = 0; i < 10; i++)
			assert.equal(await certificateNow(), expected)
	}

	await seen('localhost')
	copyFileSync(path('next.pem'), path('live.pem'))
	await reloaded(herold, /refused; the old one stays.*its key belongs to another certificate|refused; the old one stays.*key values mismatch/)
	await seen('localhost')
	copyFileSync(path('next.key'), path('live.key'))
	await reloaded(herold, /certificates in use.*live\.pem until /)
	await waitFor(async () => await certificateNow() === 'next.example', 'the new certificate')
	await sleep(200)
	await seen('next.example')
	for (const broken of ['', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n']) {
		write('live.pem', broken)
		await reloaded(herold, /refused; the old one stays.*no usable certificate/)
	}
	await seen('next.example')
	// Whoever is started now has them, too.
	const [{ pid }] = (await herold.status()).workers
	const before = echoes

	await waitFor(() => echoes > before + 500, 'the load goes on')
	isOver = true
	await Promise.all(loads)
	assert.ok(clients.every((client) => client.closed === null), 'nobody was lost')
	process.kill(pid, 'SIGKILL')
	await waitFor(async () => (await herold.status()).ready, 'a new worker')
	await seen('next.example')
	clients.forEach((client) => client.end())
})

story('the end', { options: { ...BASE, drain_seconds: 1 } }, async (herold) => {
	const clients = await Promise.all(Array.from({ length: 20 }, () => SecureSocket.open(herold.tls)))
	const idle = await secure(herold.tls)
	const silent = await RawSocket.open(`127.0.0.1:${herold.tls.port}`)

	idle.resume()
	herold.terminate()
	await waitFor(() => clients.every((client) => client.closed), 'all are closed')
	assert.ok(clients.every(({ closed }) => closed.code === 1001))
	await silent.finished()
	await waitFor(() => idle.readableEnded, 'the idle one is ended in order')
})

story('only TLS, made by itself', { options: { tls_self_signed: 'on', tls_listen: '127.0.0.1:0,[::1]:0', listen: '', tls_client_ca: '' } }, async (herold) => {
	assert.equal(herold.addresses.length, 2)
	const first = await secure(herold.tls)
	const { fingerprint256, raw } = first.getPeerCertificate()

	// Whoever trusts this one is content with it, by name and by address.
	for (const host of ['localhost', '127.0.0.1']) {
		const options = { ca: [new X509Certificate(raw).toString()], rejectUnauthorized: true }
		const socket = await secure({ host: '127.0.0.1', port: herold.tls.port }, { ...options, servername: host === 'localhost' ? host : '',
			checkServerIdentity: (_, certificate) => tls.checkServerIdentity(host, certificate) })

		assert.ok(socket.authorized)
		socket.destroy()
	}
	await reloaded(herold, /certificates in use/)
	const second = await secure(herold.tls)

	assert.equal(second.getPeerCertificate().fingerprint256, fingerprint256, 'a reload keeps it')
	for (const socket of [first, second])
		socket.destroy()
})

test('what is not allowed is refused at the start', { timeout: 30000 }, async () => {
	const cert = `tls_certificate=${path('first.pem')}`, key = `tls_key=${path('first.key')}`, at = 'tls_listen=127.0.0.1:0'

	for (const [settings, error] of [
		[[at], /tls_listen: there is no tls_certificate/],
		[[at, cert], /tls_key: 0 files are not allowed, but as many as tls_certificate has \(1\)/],
		[[at, cert, key, 'tls_self_signed=on'], /tls_self_signed: "on" is not allowed beside tls_certificate/],
		[[at, cert, key, 'tls_ocsp_file=a,b'], /tls_ocsp_file: 2 files are not allowed/],
		[[at, cert, `tls_key=${path('nothing')}`], /nothing: No such file/],
		[[at, cert, `tls_key=${path('next.key')}`], /first\.pem: its key (belongs|cannot)/],
		[[at, cert, key, `tls_client_ca=${path('first.key')}`], /tls_client_ca: no usable certificate/],
		[[at, cert, key, `tls_ocsp_file=${path('first.pem')}`], /first\.pem: its OCSP file holds no successful response/],
		[[at, cert, key, `tls_ticket_key_file=${path('first.pem')}`], /first\.pem: \d+ bytes are no ticket keys/],
		[['listen='], /listen: 0 addresses are not allowed, unless tls_listen has some/],
	]) {
		const { code, err } = await run([...settings.flatMap((s) => ['-o', s]), '--check'])

		assert.equal(code, 78, settings.join(' '))
		assert.match(err, error)
	}
	const { out } = await run(['-o', 'tls_self_signed=on', '--check'])

	assert.match(out, /"tls_listen": \["0\.0\.0\.0:8443"\]/)
})
