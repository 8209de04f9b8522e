// Everything wrong that a chat client can say has its answer, and costs nobody else anything.
import assert from 'node:assert/strict'

import { ChatClient } from './support/client.mjs'
import { story, waitFor } from './support/herold.mjs'

const nested = (depth) => '['.repeat(depth) + ']'.repeat(depth)
const chat = (message) => ({ type: 'chat', message })
const login = (more) => ({ type: 'login', userId: 'x', name: 'X', ...more })

/** What is sent, and the code of the answer. */
const BEFORE_LOGIN = [
	['', 'bad_json'],
	['hello', 'bad_json'],
	['{', 'bad_json'],
	['{"type":"login"', 'bad_json'],
	["{'type':'login'}", 'bad_json'],
	['{"type":"login",}', 'bad_json'],
	['{"type":"login"} {}', 'bad_json'],
	['{"type":"login","type":"login"}', 'bad_json'],
	['{"type":"chat","message":"a\\u0000b"}', 'bad_json'],
	['{"type":"chat","message":"\\ud800"}', 'bad_json'],
	['{"type":"chat","message":"a\nb"}', 'bad_json'],
	['{"type":"chat","x":1e999}', 'bad_json'],
	[`{"type":"chat","x":${nested(64)}}`, 'bad_json'],
	[nested(7000), 'bad_json'],
	['[]', 'not_object'],
	['"login"', 'not_object'],
	['17', 'not_object'],
	['null', 'not_object'],
	['{}', 'bad_type'],
	[{ type: null }, 'bad_type'],
	[{ type: 1 }, 'bad_type'],
	[{ type: 'Login' }, 'bad_type'],
	[{ type: '' }, 'bad_type'],
	[{ type: 'connection' }, 'bad_type'],
	[{ type: 'chat', message: 'x', ref: 'r'.repeat(255) }, 'bad_ref'],
	...['chat', 'system', 'join', 'leave', 'users', 'history', 'subscribe', 'unsubscribe', 'publish'].map((type) => [{ type }, 'not_logged_in']),
	[login({ userId: undefined }), 'bad_user'],
	[login({ userId: 1 }), 'bad_user'],
	[login({ userId: '' }), 'bad_user'],
	[login({ userId: ' \u00a0' }), 'bad_user'],
	[login({ userId: 'u\u0007' }), 'bad_user'],
	[login({ userId: 'u\u202e' }), 'bad_user'],
	[login({ userId: 'u'.repeat(129) }), 'bad_user'],
	[login({ name: undefined }), 'bad_name'],
	[login({ name: ['X'] }), 'bad_name'],
	[login({ name: '\u200b' }), 'bad_name'],
	[login({ name: 'a\nb' }), 'bad_name'],
	[login({ name: 'a\u2029b' }), 'bad_name'],
	[login({ name: 'ä'.repeat(65) }), 'bad_name'],
	[login({ room: '' }), 'bad_room'],
	[login({ room: 'a b' }), 'bad_room'],
	[login({ room: 'Küche' }), 'bad_room'],
	[login({ room: 5 }), 'bad_room'],
	[login({ room: 'r'.repeat(65) }), 'bad_room'],
	[login({ resume: '' }), 'bad_resume'],
	[login({ resume: 5 }), 'bad_resume'],
	[login({ resume: 'abcdefghijklmnopqrst+/' }), 'bad_resume'],
	[login({ since: 5 }), 'bad_since'],
	[login({ since: {} }), 'bad_since'],
	[login({ since: { epoch: 'e' } }), 'bad_since'],
	[login({ since: { epoch: 'e', offset: -1 } }), 'bad_since'],
	[login({ since: { epoch: 'e', offset: 0.5 } }), 'bad_since'],
	[login({ since: { epoch: 'e'.repeat(32), offset: 1 } }), 'bad_since'],
]
const AFTER_LOGIN = [
	[login(), 'already_logged_in'],
	[{ type: 'chat' }, 'bad_message'],
	[chat(5), 'bad_message'],
	[chat(''), 'bad_message'],
	[chat(' \n\t'), 'bad_message'],
	[chat('a\u0008'), 'bad_message'],
	[chat('a\u0085'), 'bad_message'],
	[chat('a'.repeat(4097)), 'bad_message'],
	[{ ...chat('x'), room: '' }, 'bad_room'],
	[{ ...chat('x'), room: {} }, 'bad_room'],
	[{ ...chat('x'), room: 'elsewhere' }, 'not_in_room'],
	[{ type: 'join' }, 'bad_room'],
	[{ type: 'join', room: '$all' }, 'bad_room'],
	[{ type: 'join', room: 'lobby' }, 'already_in_room'],
	[{ type: 'join', room: 'tea', since: [] }, 'bad_since'],
	[{ type: 'leave' }, 'bad_room'],
	[{ type: 'leave', room: 'elsewhere' }, 'not_in_room'],
	[{ type: 'users', room: 'elsewhere' }, 'not_in_room'],
	[{ type: 'users', room: 'lobby', after: 5 }, 'bad_after'],
	[{ type: 'users', room: 'lobby', after: '' }, 'bad_after'],
	[{ type: 'users', room: 'lobby', after: 'u1' }, 'bad_after'],
	[{ type: 'users', room: 'lobby', after: '7.\n' }, 'bad_after'],
	[{ type: 'users', room: 'lobby', limit: 0 }, 'bad_limit'],
	[{ type: 'history', room: 'elsewhere' }, 'not_in_room'],
	[{ type: 'history', room: 'lobby', limit: 1001 }, 'bad_limit'],
	[{ type: 'history', room: 'lobby', limit: '5' }, 'bad_limit'],
	[{ type: 'history', room: 'lobby', before: 0 }, 'bad_since'],
	[{ type: 'history', room: 'lobby', before: 5, since: { epoch: 'e', offset: 1 } }, 'bad_since'],
	[{ type: 'history', channel: 'scores' }, 'not_subscribed'],
	[{ type: 'subscribe' }, 'bad_channel'],
	[{ type: 'subscribe', channel: '' }, 'bad_channel'],
	[{ type: 'subscribe', channel: '$all' }, 'bad_channel'],
	[{ type: 'subscribe', channel: 'room:lobby' }, 'bad_channel'],
	[{ type: 'subscribe', channel: 'a b' }, 'bad_channel'],
	[{ type: 'subscribe', channel: 'c'.repeat(129) }, 'bad_channel'],
	[{ type: 'unsubscribe', channel: 'scores' }, 'not_subscribed'],
	[{ type: 'publish', data: 1 }, 'bad_channel'],
	[{ type: 'publish', channel: 'room:lobby', data: 1 }, 'bad_channel'],
	[{ type: 'publish', channel: '$users', data: 1 }, 'bad_channel'],
	[{ type: 'publish', channel: 'scores' }, 'bad_data'],
	[{ type: 'system', message: 'x' }, 'not_allowed'],
]

/** Sends each, and sees its answer: the code, a sentence, the ref if there was one that could be read. */
async function try_all(client, rows) {
	for (const [message, code] of rows) {
		const has_ref = typeof message === 'object' && code !== 'bad_ref'

		client.send(has_ref ? { ...message, ref: { n: 1 } } : message)
		const answer = await client.next((m) => !['user_joined', 'system', 'connection'].includes(m.type))
		const what = JSON.stringify(message)

		assert.equal(answer.code, code, `${what} got ${JSON.stringify(answer)}`)
		assert.equal(answer.type, 'error', what)
		assert.match(answer.message, /^[a-zA-Z].{4,}$/, what)
		assert.deepEqual(answer.ref, has_ref ? { n: 1 } : undefined, what)
	}
}

story('bad messages', { options: { client_errors: 1000 } }, async (herold) => {
	const witness = await ChatClient.login(herold, { userId: 'w' })
	const client = await ChatClient.open(herold)

	await try_all(client, BEFORE_LOGIN)
	await client.login({ userId: 'x', name: 'X' })
	await client.next('user_joined')
	await try_all(client, AFTER_LOGIN)
	// Nothing of it was taken, and the connection is as good as ever.
	await client.ask({ ...chat('still here'), ref: 1 }, 'ack')
	assert.equal((await witness.next('chat')).message, 'still here')
	assert.deepEqual(witness.received.map((m) => m.type).filter((type) => type === 'error'), [])
})

story('the edges of what is accepted', {}, async (herold) => {
	const client = await ChatClient.login(herold, { userId: 'u'.repeat(128), name: '😀'.repeat(64), room: 'A-z_0.9:'.repeat(8) })

	await client.ask({ ...chat('ä'.repeat(4096)), ref: 'r'.repeat(254) }, 'ack')
	await client.ask({ type: 'publish', channel: 'c'.repeat(128), data: JSON.parse(nested(63)), ref: 0 }, 'ack')
	assert.equal((await client.ask({ type: 'history', limit: 1000, before: 9007199254740991 }, 'history')).messages.length, 1)
})

story('too many errors in a row', { options: { client_errors: 5 } }, async (herold) => {
	const client = await ChatClient.login(herold, { userId: 'u1' })

	for (let round = 0; round < 3; round++) {
		for (let i = 0; i < 4; i++)
			await client.ask('x', 'error')
		await client.ask({ ...chat('a correct one'), ref: round }, 'ack')
	}
	for (let i = 0; i < 5; i++)
		client.send('x')
	assert.deepEqual(await client.closed, { code: 1008, reason: 'too many errors' })
	assert.equal(client.received.filter((m) => m.code === 'bad_json').length, 17)
	// Trying userIds is an error each, too.
	const thief = await ChatClient.open(herold)

	for (let i = 0; i < 5; i++)
		await thief.ask(login({ userId: 'u1' }), 'error')
	assert.equal((await thief.closed).code, 1008)
})

story('messages of another kind, and too large ones', {}, async (herold) => {
	const binary = await ChatClient.open(herold)

	binary.send(Buffer.from('{"type":"login","userId":"u","name":"n"}'))
	assert.equal((await binary.closed).code, 1003)
	const large = await ChatClient.login(herold, { userId: 'u2' })

	large.send({ type: 'publish', channel: 'c', data: 'x'.repeat(16384), ref: 1 })
	assert.equal((await large.closed).code, 1009)
})

story('without its broker the chat says what it cannot do', { options: { broker_timeout_ms: 500 } }, async (herold) => {
	const client = await ChatClient.login(herold, { userId: 'u1' })
	const { broker } = await herold.pids()

	process.kill(broker, 'SIGSTOP')
	// More than may be without an answer.
	for (let i = 0; i < 1100; i++)
		client.send({ ...chat(`m${i}`), ref: i })
	await client.next((m) => m.code === 'busy')
	assert.equal((await client.next((m) => m.code === 'uncertain')).ref, 0)
	await waitFor(() => client.received.filter((m) => m.ref !== undefined).length === 1100, 'an answer to each')
	process.kill(broker, 'SIGKILL')
	let code

	for (let i = 0; code !== 'unavailable'; i++) {
		const answer = await client.ask({ ...chat('anybody?'), ref: `u${i}` })

		code = answer.code
		if (answer.type === 'ack')
			process.kill((await herold.pids()).broker, 'SIGKILL')
	}
	await client.next('reset')
	let answer

	do
		answer = await client.ask({ ...chat('again'), ref: 'again' })
	while (answer.type !== 'ack')
	assert.equal(client.texts().filter((text) => text === 'again').length <= 1, true)
	assert.equal(client.received.some((m) => m.type === 'ack' && m.ref === 'again'), true)
})
