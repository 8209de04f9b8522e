// What happens when processes die or stand still under load: 200 clients chat, and the books must balance.
import assert from 'node:assert/strict'

import { sleep, story, waitFor } from './support/herold.mjs'
import { amidChat, isSanitized } from './support/load.mjs'

const OPTIONS = { workers: 3, room_history: 2000, client_channels: 20 }

/** A story in which fault(herold, crowd, t) happens amid the chat of a crowd. */
function underLoad(name, settings, fault) {
	story(name, { timeout: 120000, options: { ...OPTIONS, ...settings.options } }, (herold, t) => amidChat(t, [`${herold.wsUrl}/ws`],
		{ ...settings, crowd: { clients: 200, ...settings.crowd } }, (crowd) => fault(herold, crowd, t)))
}

/** The milliseconds until the first acknowledgement of a message after now. */
async function untilChatWorks(crowd) {
	const from = Date.now()
	const before = crowd.published

	const first = await waitFor(() => crowd.settled.acknowledged.find((m) => Number(m.text.slice(1)) >= before && m.at >= from),
		'chat works again', 20000)

	return first.at - from
}

underLoad('kill -9 of a worker', {}, async (herold, crowd, t) => {
	const before = await herold.status()
	const victim = before.workers[0]

	assert.ok(victim.websockets > 0, 'the worker has clients')
	process.kill(victim.pid, 'SIGKILL')
	await waitFor(() => crowd.reconnected >= victim.websockets, 'its clients are back')
	await waitFor(() => crowd.inside === crowd.members.length, 'everybody is in again')
	const after = await waitFor(async () => {
		const status = await herold.status()

		return status.ready && status
	}, 'ready again')

	t.diagnostic(`cut off: ${victim.websockets}, back: ${crowd.reconnected}`)
	assert.equal(crowd.reconnected, victim.websockets, 'nobody else was cut off')
	assert.equal(after.restarts.worker, 1)
	assert.ok(crowd.sum('recovered') >= victim.websockets, 'those who were cut off recovered')
	assert.equal(crowd.sum('notRecovered'), 0)
	assert.equal(crowd.sum('resets'), 0)
	assert.ok(after.counters.recoveries > 0)
})

underLoad('kill -9 of the broker', {}, async (herold, crowd, t) => {
	const { broker } = await herold.status()

	process.kill(broker.pid, 'SIGKILL')
	const ms = await untilChatWorks(crowd)

	t.diagnostic(`chat works again after ${ms} ms`)
	if (!isSanitized)
		assert.ok(ms < 2000, `within 2 s, not ${ms} ms`)
	await waitFor(() => crowd.members.every((m) => m.resets >= 1), 'everybody is told of the new epoch')
	const after = await herold.status()

	assert.equal(crowd.reconnected, 0, 'nobody was cut off')
	assert.equal(after.restarts.broker, 1)
	assert.ok(after.counters.link_losses >= 3, 'every worker lost its link')
})

// Stopped for a moment first, so that publications are in its socket, unread and unanswered, when it dies: these are uncertain.
underLoad('kill -9 of a broker with questions unanswered', {}, async (herold, crowd, t) => {
	const { broker } = await herold.status()

	process.kill(broker.pid, 'SIGSTOP')
	await sleep(300)
	process.kill(broker.pid, 'SIGKILL')
	await untilChatWorks(crowd)
	await waitFor(() => crowd.members.every((m) => m.resets >= 1), 'everybody is told of the new epoch')
	await waitFor(() => crowd.uncertainAsked > 0 && crowd.settled.uncertain.length > 0, 'some were uncertain', 1000)
	t.diagnostic(`uncertain: ${crowd.uncertainAsked + crowd.settled.uncertain.length}`)
	assert.equal(crowd.reconnected, 0, 'nobody was cut off')
	assert.ok((await herold.status()).counters.publications_uncertain > 0)
})

underLoad('kill -9 of the admin process', {}, async (herold, crowd) => {
	const { admin } = await herold.status()

	await herold.api('publish', { channel: 'scores', data: 1 })
	process.kill(admin.pid, 'SIGKILL')
	const after = await waitFor(async () => {
		const status = await herold.status()

		return status.ready && status
	}, 'the admin process answers again')

	assert.notEqual(after.admin.pid, admin.pid)
	assert.equal(after.restarts.admin, 1)
	assert.equal((await herold.api('publish', { channel: 'scores', data: 2 })).offset, 2, 'the broker kept the channel')
	assert.equal(crowd.reconnected, 0, 'nobody was cut off')
	assert.equal(crowd.sum('resets'), 0)
})

const SMALL_QUEUE = {
	// Who publishes on the stopped worker is refused.
	acknowledged: 0.6,
	options: { link_queue_bytes: '6m', history_bytes: '1m', max_message_bytes: '64k', room_history: 2000 },
	crowd: { paddingBytes: 4000 },
}

// The stopped worker's link fills up past its bound, is reset, and re-synchronises from history afterwards.
underLoad('SIGSTOP of a worker for 10 s', SMALL_QUEUE,
	async (herold, crowd, t) => {
		const before = await herold.status()
		// The one with the fewest publishers: the kernel spreads them as it likes, and the others have to fill its queue.
		const [victim, others] = before.workers.sort((a, b) => a.messages_received - b.messages_received)

		assert.ok(victim.websockets > 0 && others.websockets > 0)
		process.kill(victim.pid, 'SIGSTOP')
		try {
			const acknowledged = crowd.settled.acknowledged.length

			await sleep(10000)
			assert.ok(crowd.settled.acknowledged.length > acknowledged, 'the others chat on')
			// On a slow machine its queue takes longer to fill.
			await waitFor(async () => (await herold.status()).counters.link_resets > 0, 'its link is reset', 30000)
		} finally {
			process.kill(victim.pid, 'SIGCONT')
		}
		const after = await waitFor(async () => {
			const status = await herold.status()

			return status.counters.link_gaps_filled > 0 && status
		}, 'gaps are filled', 20000)

		t.diagnostic(`link resets: ${after.counters.link_resets}, gaps filled: ${after.counters.link_gaps_filled}`)
		assert.ok(after.counters.link_resets >= 1)
		assert.equal(after.counters.link_gaps_lost, 0)
		assert.equal(crowd.sum('resets'), 0)
	})
