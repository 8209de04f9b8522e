// Who is let in by a token: every way to give one, every way to be refused, rights, expiry, renewal, reloads; and tokens are nowhere
// to be read.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { WebSocket } from 'ws'

import { Browser } from './support/browser.mjs'
import { ChatClient } from './support/client.mjs'
import { run, story, waitFor } from './support/herold.mjs'
import { clientModule, record } from './support/module.mjs'
import { RawSocket, handshake } from './support/raw.mjs'
import { RESIDUE, assertNoResidue } from './support/residue.mjs'
import { seen } from './support/seen.mjs'
import { PAIRS, SECRET, encode, file, jwk, jwt, now, publicPem, signature } from './support/tokens.mjs'

const ADA = 'token-of-ada-0123456789'
const BOB = 'token-of-bob-0123456789'
const ROOT = 'token-of-root.0123456789'
const MUTE = 'token-of-mute~0123456789'
const TOKENS = [
	{ token: ADA, user: 'ada', name: 'Ada Lovelace' },
	{ token: BOB, user: 'bob', name: 'Bob', rooms: ['tea', 'team.*'], channels: ['scores.*'], rights: ['chat', 'publish'] },
	{ token: ROOT, user: 'root', rights: 'chat publish system moderate' },
	{ token: MUTE, user: 'mute', rights: [] },
]
const STATIC = { auth: 'token', token_file: file('tokens.json', TOKENS) }
const SIGNED = { auth: 'jwt', jwt_key: file('secret', `${SECRET}\n`), jwt_algorithm: 'HS256', jwt_leeway_seconds: 0 }

const PATHS = ['/ws', '/', '/echo', '/broadcast']
const asQuery = (token, path = '/ws') => ({ path: `${path}?token=${token}` })
const asHeader = (token, path = '/ws') => ({ path, headers: { Authorization: `Bearer ${token}` } })
const asProtocol = (token, path = '/ws') => ({ path, headers: { 'Sec-WebSocket-Protocol': `herold, token.${token}` } })
const WAYS = [asQuery, asHeader, asProtocol]

/** The answer to an upgrade request: { status, headers, body }. */
async function upgrade(herold, request) {
	const raw = await RawSocket.open(herold.address)

	raw.write(handshake(request))
	const answer = await raw.response()

	raw.destroy()
	return answer
}

const open = (herold, token, options = {}) => ChatClient.open(herold, { ...asHeader(token), ...options })
async function login(herold, token, message = {}) {
	const client = await open(herold, token)

	client.loginOk = await client.ask({ type: 'login', ...message }, (m) => m.type === 'login_ok' || m.type === 'error')
	return client
}
const code = async (client, message) => (await client.ask({ ...message, ref: Math.random() })).code
const refusedNow = async (herold) => (await herold.status()).counters.auth_refused

/** Each refusal of the table: its sentence. */
const REFUSALS = Object.fromEntries([...readFileSync(new URL('../../server/auth/auth_refusals.tbl', import.meta.url), 'utf8')
	.matchAll(/^AUTH_REFUSAL\((\w+), (\d+), "(\w*)", "(.*)"\)$/gm)].map(([, name, status, error, sentence]) => [name, { status: Number(status), error, sentence }]))

/** Refused for this reason: by the upgrade, and by a plain GET of the same address. */
async function isRefused(herold, request, name, what) {
	const { status, error, sentence } = REFUSALS[name]
	const plain = { ...request, headers: { ...request.headers, Upgrade: undefined, Connection: undefined } }
	const before = await refusedNow(herold)

	for (const each of [request, plain]) {
		const answer = await upgrade(herold, each)

		assert.equal(answer.status, status, `${what}: ${answer.body}`)
		assert.deepEqual(JSON.parse(answer.body), { status, error: sentence }, what)
		assert.equal(answer.headers['www-authenticate'], `Bearer realm="herold"${error && `, error="${error}"`}`, what)
		assert.match(answer.headers['content-type'], /^application\/json/)
	}
	assert.equal((await refusedNow(herold))[name], before[name] + 2, `${what}: counted`)
	seen('refusal', name)
}

story('a token is asked for where a WebSocket would be, and nowhere else', { options: STATIC }, async (herold) => {
	for (const path of PATHS) {
		if (path !== '/')
			await isRefused(herold, { path }, 'no_token', path)
		assert.equal((await upgrade(herold, { path })).status, 401)
		for (const way of WAYS) {
			const answer = await upgrade(herold, way(ADA, path))

			assert.equal(answer.status, 101, answer.body)
			assert.equal(answer.headers['sec-websocket-protocol'], way === asProtocol ? 'herold' : undefined)
		}
	}
	for (const path of ['/', '/chat.css', '/chat.js', '/herold.js', '/view.js', '/icon.svg'])
		assert.equal((await fetch(herold.url + path)).status, 200, path)
	assert.equal((await fetch(`${herold.url}/ws?token=${ADA}`)).status, 426, 'a WebSocket would be welcome')
	assert.equal((await fetch(`${herold.url}/nothing?token=${ADA}`)).status, 404)
	// What is no handshake costs no look at its token.
	assert.equal((await upgrade(herold, { path: '/ws', headers: { 'Sec-WebSocket-Key': 'short' } })).status, 400)
	assert.equal((await upgrade(herold, { path: '/ws', headers: { 'Sec-WebSocket-Version': '12' } })).status, 426)
	assert.equal((await herold.status()).counters.websockets, 0)
})

story('without auth nobody is asked, and a token does no harm', {}, async (herold) => {
	for (const way of WAYS)
		assert.equal((await upgrade(herold, way('anything'))).status, 101)
	assert.equal((await upgrade(herold, asProtocol('anything'))).headers['sec-websocket-protocol'], 'herold')
	const client = await ChatClient.login(herold, { userId: 'u1' })

	assert.equal(await code(client, { type: 'auth', token: 'anything' }), 'bad_token')
	assert.equal(client.received.at(-1).detail, 'no tokens are asked for here')
	assert.equal(client.loginOk.expires, undefined)
	assert.ok(client.loginOk.resume.length > 0)
	await client.close()
})

const FORMS = [
	['two in the query', { path: `/ws?token=${ADA}&token=${ADA}` }, 'many_tokens'],
	['query and header', { ...asHeader(ADA), path: `/ws?token=${ADA}` }, 'many_tokens'],
	['header and protocol', { path: '/ws', headers: { ...asHeader(ADA).headers, ...asProtocol(ADA).headers } }, 'many_tokens'],
	['two headers', { headers: { Authorization: [`Bearer ${ADA}`, `Bearer ${ADA}`] } }, 'many_tokens'],
	['two protocols', { headers: { 'Sec-WebSocket-Protocol': `herold, token.${ADA}, token.${BOB}` } }, 'many_tokens'],
	['Basic', { headers: { Authorization: 'Basic YWRhOnRva2Vu' } }, 'bad_scheme'],
	['a scheme that is a token', { headers: { Authorization: ADA } }, 'bad_scheme'],
	['a protocol without herold', { headers: { 'Sec-WebSocket-Protocol': `token.${ADA}` } }, 'no_protocol'],
	['an empty one', { path: '/ws?token=' }, 'bad_characters'],
	['an empty protocol', { headers: { 'Sec-WebSocket-Protocol': 'herold, token.' } }, 'bad_characters'],
	['a blank in it', { path: '/ws?token=a%20b' }, 'bad_characters'],
	['a broken escape', { path: '/ws?token=a%2' }, 'bad_characters'],
	['a NUL in it', { path: '/ws?token=a%00b' }, 'bad_characters'],
	['a byte above ASCII', { path: '/ws?token=%ff%fe' }, 'bad_characters'],
	['a quotation mark', { headers: { Authorization: 'Bearer a"b' } }, 'bad_characters'],
	['another name of the parameter', { path: `/ws?Token=${ADA}` }, 'no_token'],
	['an unknown one', asQuery('token-of-ada-0123456780'), 'unknown_token'],
	['a prefix', asQuery(ADA.slice(0, -1)), 'unknown_token'],
	['with more behind it', asQuery(`${ADA}0`), 'unknown_token'],
	['in capitals', asQuery(ADA.toUpperCase()), 'unknown_token'],
	['a long one', asQuery('x'.repeat(7000)), 'unknown_token'],
	['a JWT', asQuery(jwt()), 'unknown_token'],
]

story('static tokens: every refusal', { options: STATIC }, async (herold) => {
	for (const [what, request, name] of FORMS)
		await isRefused(herold, request, name, what)
	// Longer than a head may be.
	assert.equal((await upgrade(herold, asQuery('x'.repeat(1 << 20)))).status, 414)
	assert.equal((await upgrade(herold, asHeader('x'.repeat(1 << 20)))).status, 431)
	const { counters } = await herold.status()

	assert.equal(counters.upgrades, 0)
	await waitFor(async () => (await herold.status()).workers.every((w) => w.connections === 0), 'nobody left')
})

const KEYS = {
	auth: 'jwt', jwt_leeway_seconds: 5, jwt_issuer: 'https://issuer.example/', jwt_audience: 'herold,other',
	jwt_key: [file('hs', SECRET), file('rsa.pem', publicPem(PAIRS.rsa)), file('p256.pem', publicPem(PAIRS.p256))].join(','),
	jwt_algorithm: 'HS256,RS256,ES256', jwt_key_id: 'hs,rsa,p256',
	jwt_key_set: file('keys.json', { keys: [
		jwk(PAIRS.rsa2, { kid: 'ps', alg: 'PS256', use: 'sig' }), jwk(PAIRS.p384, { kid: 'p384' }), jwk(PAIRS.ed, { kid: 'ed' }),
		{ kty: 'oct', kid: 'hs384', alg: 'HS384', k: encode(SECRET) }, { kty: 'oct', kid: 'hs512', alg: 'HS512', k: encode(SECRET) },
		jwk(PAIRS.rsa2, { kid: 'rs384', alg: 'RS384' }), jwk(PAIRS.rsa2, { kid: 'rs512', alg: 'RS512' }),
		jwk(PAIRS.rsa, { kid: 'enc', use: 'enc' }), { kty: 'XYZ', kid: 'unknown' },
	] }),
}
const CLAIMS = { iss: 'https://issuer.example/', aud: 'herold' }
const SIGNERS = [
	['HS256', SECRET, 'hs'], ['HS384', SECRET, 'hs384'], ['HS512', SECRET, 'hs512'], ['RS256', PAIRS.rsa, 'rsa'], ['RS384', PAIRS.rsa2, 'rs384'],
	['RS512', PAIRS.rsa2, 'rs512'], ['PS256', PAIRS.rsa2, 'ps'], ['ES256', PAIRS.p256, 'p256'], ['ES384', PAIRS.p384, 'p384'], ['EdDSA', PAIRS.ed, 'ed'],
]
const good = (claims = {}, options = {}) => jwt({ ...CLAIMS, ...claims }, { ...options, header: { kid: 'hs', ...options.header } })
/* Any header, signed with the secret. */
const headed = (header) => jwt(CLAIMS, { header })
const cut = good().split('.')
const none = `${encode({ alg: 'none', typ: 'JWT', kid: 'hs' })}.${cut[1]}.`

function confused(alg) {
	const input = `${encode({ alg, kid: 'rsa' })}.${encode({ sub: 'u1', exp: now() + 60, ...CLAIMS })}`

	return `${input}.${signature(alg, publicPem(PAIRS.rsa), input).toString('base64url')}`
}

/** What it is, the token, the refusal. */
const TAMPERED = [
	['no JWT', ADA, 'bad_form'],
	['two parts', cut.slice(0, 2).join('.'), 'bad_form'],
	['four parts', [...cut, 'AAAA'].join('.'), 'bad_form'],
	['an empty signature', `${cut[0]}.${cut[1]}.`, 'bad_form'],
	['an empty header', `.${cut[1]}.${cut[2]}`, 'bad_form'],
	['no base64url', `${cut[0]}~.${cut[1]}.${cut[2]}`, 'bad_form'],
	['unused bits', `${encode('{}')}`.replace(/0$/, '1') + `.${cut[1]}.${cut[2]}`, 'bad_form'],
	['alg none without a signature', none, 'bad_form'],
	['alg none with a signature', `${none}AAAA`, 'bad_algorithm'],
	['alg NONE', headed({ kid: 'hs', alg: 'NONE' }), 'bad_algorithm'],
	['an alg that is not accepted', headed({ kid: 'hs', alg: 'RS1' }), 'bad_algorithm'],
	['an alg of encryption', headed({ kid: 'hs', alg: 'A256KW' }), 'bad_algorithm'],
	['no alg', jwt(CLAIMS, { header: '{"kid":"hs"}' }), 'bad_header'],
	['an alg that is no text', headed({ kid: 'hs', alg: 7 }), 'bad_header'],
	['a header that is an array', jwt(CLAIMS, { header: '["HS256"]' }), 'bad_header'],
	['a header with alg twice', jwt(CLAIMS, { header: '{"alg":"none","alg":"HS256","kid":"hs"}' }), 'bad_header'],
	['another typ', headed({ kid: 'hs', typ: 'JWE' }), 'bad_type'],
	['crit', headed({ kid: 'hs', crit: ['exp'] }), 'bad_crit'],
	['a kid that is no text', headed({ kid: 7 }), 'bad_kid'],
	['a kid of 300 bytes', headed({ kid: 'k'.repeat(300) }), 'bad_kid'],
	['a kid that is a path', headed({ kid: '../../../dev/null' }), 'unknown_key'],
	['a kid of a key that was passed over', jwt(CLAIMS, { alg: 'RS256', key: PAIRS.rsa, header: { kid: 'enc' } }), 'unknown_key'],
	['HS256 with the RSA public key as its secret', confused('HS256'), 'other_algorithm'],
	['HS512 likewise', confused('HS512'), 'other_algorithm'],
	['RS256 with the kid of another kind', jwt(CLAIMS, { alg: 'RS256', key: PAIRS.rsa, header: { kid: 'p256' } }), 'other_algorithm'],
	['PS256 with a key of RS256', jwt(CLAIMS, { alg: 'PS256', key: PAIRS.rsa, header: { kid: 'rsa' } }), 'other_algorithm'],
	['RS256 with a key of PS256', jwt(CLAIMS, { alg: 'RS256', key: PAIRS.rsa2, header: { kid: 'ps' } }), 'other_algorithm'],
	['no kid where several keys could be meant', jwt(CLAIMS, { alg: 'HS256', header: { kid: undefined } }), 'OK'],
	['another secret', jwt(CLAIMS, { key: `${SECRET}.`, header: { kid: 'hs' } }), 'bad_signature'],
	['another RSA key', jwt(CLAIMS, { alg: 'RS256', key: PAIRS.rsa2, header: { kid: 'rsa' } }), 'bad_signature'],
	['a signature of something else', `${cut[0]}.${cut[1]}.${good({ sub: 'u2' }).split('.')[2]}`, 'bad_signature'],
	['claims of something else', `${cut[0]}.${good({ sub: 'u2' }).split('.')[1]}.${cut[2]}`, 'bad_signature'],
	['a signature cut short', `${cut[0]}.${cut[1]}.${cut[2].slice(0, 20)}`, 'bad_signature'],
	['a signature of ECDSA in DER', `${encode({ alg: 'ES256', kid: 'p256' })}.${cut[1]}.${'A'.repeat(95)}A`, 'bad_signature'],
	['a signature of zeros', `${encode({ alg: 'ES256', kid: 'p256' })}.${cut[1]}.${'A'.repeat(86)}`, 'bad_signature'],
	['claims that are an array', jwt('[]', { header: { kid: 'hs' } }), 'bad_claims'],
	['claims that are no JSON', jwt('{"sub":', { header: { kid: 'hs' } }), 'bad_claims'],
	['sub twice', jwt('{"sub":"u1","sub":"u2","exp":4000000000}', { header: { kid: 'hs' } }), 'bad_claims'],
	['expired', good({ exp: now() - 60 }), 'expired'],
	['expired at the epoch', good({ exp: 0 }), 'expired'],
	['no exp', good({ exp: undefined }), 'no_expiry'],
	['exp as text', good({ exp: String(now() + 60) }), 'bad_time'],
	['a negative exp', good({ exp: -1 }), 'bad_time'],
	['an exp beyond all time', good({ exp: 1e300 }), 'bad_time'],
	['nbf as text', good({ nbf: 'now' }), 'bad_time'],
	['not yet valid', good({ nbf: now() + 600 }), 'not_yet'],
	['issued in the future', good({ iat: now() + 600 }), 'from_future'],
	['no issuer', good({ iss: undefined }), 'bad_issuer'],
	['another issuer', good({ iss: 'https://issuer.example' }), 'bad_issuer'],
	['issuers', good({ iss: ['https://issuer.example/'] }), 'bad_issuer'],
	['no audience', good({ aud: undefined }), 'bad_audience'],
	['another audience', good({ aud: 'heroldx' }), 'bad_audience'],
	['other audiences', good({ aud: ['a', 'b'] }), 'bad_audience'],
	['no user', good({ sub: undefined }), 'bad_user'],
	['an empty user', good({ sub: '' }), 'bad_user'],
	['a user that is a number', good({ sub: 7 }), 'bad_user'],
	['a user of 129 bytes', good({ sub: 'u'.repeat(129) }), 'bad_user'],
	['a user that turns the text around', good({ sub: 'a\u202eb' }), 'bad_user'],
	['an empty name', good({ name: '' }), 'bad_name'],
	['a name of 65 characters', good({ name: 'n'.repeat(65) }), 'bad_name'],
	['an unknown right', good({ rights: ['chat', 'root'] }), 'bad_rights'],
	['rights that are an object', good({ rights: { chat: true } }), 'bad_rights'],
	['rooms that are a text', good({ rooms: 'lobby' }), 'bad_patterns'],
	['a channel that is empty', good({ channels: [''] }), 'bad_patterns'],
]

story('signed tokens: every algorithm, and every refusal', { options: KEYS, timeout: 120000 }, async (herold) => {
	await herold.waitLog(/accepted="HS256 \(hs\), RS256 \(rsa\), ES256 \(p256\), PS256 \(ps\), ES384 \(p384\), EdDSA \(ed\), HS384 \(hs384\), HS512 \(hs512\), RS384 \(rs384\), RS512 \(rs512\)"/)
	for (const [alg, key, kid] of SIGNERS) {
		for (const way of WAYS) {
			const answer = await upgrade(herold, way(jwt(CLAIMS, { alg, key, header: { kid } })))

			assert.equal(answer.status, 101, `${alg}: ${answer.body}`)
		}
	}
	for (const claims of [{ aud: ['x', 'other'] }, { exp: now() - 2 }, { nbf: now() + 3, iat: now() + 3 }, { exp: now() + 60.5 }])
		assert.equal((await upgrade(herold, asQuery(good(claims)))).status, 101, JSON.stringify(claims))
	for (const [what, token, name] of TAMPERED) {
		if (name === 'OK')
			assert.equal((await upgrade(herold, asQuery(token))).status, 101, what)
		else
			await isRefused(herold, asHeader(token), name, what)
	}
})

story('nothing is left of refused tokens', { options: { ...STATIC, ...RESIDUE }, timeout: 120000 }, async (herold, t) => {
	const rows = [...FORMS, ['1 MiB', asQuery('x'.repeat(1 << 20))], ['1 MiB in a header', asHeader('x'.repeat(1 << 20))]]

	t.diagnostic(`refusals of tokens that left nothing: ${await assertNoResidue(herold, rows.map(([what, request]) => [what, handshake(request)]))}`)
})

story('nothing is left of refused signatures and claims', { options: { ...KEYS, ...RESIDUE }, timeout: 120000 }, async (herold, t) => {
	const rows = TAMPERED.filter(([, , name]) => name !== 'OK').map(([what, token]) => [what, handshake(asHeader(token))])

	t.diagnostic(`refusals of signed tokens that left nothing: ${await assertNoResidue(herold, rows)}`)
})

story('signed tokens without kid', {
	options: { ...SIGNED, jwt_key: `${file('one', SECRET)},${file('two', `${SECRET}2`)},${file('rsa1.pem', publicPem(PAIRS.rsa))}`, jwt_algorithm: 'HS256,HS256,RS256' },
}, async (herold) => {
	await isRefused(herold, asHeader(jwt()), 'needs_kid', 'two secrets')
	assert.equal((await upgrade(herold, asHeader(jwt({}, { alg: 'RS256', key: PAIRS.rsa })))).status, 101)
	await isRefused(herold, asHeader(jwt({ aud: 'herold' }, { alg: 'RS256', key: PAIRS.rsa })), 'bad_audience', 'an aud where none is expected')
	await isRefused(herold, asHeader(jwt({}, { alg: 'HS384' })), 'unknown_key', 'no key of this alg')
})

story('who one is, the token says', { options: STATIC }, async (herold) => {
	const ada = await login(herold, ADA)

	assert.deepEqual([ada.loginOk.userId, ada.loginOk.name, ada.loginOk.room], ['ada', 'Ada Lovelace', 'lobby'])
	assert.equal(ada.loginOk.resume, undefined)
	assert.equal(ada.loginOk.expires, undefined)
	for (const [message, expected] of [[{ userId: 'bob' }, 'other_user'], [{ name: 'Bob' }, 'other_user'], [{ userId: 'ADA' }, 'other_user'],
		[{ userId: 7 }, 'bad_user'], [{ name: '' }, 'bad_name'], [{ userId: 'ada', name: 'Ada' }, 'other_user']]) {
		const client = await login(herold, ADA, message)

		assert.equal(client.loginOk.code, expected, JSON.stringify(message))
		await client.close()
	}
	// The same user elsewhere is the same member, whatever secret it has; on every worker.
	const others = []

	do
		others.push(await login(herold, ADA, { userId: 'ada', name: 'Ada Lovelace', resume: 'A'.repeat(22) }))
	while ((await herold.status()).workers.some((w) => w.websockets === 0))
	for (const other of others) {
		assert.equal(other.loginOk.type, 'login_ok', JSON.stringify(other.loginOk))
		assert.equal(other.loginOk.count, 1)
	}
	ada.send({ type: 'chat', message: 'hello', userId: 'bob', name: 'Bob' })
	const heard = await others[0].next('chat')

	assert.deepEqual([heard.userId, heard.name], ['ada', 'Ada Lovelace'])
	assert.equal(await code(ada, { type: 'login', userId: 'bob' }), 'already_logged_in')
	await Promise.all([ada, ...others].map((client) => client.close()))
})

story('rights', { options: { ...STATIC, system_users: 'ada' } }, async (herold) => {
	const [ada, root, mute] = await Promise.all([ADA, ROOT, MUTE].map((token) => login(herold, token)))
	const nowhere = await login(herold, BOB)
	const bob = await login(herold, BOB, { room: 'tea' })

	assert.equal(nowhere.loginOk.code, 'not_allowed')
	assert.equal(bob.loginOk.type, 'login_ok')
	for (const [client, message, expected] of [
		[bob, { type: 'join', room: 'lobby' }, 'not_allowed'], [bob, { type: 'join', room: 'team' }, 'not_allowed'],
		[bob, { type: 'join', room: 'team.a' }, undefined], [bob, { type: 'chat', message: 'hello', room: 'team.a' }, undefined],
		[bob, { type: 'subscribe', channel: 'scores' }, 'not_allowed'], [bob, { type: 'subscribe', channel: 'scores.a' }, undefined],
		[bob, { type: 'publish', channel: 'scores.a', data: 1 }, undefined], [bob, { type: 'publish', channel: 'other', data: 1 }, 'not_allowed'],
		[bob, { type: 'history', room: 'lobby' }, 'not_in_room'], [bob, { type: 'system', message: 'x' }, 'not_allowed'],
		[ada, { type: 'system', message: 'x' }, 'not_allowed'], [ada, { type: 'publish', channel: 'other', data: 1 }, undefined],
		[root, { type: 'system', message: 'x' }, undefined], [root, { type: 'system', message: 'x', room: 'tea' }, undefined],
		[mute, { type: 'chat', message: 'hello' }, 'not_allowed'], [mute, { type: 'publish', channel: 'other', data: 1 }, 'not_allowed'],
		[mute, { type: 'subscribe', channel: 'other' }, undefined], [mute, { type: 'join', room: 'tea' }, undefined],
	])
		assert.equal(await code(client, message), expected, JSON.stringify(message))
	assert.equal((await mute.next('system', 10000)).message.length > 0, true)
	// /broadcast has no errors: who says what he may not is closed.
	const listener = await RawSocket.upgraded(herold.address, asHeader(MUTE, '/broadcast'))
	const speaker = new WebSocket(`${herold.wsUrl}/broadcast?token=${ADA}`)

	await new Promise((done) => speaker.once('open', done))
	await waitFor(async () => {
		speaker.send('hello')
		return listener.bytes.length > 0
	}, 'what is broadcast')
	assert.equal((await listener.frame()).payload.toString(), 'hello')
	const closed = new Promise((done) => {
		const talker = new WebSocket(`${herold.wsUrl}/broadcast?token=${MUTE}`)

		talker.once('open', () => talker.send('hello'))
		talker.once('close', (status, reason) => done([status, reason.toString()]))
	})

	assert.deepEqual(await closed, [1008, 'too many errors: the token does not allow to publish'])
	listener.destroy()
	speaker.terminate()
	await Promise.all([ada, root, mute, bob, nowhere].map((client) => client.close()))
})

story('a token that expires ends its connections, unless it is renewed', { options: SIGNED }, async (herold) => {
	const soon = () => now() + 4
	const token = jwt({ exp: soon(), rooms: ['lobby'] })
	const clients = {
		chat: await login(herold, token),
		silent: await ChatClient.open(herold, asQuery(token)),
		echo: await ChatClient.open(herold, asQuery(token, '/echo')),
		broadcast: await ChatClient.open(herold, asQuery(token, '/broadcast')),
	}
	const renewed = await login(herold, token)

	assert.ok(renewed.loginOk.expires > Date.now() && renewed.loginOk.expires_in <= 4)
	const exp = now() + 3600
	const answer = await renewed.ask({ type: 'auth', token: jwt({ exp, rooms: ['lobby'] }), ref: 1 })

	assert.deepEqual(answer, { type: 'auth_ok', userId: 'u1', expires: exp * 1000, expires_in: answer.expires_in, ref: 1 })
	assert.ok(answer.expires_in > 3590 && answer.expires_in <= 3600)
	for (const [what, another, detail] of [
		['another user', jwt({ sub: 'u2', rooms: ['lobby'] }), /another user/], ['other rights', jwt({ rooms: ['lobby'], rights: ['system'] }), /another user's, or allows/],
		['other rooms', jwt(), /allows something else/], ['expired', jwt({ exp: 1 }), /has expired/], ['tampered', `${jwt()}A`, /base64url|signature/],
		['nothing', undefined, /token is missing/], ['too long', 'x'.repeat(9000), /longer than 8192 bytes/],
	]) {
		const error = await renewed.ask({ type: 'auth', token: another, ref: what })

		assert.deepEqual([error.type, error.code], ['error', 'bad_token'], what)
		assert.match(error.detail, detail)
	}
	seen('refusal', 'too_long')
	assert.equal((await refusedNow(herold)).too_long, 1)
	for (const [name, client] of Object.entries(clients)) {
		assert.deepEqual(await client.closed, { code: 4401, reason: 'token expired' }, name)
		assert.ok(Date.now() >= Math.floor(clients.chat.loginOk.expires), `${name}: not before its time`)
	}
	assert.equal(await code(renewed, { type: 'chat', message: 'still here' }), undefined)
	const { counters } = await herold.status()

	assert.equal(counters.closed.token_expired, 4)
	await renewed.close()
})

story('a reload: tokens that vanish, that stay, that come; a broken file', { options: STATIC }, async (herold) => {
	const reload = async (content, pattern) => {
		const from = herold.lines.length

		file('tokens.json', content)
		process.kill(herold.pid, 'SIGHUP')
		await waitFor(() => herold.lines.slice(from).find((line) => pattern.test(line)), `a log line like ${pattern}`)
	}
	const [ada, bob] = await Promise.all([login(herold, ADA), login(herold, BOB, { room: 'tea' })])
	const echo = await ChatClient.open(herold, asQuery(BOB, '/echo'))

	await reload('[{"token":"', /refused; the old one stays.*tokens\.json: line 1/)
	await reload([{ token: 'short', user: 'x' }], /refused; the old one stays.*tokens\.json: entry 1: token is not 16 to 512/)
	assert.equal(await code(bob, { type: 'chat', message: 'still here' }), undefined)
	assert.equal((await upgrade(herold, asQuery(BOB))).status, 101)
	// Ada as before, Bob gone, Root with fewer rights, Eve new.
	const root = await login(herold, ROOT)

	await reload([TOKENS[0], { ...TOKENS[2], rights: ['chat'] }, { token: 'token-of-eve-0123456789', user: 'eve' }], /the configuration was read again/)
	for (const client of [bob, echo, root])
		assert.deepEqual(await client.closed, { code: 4401, reason: 'token revoked' })
	assert.equal(await code(ada, { type: 'chat', message: 'still here' }), undefined)
	assert.equal((await upgrade(herold, asQuery(BOB))).status, 401)
	for (const token of [ADA, ROOT, 'token-of-eve-0123456789'])
		assert.equal((await upgrade(herold, asQuery(token))).status, 101)
	// A worker that starts now knows them, too.
	const { workers } = await herold.pids()

	process.kill(workers[0], 'SIGKILL')
	await waitFor(async () => (await herold.pids()).workers.every((pid) => pid !== workers[0]), 'another worker')
	for (let i = 0; i < 8; i++) {
		assert.equal((await waitFor(() => upgrade(herold, asQuery('token-of-eve-0123456789')).catch(() => null), 'an answer')).status, 101)
		assert.equal((await waitFor(() => upgrade(herold, asQuery(BOB)).catch(() => null), 'an answer')).status, 401)
	}
	await ada.close()
	file('tokens.json', TOKENS)
})

story('a reload of keys: what was let in stays until it expires', { options: { auth: 'jwt', jwt_key_set: file('rotating.json', { keys: [jwk(PAIRS.rsa, { kid: '1' })] }) } }, async (herold) => {
	const first = jwt({}, { alg: 'RS256', key: PAIRS.rsa, header: { kid: '1' } })
	const second = jwt({}, { alg: 'RS256', key: PAIRS.rsa2, header: { kid: '2' } })
	const client = await login(herold, first)

	assert.equal((await upgrade(herold, asQuery(second))).status, 401)
	file('rotating.json', { keys: [jwk(PAIRS.rsa2, { kid: '2' })] })
	process.kill(herold.pid, 'SIGHUP')
	await waitFor(async () => (await upgrade(herold, asQuery(second))).status === 101 && (await upgrade(herold, asQuery(first))).status === 401, 'the new key')
	assert.equal(await code(client, { type: 'chat', message: 'still here' }), undefined)
	await client.close()
})

story('no token is ever written down', { options: { ...SIGNED, log_level: 'debug' } }, async (herold) => {
	const marks = { good: jwt({ jti: 'markgood' }), bad: `${jwt({ sub: 'u2', jti: 'markbad' })}A`, renewal: jwt({ jti: 'markrenewal' }) }
	const answers = []

	for (const token of [marks.good, marks.bad]) {
		for (const way of WAYS) {
			const answer = await upgrade(herold, way(token))

			answers.push(JSON.stringify(answer))
			answers.push(await (await fetch(`${herold.url}/ws?token=${token}`)).text(), await (await fetch(`${herold.url}/nothing?token=${token}`)).text())
		}
	}
	answers.push((await upgrade(herold, { path: `/ws?token=${marks.good}&token=${marks.bad}` })).body)
	const client = await login(herold, marks.good)

	await client.ask({ type: 'auth', token: marks.renewal, ref: 1 })
	await client.ask({ type: 'auth', token: marks.bad, ref: 2 })
	answers.push(JSON.stringify(client.received), JSON.stringify(await herold.status()))
	await client.close()
	await herold.waitLog(/reason=client_close/)
	await herold.stop()
	for (const text of [...answers, ...herold.lines]) {
		for (const [name, token] of Object.entries(marks)) {
			for (const part of token.split('.').slice(1))
				assert.ok(!text.includes(part.slice(0, 24)), `the ${name} token in: ${text}`)
		}
		assert.ok(!text.includes(SECRET), text)
	}
})

test('what cannot be used is said before anything starts', async () => {
	const check = (...options) => run(['--check', ...options.flatMap((option) => ['-o', option])])
	const rejected = [
		[['auth=token'], /auth: "token" is not allowed without a token_file/],
		[['auth=token', 'token_file=/nowhere/tokens'], /\/nowhere\/tokens: No such file/],
		[['auth=token', `token_file=${file('bad.json', '[{"token":"0123456789abcdef"}]')}`], /bad\.json: entry 1: the user id/],
		[['auth=jwt'], /auth: "jwt" is not allowed without a jwt_key or jwt_key_set/],
		[['auth=jwt', `jwt_key=${file('weak', 'short')}`, 'jwt_algorithm=HS256'], /weak: HS256: the secret is shorter than its digest/],
		[['auth=jwt', `jwt_key=${file('weak', 'short')}`], /jwt_algorithm: 0 are not allowed, but as many as jwt_key has files \(1\)/],
		[['auth=jwt', `jwt_key=${file('pub.pem', publicPem(PAIRS.rsa))}`, 'jwt_algorithm=HS256'], /pub\.pem: HS256: this is a PEM file, and no secret/],
		[['auth=jwt', `jwt_key=${file('pub.pem', publicPem(PAIRS.rsa))}`, 'jwt_algorithm=none'], /there is no algorithm "none"/],
		[['auth=jwt', `jwt_key=${file('private.pem', PAIRS.p256.privateKey.export({ type: 'pkcs8', format: 'pem' }))}`, 'jwt_algorithm=ES256'], /this is a private key/],
		[['auth=jwt', `jwt_key_set=${file('none.json', '{"keys":[]}')}`], /none\.json: no key is for signatures/],
		[['auth=token', `token_file=${file('good.json', TOKENS)}`, 'auth_rights=root'], /auth_rights: "root" is not allowed/],
	]

	for (const [options, pattern] of rejected) {
		const { code: status, err } = await check(...options)

		assert.equal(status, 78, `${options}: ${err}`)
		assert.match(err, pattern)
	}
	assert.equal((await check(...Object.entries(KEYS).map(([name, value]) => `${name}=${value}`))).code, 0)
	const { out } = await check(...Object.entries(STATIC).map(([name, value]) => `${name}=${value}`))

	assert.ok(!TOKENS.some(({ token }) => out.includes(token)))
})

story('the client module: a token of a function, renewed before it expires', { options: SIGNED }, async (herold) => {
	const { connect } = await clientModule()
	let asked = 0
	const client = connect(`${herold.wsUrl}/ws`, { WebSocket, minDelayMs: 10, maxDelayMs: 100, token: async () => jwt({ sub: 'u9', name: 'Nine', exp: now() + (asked++ === 0 ? 3 : 3600) }) })
	const events = record(client)

	try {
		await waitFor(() => client.state === 'online', 'online')
		assert.equal(client.userId, 'u9')
		await waitFor(() => asked === 2, 'the call for another token')
		const ref = client.send('hello')

		await waitFor(() => events.some((e) => e.event === 'outbox' && e.ref === ref && e.status === 'sent'), 'the ack')
		await waitFor(() => Date.now() > events.find((e) => e.event === 'login').expires + 500, 'the end of the first token')
		assert.equal(client.state, 'online')
		assert.equal(events.filter((e) => e.event === 'login').length, 1)
	} finally {
		client.close()
	}
})

story('the client module: refused tokens', { options: SIGNED }, async (herold) => {
	const { connect } = await clientModule()
	const options = { WebSocket, minDelayMs: 10, maxDelayMs: 50 }
	const fixed = connect(`${herold.wsUrl}/ws`, { ...options, token: jwt({ exp: 1 }) })
	const missing = connect(`${herold.wsUrl}/ws`, { ...options, userId: 'u1' })
	const broken = connect(`${herold.wsUrl}/ws`, { ...options, token: 'no token, "' })
	const asking = connect(`${herold.wsUrl}/ws`, { ...options, token: (() => {
		const tokens = [() => { throw new Error('no backend') }, () => jwt({ exp: 1 }), () => jwt()]

		return () => (tokens.length > 1 ? tokens.shift() : tokens[0])()
	})() })
	const events = new Map([fixed, missing, broken, asking].map((client) => [client, record(client)]))
	const denied = (client) => waitFor(() => events.get(client).find((e) => e.event === 'denied'), 'the denial')

	try {
		assert.equal((await denied(fixed)).message, REFUSALS.expired.sentence)
		assert.equal((await denied(missing)).message, REFUSALS.no_token.sentence)
		assert.equal((await denied(broken)).code, 'bad_token')
		for (const client of [fixed, missing, broken])
			assert.equal(client.state, 'closed')
		await waitFor(() => asking.state === 'online', 'the one that asks again')
		assert.ok(events.get(asking).some((e) => e.event === 'state' && /no backend/.test(e.reason)))
	} finally {
		asking.close()
	}
})

story('a real browser: the page asks for no name when its address has a token, and says why it was refused', { options: SIGNED, timeout: 120000 }, async (herold) => {
	const browser = await Browser.start()

	try {
		const page = await browser.open(`${herold.url}/?token=${jwt({ name: 'Ada from a token' })}#tea`)

		await page.locator('#connection[data-state=online]').waitFor()
		assert.equal(await page.locator('#my-name').textContent(), 'Ada from a token')
		assert.ok(!page.url().includes('token='), page.url())
		await page.getByLabel('Your message').fill('hello from a browser')
		await page.keyboard.press('Enter')
		await page.locator('.log:not([hidden])').getByText('hello from a browser', { exact: true }).waitFor()
		await page.reload()
		await page.locator('#connection[data-state=online]').waitFor()
		const late = await browser.open(`${herold.url}/?token=${jwt({ exp: 1 })}`)

		await late.locator('#welcome-error').getByText('The token has expired.', { exact: true }).waitFor()
		const without = await browser.open(`${herold.url}/`)

		await without.getByLabel('Your name').fill('Nobody')
		await without.getByRole('button', { name: 'Join the chat' }).click()
		await without.locator('#welcome-error').getByText('A token is needed').waitFor()
		// The same by hand: a WebSocket of the browser with subprotocols.
		const protocol = await without.evaluate(({ url, token }) => new Promise((done) => {
			const socket = new globalThis.WebSocket(url, ['herold', `token.${token}`])

			socket.onopen = () => done(socket.protocol)
			socket.onerror = () => done('refused')
		}), { url: `${herold.wsUrl}/ws`, token: jwt() })

		assert.equal(protocol, 'herold')
	} finally {
		await browser.close()
	}
})
