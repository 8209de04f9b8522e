// Nothing is left of what the limits refuse: neither memory nor descriptors, and nobody is counted who is not there
import assert from 'node:assert/strict'

import { story, waitFor } from './support/herold.mjs'
import { OP, RawSocket, closePayload, frame, handshake } from './support/raw.mjs'
import { EXEMPT, RESIDUE, TIMES, assertNoResidue } from './support/residue.mjs'
import { file } from './support/tokens.mjs'

const TOKEN = 'the-token-of-anna'
const TOKENS = { auth: 'token', token_file: file('residue.json', [{ token: TOKEN, user: 'anna' }]) }
const AS_ANNA = { Authorization: `Bearer ${TOKEN}` }
const OTHERS = { address_connects_per_second: 0, messages_per_minute: 0, limit_exempt: EXEMPT }
const PLAIN = 'GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n'
const BYE = frame(OP.CLOSE, closePayload(1000))
const text = (message) => frame(OP.TEXT, typeof message === 'string' ? message : JSON.stringify(message))
/** An upgrade, messages, and a close frame behind them, for whoever is still heard. */
const saying = (path, messages, headers) => [handshake({ path, headers }), Buffer.concat([...messages.map(text), BYE])]
const chatter = [{ type: 'login', userId: 'u1', name: 'Ada' }, { type: 'chat', message: 'one' }, { type: 'chat', message: 'two' }, { type: 'chat', message: 'three' }]

/** What is refused, options, the counter that says so, the bytes; held: connections that are there before; banned: who is banned before. */
const ROWS = [
	['new connections of an address', { address_connects_per_second: 1 }, 'limited_connects', PLAIN],
	['connections of an address', { address_connections: 2 }, 'limited_address_connections', PLAIN, { held: 2 }],
	['connections of a worker', { worker_connections: 2 }, 'limited_connections', PLAIN, { held: 2 }],
	['connections of the host', { max_connections: 2 }, 'limited_connections', PLAIN, { held: 2 }],
	['WebSockets of all', { handshakes_per_second: 1 }, 'limited_handshakes', saying('/echo', [])],
	['connections of a user', { user_connections: 2, ...TOKENS }, 'limited_user_connections', handshake({ headers: AS_ANNA }), { held: 2, headers: AS_ANNA }],
	['banned users', TOKENS, 'banned_refused', handshake({ headers: AS_ANNA }), { banned: 'anna' }],
	['logins of banned users', { joins_per_minute: 0, leave_grace_seconds: 0 }, 'closed.banned', saying('/ws', chatter.slice(0, 1)), { banned: 'u1' }],
	['messages on /echo', { messages_per_minute: 1 }, 'limited_messages_closed', saying('/echo', ['a', 'b', 'c'])],
	['messages on /broadcast', { messages_per_minute: 1 }, 'limited_messages_closed', saying('/broadcast', ['a', 'b', 'c'])],
	['messages of the chat', { messages_per_minute: 1 }, 'limited_messages_closed', saying('/ws', chatter)],
	// The address's are enough for all the requests; the user's are not for so many pings, which count 1 KiB each.
	['bytes', { bytes_per_second: 1, max_message_bytes: 4 << 20, ...TOKENS }, 'limited_bytes_closed',
		[handshake({ path: '/echo', headers: AS_ANNA }), Buffer.concat([...Array(4200).fill(frame(OP.PING)), BYE])]],
	['requests', { bytes_per_second: 1, max_message_bytes: 1024, chat_message_bytes: 1024 }, 'limited_requests', PLAIN],
	['logins', { joins_per_minute: 1, client_channels: 4 }, 'limited_joins_closed', saying('/ws', chatter.slice(0, 1))],
]

/** A worker that has just begun to read what is ordered obeys a moment later. */
async function untilBanned(herold, counter, bytes) {
	const counted = async () => counter.split('.').reduce((counters, name) => counters[name], (await herold.status()).counters)

	await waitFor(async () => {
		const raw = await RawSocket.open(herold.address)
		const [first, rest] = [bytes].flat()

		raw.write(first)
		if (rest !== undefined)
			raw.write(rest)
		await waitFor(() => raw.ended, 'its end')
		raw.destroy()
		return await counted() > 0
	}, 'the ban is in force')
	await waitFor(async () => (await herold.status()).counters.users === 0, 'who was let in before has left')
}

for (const [what, options, counter, bytes, { held = 0, headers, banned } = {}] of ROWS) {
	story(`nothing is left of refused ${what}`, { options: { ...OTHERS, ...options, ...RESIDUE } }, async (herold, t) => {
		const all = []

		while (all.length < held)
			all.push(await RawSocket.upgraded(herold.address, { path: '/echo', headers }))
		if (banned !== undefined) {
			await herold.api('ban', { user: banned, seconds: 3600 })
			await untilBanned(herold, counter, bytes)
		}
		const count = await assertNoResidue(herold, [[what, bytes]], { held })
		const refused = counter.split('.').reduce((counters, name) => counters[name], (await herold.status()).counters)

		// A rate lets one or the other pass.
		assert.ok(refused >= TIMES * 0.9, `${refused} of them were refused`)
		t.diagnostic(`refusals of ${what} that left nothing: ${count}`)
		for (const raw of all)
			raw.destroy()
	})
}
