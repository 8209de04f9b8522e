// Messages that come again and again cost no allocation, and no more system calls than connections times turns.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'

import { countCalls } from '../bench/calls.mjs'
import { STEADY_OPTIONS, WORKLOADS, steady } from '../bench/steady.mjs'
import { story } from './support/herold.mjs'
import { isSanitized } from './support/load.mjs'

const LIBRARY = new URL('../../build/count_calls.so', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'herold-steady-'))
const counts = countCalls(LIBRARY, join(folder, 'counts'))

after(() => rmSync(folder, { recursive: true }))

// A sanitizer has an allocator of its own, which cannot be counted; it watches the same messages.
const settings = { options: { workers: 1, ...STEADY_OPTIONS }, timeout: 240000, ...(isSanitized ? {} : { env: counts.env }) }
const DELIVERIES = isSanitized ? 5000 : 100000
/* On a machine that stands still now and then, more may be under way at a time than ever before: that takes a few blocks, once. */
const TRIES = 3

async function settled(port, name) {
	for (let tries = 1; ; tries++) {
		const result = await steady(counts, port, name, DELIVERIES)

		if (tries === TRIES || [...result.calls.values()].every(({ mallocs }) => mallocs === 0))
			return result
	}
}

for (const name of Object.keys(WORKLOADS)) {
	story(`${name}: no malloc for ${DELIVERIES} deliveries`, settings, async (herold, t) => {
		const { workers: [worker], broker } = await herold.pids()
		const { connections, deliveries, calls } = await settled(Number(herold.address.split(':').pop()), name)

		assert.ok(deliveries >= DELIVERIES)
		if (isSanitized) {
			assert.equal(calls.size, 0)
			return
		}
		t.diagnostic(JSON.stringify({ worker: calls.get(worker), broker: calls.get(broker) }))
		assert.equal(calls.get(worker).mallocs, 0, 'in the worker')
		assert.equal(calls.get(broker).mallocs, 0, 'in the broker')
		// One for each connection, and one for the link, at the end of a turn.
		assert.ok(calls.get(worker).sendmsgs <= (connections + 1) * calls.get(worker).turns, 'as many as connections and turns')
		assert.ok(calls.get(worker).sendmsgs > 0 && calls.get(worker).turns > 0, 'they are counted')
	})
}
