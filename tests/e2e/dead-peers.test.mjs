// Peers that say nothing, take nothing or take too little, and a broker that stands still: ended in bounded time, with a reason
import assert from 'node:assert/strict'

import { ChatClient } from './support/client.mjs'
import { story, waitFor } from './support/herold.mjs'
import { OP, RawSocket, frame } from './support/raw.mjs'

const MIB = 1024 * 1024
/** The line of the log that says how a connection ended. */
const ending = (herold, reason) => herold.waitLog(new RegExp(`\\breason=${reason}\\b`))

story('a peer that answers no ping is closed, one that does is not', { options: { heartbeat_seconds: 1 } }, async (herold) => {
	const silent = await RawSocket.upgraded(herold.address, { path: '/echo' })
	const lively = await ChatClient.open(herold, { path: '/echo' })
	const began = Date.now()
	const ping = await silent.frame()

	assert.equal(ping.opcode, OP.PING)
	const close = await silent.closeFrame()

	assert.deepEqual([close.code, close.reason], [1001, 'ping timeout'])
	assert.ok(Date.now() - began >= 1500, 'not before both times are over')
	await silent.finished()
	await ending(herold, 'ping_timeout')
	assert.equal(lively.closeInfo, undefined)
	await lively.close()
})

story('only received bytes count as life: what is sent to a silent peer keeps it not', { options: { heartbeat_seconds: 1 } }, async (herold) => {
	const silent = await RawSocket.upgraded(herold.address, { path: '/broadcast' })
	const talker = await ChatClient.open(herold, { path: '/broadcast' })
	const timer = setInterval(() => talker.send(Buffer.from('x')), 100)
	const close = await silent.closeFrame()

	clearInterval(timer)
	assert.deepEqual([close.code, close.reason], [1001, 'ping timeout'])
	await talker.close()
})

story('a peer that takes nothing is ended', { options: { send_timeout_seconds: 1, client_queue_bytes: 64 * MIB } }, async (herold) => {
	const stalled = await RawSocket.upgraded(herold.address, { path: '/echo' })
	const message = frame(OP.BINARY, Buffer.alloc(MIB / 2), { mask: [0, 0, 0, 0] })

	stalled.pause()
	for (let i = 0; i < 32; i++)
		stalled.write(message)
	await ending(herold, 'send_timeout')
	stalled.destroy()
	const other = await ChatClient.open(herold, { path: '/echo' })

	other.send('still there?')
	await waitFor(() => other.socket.readyState === other.socket.OPEN, 'others live on')
	await other.terminate()
})

story('a peer that is too slow is closed with 1013 and can recover; the others notice nothing',
	// Without compression: what is padded here would be next to nothing with it.
	{ options: { client_queue_bytes: 65536, room_history: 1000, history_bytes: 4 * MIB, compression: 'off' } }, async (herold) => {
		const witness = await ChatClient.login(herold, { userId: 'witness' })
		const slow = await ChatClient.login(herold, { userId: 'slow' })
		// 1.6 MB: more than its queue and the kernel's buffers. It looks again before the server gives up on its close frame.
		const count = 40

		slow.socket.pause()
		for (let i = 0; i < count; i++)
			await herold.api('publish', { channel: 'room:lobby', data: { i, padding: 'x'.repeat(40000) } })
		slow.socket.resume()
		await slow.closed
		await ending(herold, 'slow_client')
		await waitFor(() => witness.received.filter((m) => m.type === 'publication').length === count, 'all at the witness')
		const seen = slow.received.filter((m) => m.type === 'publication')

		assert.deepEqual(seen.map((m) => m.data.i), seen.map((m, i) => i), 'in order and without a gap up to the end')
		assert.ok(seen.length < count, 'it was cut off')
		assert.equal(slow.closeInfo.code, 1013)
		const since = seen.length > 0 ? seen.at(-1) : slow.loginOk
		const back = await ChatClient.login(herold, {
			userId: 'slow', resume: slow.loginOk.resume, since: { epoch: since.epoch, offset: since.offset },
		})

		// What it missed is more than a queue of this size may hold: it is told so, and history has it in pages.
		assert.equal(back.loginOk.recovered, false)
		assert.deepEqual(back.loginOk.messages, [])
		const page = await back.ask({ type: 'history', since: { epoch: since.epoch, offset: since.offset } }, 'history')

		assert.equal(page.more, true)
		assert.deepEqual(page.messages.map((m) => m.data.i), page.messages.map((m, i) => seen.length + i))
		assert.ok(page.messages.length > 0)
		await witness.close()
		await back.close()
	})

story('a broadcast that a standing broker does not take ends its sender with 1011', { options: { broker_timeout_ms: 200 } }, async (herold) => {
	const client = await ChatClient.open(herold, { path: '/broadcast' })

	client.send(Buffer.from('before'))
	assert.equal((await client.next('binary')).data.toString(), 'before')
	const { broker } = await herold.pids()

	process.kill(broker, 'SIGSTOP')
	try {
		client.send(Buffer.from('meanwhile'))
		const { code, reason } = await client.closed

		assert.equal(code, 1011)
		assert.match(reason, /could not be delivered/)
	} finally {
		process.kill(broker, 'SIGCONT')
	}
	await ending(herold, 'internal_error')
	await waitFor(async () => {
		const again = await ChatClient.open(herold, { path: '/broadcast' })

		try {
			again.send(Buffer.from('after'))
			return (await again.next((m) => m.data?.toString() === 'after', 1000)) !== undefined
		} finally {
			await again.terminate()
		}
	}, 'broadcast works again')
})
