// What one client can do to make it expensive for the others.
import assert from 'node:assert/strict'

import { ChatClient } from './support/client.mjs'
import { sleep, story, waitFor } from './support/herold.mjs'

/** A channel with a history of about 1 MB; its epoch. */
async function fillChannel(client, channel) {
	let ack

	for (let i = 0; i < 90; i++)
		ack = await client.ask({ type: 'publish', channel, data: 'x'.repeat(11000), ref: `fill ${i}` })
	return ack.epoch
}

/** Says something and waits for its ack, `times` times. */
async function chatOn(client, times) {
	for (let i = 0; i < times; i++) {
		const answer = await client.ask({ type: 'chat', message: 'still here', ref: `on ${i}` })

		assert.equal(answer.type, 'ack', JSON.stringify(answer))
	}
}

story('whoever asks for much history waits alone', { options: { workers: 1, broker_timeout_ms: 2000 } }, async (herold) => {
	const bystander = await ChatClient.login(herold, { userId: 'bystander', room: 'quiet' })
	const epoch = await fillChannel(bystander, 'big')
	const greedy = await Promise.all(['a', 'b'].map((userId) => ChatClient.login(herold, { userId })))

	// 4 GB of answers, were they all given; leaving at once does not make asking free.
	for (let i = 0; i < 2000; i++) {
		for (const client of greedy) {
			client.send({ type: 'subscribe', channel: 'big', since: { epoch, offset: 0 } })
			client.send({ type: 'unsubscribe', channel: 'big' })
		}
	}
	await chatOn(bystander, 20)
	// Nor does closing.
	for (let round = 0; round < 5; round++) {
		const client = await ChatClient.login(herold, { userId: `c${round}` })

		client.send({ type: 'subscribe', channel: 'big' })
		for (let i = 0; i < 1000; i++)
			client.send({ type: 'history', channel: 'big', limit: 1000 })
		await client.next('history')
		client.terminate()
		await chatOn(bystander, 5)
	}
})

story('whoever comes while a worker starts waits until it is linked to the broker', { options: { workers: 1 } }, async (herold) => {
	const { workers, broker } = await herold.pids()

	process.kill(broker, 'SIGSTOP')
	process.kill(workers[0], 'SIGKILL')
	await waitFor(() => !herold.processes().includes(workers[0]) && herold.processes().length === 4, 'a new worker')
	const login = ChatClient.open(herold).then((c) => c.ask({ type: 'login', userId: 'u', name: 'u' }, (m) => m.type !== 'connection'))

	// Long enough for an answer, if it did not wait.
	await Promise.race([login, sleep(300)])
	process.kill(broker, 'SIGCONT')
	assert.equal((await login).type, 'login_ok')
})
