// load - a crowd that chats while something happens, and the books afterwards
import assert from 'node:assert/strict'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'

import { Crowd } from './crowd.mjs'
import { sleep, waitFor } from './herold.mjs'

export const isSanitized = (process.env.BIN ?? '').includes('asan')
const WARM_UP_MS = 1500
const AFTER_MS = Number(process.env.AFTER_MS ?? 2500)
const PER_SECOND = Number(process.env.PER_SECOND ?? 240)
const SETTLE_MS = isSanitized ? 60000 : 30000

/**
 * Starts a crowd on these hosts, lets it chat, calls fault(crowd), lets it chat on, and balances the books.
 * settings: crowd: of the Crowd; acknowledged: the share that is at least; afterwards(crowd): more to be looked at when all is quiet, returns
 * what is to be shown beside the counts.
 */
export async function amidChat(t, urls, settings, fault) {
	const crowd = new Crowd(urls, { perSecond: PER_SECOND, ...settings.crowd })

	try {
		await waitFor(() => crowd.inside === crowd.members.length, 'everybody is in', SETTLE_MS)
		crowd.start()
		await sleep(WARM_UP_MS)
		const began = Date.now()

		await fault(crowd)
		await sleep(AFTER_MS)
		crowd.stopPublishing()
		const seconds = (Date.now() - began + WARM_UP_MS) / 1000

		await waitFor(() => crowd.unsettled === 0 && crowd.inside === crowd.members.length, 'a final word on every message', SETTLE_MS)
		await settleDeliveries(crowd)
		const counts = crowd.check()
		const more = await settings.afterwards?.(crowd)

		report(t, { ...counts, perSecond: Math.round(counts.published / seconds), reconnected: crowd.reconnected,
			recovered: crowd.sum('recovered'), resets: crowd.sum('resets'), uncertainAsked: crowd.uncertainAsked, ...more })
		assert.ok(counts.acknowledged > (settings.acknowledged ?? 0.8) * counts.published, 'most messages are acknowledged')
		if (!isSanitized)
			assert.ok(counts.published / seconds >= 200, `200 messages a second, not ${counts.published / seconds}`)
	} catch (error) {
		t.diagnostic(`unsettled: ${crowd.unsettled}, inside: ${crowd.inside} of ${crowd.members.length}, surprises: ${crowd.surprises.slice(0, 5)}`)
		throw error
	} finally {
		crowd.end()
	}
}

/* Shows the counts, and leaves them for the sum over all stories. */
function report(t, counts) {
	t.diagnostic(JSON.stringify(counts))
	if (process.env.COUNTS_DIR !== undefined)
		appendFileSync(join(process.env.COUNTS_DIR, String(process.pid)), `${JSON.stringify({ story: t.name, ...counts })}\n`)
}

/** No delivery is under way any more: the count stands still. */
async function settleDeliveries(crowd) {
	let last = -1

	await waitFor(async () => {
		const now = crowd.delivered
		const isStill = now === last

		last = now
		await sleep(200)
		return isStill
	}, 'deliveries come to an end', SETTLE_MS)
}
