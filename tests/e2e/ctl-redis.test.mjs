// Connections and rooms of hosts that share one Redis: each host answers for its own clients, rooms have the members of all.
import assert from 'node:assert/strict'

import { ChatClient, usersOnEachWorker } from './support/client.mjs'
import { clusterStory } from './support/cluster.mjs'
import { ctl } from './support/ctl.mjs'
import { waitFor } from './support/herold.mjs'

clusterStory('each host answers for its own clients', {}, async ({ hosts }) => {
	const [here, there] = hosts
	const clients = await usersOnEachWorker(here)
	const other = await ChatClient.login(there, { userId: 'other' })

	assert.equal((await ctl(here, ['find', '--user', 'other'])).code, 1)
	assert.equal((await ctl(there, ['find', '--user', 'other', '--json'])).json.matched, 1)
	assert.equal((await ctl(here, ['find', '--address', '127.0.0.1', '--json'])).json.matched, clients.length)
	assert.deepEqual([(await ctl(here, ['disconnect', '--user', 'other'])).code, other.closeInfo], [1, undefined])
	await ctl(here, ['message', '--address', '127.0.0.1', '"here"'])
	for (const client of clients)
		assert.equal((await client.next((m) => m.channel === '$direct')).data, 'here')
	assert.equal((await ctl(there, ['message', '--user', 'other', '"there"'])).code, 0)
	assert.equal((await other.next((m) => m.channel === '$direct')).data, 'there')
	const { code, out } = await ctl(here, ['disconnect', '--address', '127.0.0.1', '--code', '4000', '--reason', 'all of them'])

	assert.deepEqual([code, out], [0, `${clients.length} connections ended\n`])
	for (const client of clients)
		assert.deepEqual(await client.closed, { code: 4000, reason: 'ended by the operator: all of them' })
	assert.equal((await here.status()).counters.closed.disconnected, clients.length)
	assert.equal(other.closeInfo, undefined)
	assert.equal((await ctl(there, ['disconnect', '--user', 'other'])).code, 0)
	assert.deepEqual(await other.closed, { code: 4410, reason: 'ended by the operator' })
})

clusterStory('rooms of this host, with the members of all', {}, async ({ hosts }) => {
	const [here, there] = hosts
	const top = async (host) => (await ctl(host, ['rooms', '--json'])).json.rooms.map(({ room, members }) => `${room} ${members}`)
	const users = []

	for (const [host, room, count] of [[here, 'both', 2], [there, 'both', 3], [here, 'one', 4], [there, 'away', 9]]) {
		for (let i = 0; i < count; i++)
			users.push(await ChatClient.login(host, { userId: `u${users.length}`, room }))
	}
	await waitFor(async () => `${await top(here)}` === 'both 5,one 4', 'the rooms here')
	await waitFor(async () => `${await top(there)}` === 'away 9,both 5', 'the rooms there')
	await users[0].close()
	await users[2].close()
	await waitFor(async () => `${await top(here)}` === 'one 4,both 3', 'two less in one of them')
})
