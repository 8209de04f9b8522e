// Several workers look like one server: whatever two clients do, it does not matter which of them each is on.
import assert from 'node:assert/strict'

import { ChatClient } from './support/client.mjs'
import { logFields, story, waitFor } from './support/herold.mjs'

/** The pid of the worker that has this client: from the line of the frame that greeted it. */
async function workerOf(herold, client) {
	const { id } = await waitFor(() => client.received.find((m) => m.type === 'connection'), 'the greeting')

	return Number(logFields(await waitFor(() => herold.lines.find((line) => line.includes(id)), `a line about ${id}`)).pid)
}

/** Logged in on this worker (or on any but that one): connects until the kernel has chosen it. */
async function loginOn(herold, accepts, login) {
	for (let attempt = 0; attempt < 200; attempt++) {
		const client = await ChatClient.open(herold)

		if (accepts(await workerOf(herold, client))) {
			client.loginOk = await client.login(login)
			return client
		}
		await client.close()
	}
	throw new Error('the kernel never chose that worker')
}

const say = (client, message) => client.ask({ type: 'chat', message, ref: `${client.loginOk.userId} ${message}` })
const events = (client, userId) => client.received.filter((m) => m.userId === userId && m.type.startsWith('user_')).map((m) => m.type)
const position = ({ epoch, offset }) => ({ epoch, offset })

story('two users on two workers', { options: { log_level: 'debug', system_users: 'anna', leave_grace_seconds: 1 } }, async (herold, t) => {
	const { workers: [left, right] } = await herold.pids()
	const anna = await loginOn(herold, (pid) => pid === left, { userId: 'anna', name: 'Anna' })
	const ben = await loginOn(herold, (pid) => pid === right, { userId: 'ben', name: 'Ben' })

	await t.test('both are in the room, and chat both ways in one order', async () => {
		assert.deepEqual(ben.loginOk.users.map((u) => u.name), ['Anna', 'Ben'])
		await anna.next((m) => m.type === 'user_joined' && m.userId === 'ben')
		for (let i = 0; i < 50; i++)
			await Promise.all([say(anna, `a${i}`), say(ben, `b${i}`)])
		await waitFor(() => anna.texts().length === 100 && ben.texts().length === 100, 'all messages')
		assert.deepEqual(anna.received.filter((m) => m.type === 'chat'), ben.received.filter((m) => m.type === 'chat'))
	})
	await t.test('what one subscribes to, the other publishes', async () => {
		await anna.ask({ type: 'subscribe', channel: 'scores' }, 'subscribe_ok')
		const ack = await ben.ask({ type: 'publish', channel: 'scores', data: [1], ref: 's' })

		assert.deepEqual(position(await anna.next('publication')), position(ack))
		anna.send({ type: 'system', message: 'to everybody' })
		for (const client of [anna, ben])
			await client.next((m) => m.type === 'system' && m.message === 'to everybody')
	})
	await t.test('a userId and a ref mean the same on both', async () => {
		const thief = await loginOn(herold, (pid) => pid === left, { userId: 'thief' })

		assert.equal((await (await ChatClient.open(herold)).ask({ type: 'login', userId: 'ben', name: 'Ben', ref: 1 })).code, 'user_taken')
		const second = await loginOn(herold, (pid) => pid === left, { userId: 'ben', name: 'Ben', resume: ben.loginOk.resume })

		assert.equal(second.loginOk.count, 3)
		const first = await say(ben, 'once')

		assert.deepEqual(await say(second, 'once'), first)
		await ben.close()
		await say(thief, 'still there?')
		await anna.next((m) => m.message === 'still there?')
		assert.equal(anna.texts().filter((text) => text === 'once').length, 1)
		assert.deepEqual(events(anna, 'ben'), ['user_joined'], 'one of two connections is no departure')
		await second.close()
		await anna.next((m) => m.type === 'user_left' && m.userId === 'ben')
		assert.deepEqual(events(anna, 'ben'), ['user_joined', 'user_left'])
	})
})

story('back on another worker', { options: { log_level: 'debug', workers: 3, leave_grace_seconds: 30 } }, async (herold) => {
	const anna = await loginOn(herold, () => true, { userId: 'anna', name: 'Anna' })
	let ben = await loginOn(herold, () => true, { userId: 'ben', name: 'Ben' })
	const all = []
	let count = 0

	const talk = async (messages) => {
		for (let i = 0; i < messages; i++)
			await say(anna, `m${count++}`)
	}
	/** All that he got in this connection, when he is up to date. */
	const got = () => [...ben.loginOk.messages, ...ben.received.filter((m) => m.type === 'chat')]
	const upToDate = () => waitFor(() => got().at(-1)?.offset === count && got(), 'he is up to date')

	for (let round = 0; round < 3; round++) {
		const last = await workerOf(herold, ben)

		await talk(5)
		all.push(...await upToDate())
		ben.terminate()
		await talk(5)
		// Somebody keeps talking while he comes in.
		const talking = talk(30)

		ben = await loginOn(herold, (pid) => pid !== last,
			{ userId: 'ben', name: 'Ben', resume: ben.loginOk.resume, since: position(all.at(-1)) })
		assert.equal(ben.loginOk.recovered, true)
		assert.ok(ben.loginOk.messages.length >= 5)
		await talking
	}
	all.push(...await upToDate())
	await waitFor(() => anna.texts().length === count, 'she is, too')
	assert.deepEqual(all, anna.received.filter((m) => m.type === 'chat'), 'everything, once, in order')
	assert.deepEqual(events(anna, 'ben'), ['user_joined'], 'and nobody heard that he was gone')
	assert.equal((await herold.status()).counters.recoveries, 3)
})
