// The chat protocol, as docs/chat-protocol.md tells it: logins, rooms, messages, channels, coming back, across two workers.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'

import { ChatClient } from './support/client.mjs'
import { story, waitFor } from './support/herold.mjs'
import { parseMetrics } from './support/metrics.mjs'

const of = (type, more = {}) => (m) => m.type === type && Object.entries(more).every(([name, value]) => m[name] === value)
const position = ({ epoch, offset }) => ({ epoch, offset })
/** Waits until the client was sent everything that was published before: its own next message follows all that. */
async function settled(client, room) {
	const ref = randomBytes(6).toString('hex')
	await client.ask({ type: 'chat', message: `settled ${ref}`, room, ref }, of('chat', { message: `settled ${ref}` }))
}

story('login, chat and departure', { options: { leave_grace_seconds: 1 } }, async (herold) => {
	const anna = await ChatClient.open(herold)
	const hello = await anna.next('connection')

	assert.match(hello.id, /^[\w-]{19}$/)
	const ok = await anna.login({ userId: 'u1', name: 'Anna "A"', ref: { a: [1] } })

	assert.match(ok.resume, /^[\w-]{22}$/)
	assert.deepEqual(ok, { type: 'login_ok', userId: 'u1', name: 'Anna "A"', resume: ok.resume, room: 'lobby', epoch: ok.epoch, offset: 0,
		users: [{ userId: 'u1', name: 'Anna "A"' }], count: 1, messages: [], ref: { a: [1] } })
	assert.deepEqual(await anna.next('user_joined'), { type: 'user_joined', userId: 'u1', name: 'Anna "A"', room: 'lobby', count: 1 })
	assert.deepEqual(await anna.next('system'), { type: 'system', message: 'Anna "A" joined the chat', room: 'lobby' })
	assert.deepEqual(anna.received.map((m) => m.type), ['connection', 'login_ok', 'user_joined', 'system'])

	const ben = await ChatClient.login(herold, { userId: 'u2', name: 'Ben' })

	assert.deepEqual(ben.loginOk.users.map((u) => u.userId), ['u1', 'u2'])
	assert.equal(ben.loginOk.count, 2)
	await anna.next(of('user_joined', { userId: 'u2', count: 2 }))
	ben.send({ type: 'chat', message: 'Grüß dich\n\t"<b>"\u2028😀' })
	for (const client of [anna, ben]) {
		const m = await client.next('chat')

		assert.match(m.id, /^[\w-]+$/)
		assert.ok(Math.abs(m.time - Date.now()) < 60000)
		assert.deepEqual(m, { type: 'chat', userId: 'u2', name: 'Ben', message: 'Grüß dich\n\t"<b>"\u2028😀', room: 'lobby', id: m.id,
			epoch: ok.epoch, offset: 1, time: m.time })
	}
	const second = await ChatClient.login(herold, { userId: 'u2', name: 'Ben', resume: ben.loginOk.resume })

	assert.equal(second.loginOk.count, 2)
	await second.close()
	await settled(anna)
	assert.ok(!anna.received.some(of('user_left')), 'one of two connections has gone')
	await ben.close()
	assert.deepEqual(await anna.next('user_left'), { type: 'user_left', userId: 'u2', name: 'Ben', room: 'lobby', count: 1 })
	await anna.next(of('system', { message: 'Ben left the chat' }))
	assert.equal(anna.received.filter(of('user_joined', { userId: 'u2' })).length, 1)
})

story('a userId belongs to whoever has its secret', { options: { leave_grace_seconds: 2 } }, async (herold) => {
	const anna = await ChatClient.login(herold, { userId: 'u1', name: 'Anna' })
	const thief = await ChatClient.open(herold)

	for (const resume of [undefined, randomBytes(16).toString('base64url')]) {
		const refusal = await thief.ask({ type: 'login', userId: 'u1', name: 'Anna', resume, ref: 7 })

		assert.equal(refusal.code, 'user_taken')
	}
	assert.equal((await thief.login({ userId: 'u2', name: 'Thief' })).count, 2)
	await anna.next(of('user_joined', { userId: 'u2' }))
	// A reload of the page: nobody hears of it.
	await anna.close()
	const again = await ChatClient.login(herold, { userId: 'u1', name: 'Anna', resume: anna.loginOk.resume })

	assert.equal(again.loginOk.resume, anna.loginOk.resume)
	assert.equal(again.loginOk.count, 2)
	await settled(thief)
	assert.equal(thief.received.filter((m) => m.userId === 'u1' && m.type !== 'chat').length, 0)
	// An own secret from the start.
	const resume = randomBytes(16).toString('base64url')
	const own = await ChatClient.login(herold, { userId: 'u3', resume })

	assert.equal(own.loginOk.resume, resume)
})

story('the same ref is the same message', {}, async (herold) => {
	const anna = await ChatClient.login(herold, { userId: 'u1', name: 'Anna' })
	const first = await anna.ask({ type: 'chat', message: 'one', ref: 'r1' }, 'ack')
	const live = await anna.next('chat')

	assert.deepEqual(first, { type: 'ack', room: 'lobby', id: live.id, epoch: live.epoch, offset: live.offset, ref: 'r1' })
	const other = await ChatClient.login(herold, { userId: 'u1', name: 'Anna', resume: anna.loginOk.resume })
	const again = await other.ask({ type: 'chat', message: 'one', ref: 'r1' }, 'ack')

	assert.deepEqual(again, first)
	// Whatever JSON it is, it comes back as it came.
	for (const ref of ['0', '-1.50e+3', '123456789012345678901234567890', '"\\u0061"', '[ 1, {"b" : "c d"} ]', 'false'])
		anna.send(`{"ref" : ${ref},"type":"chat","message":"with ${ref.replace(/["\\]/g, '')}"}`)
	await waitFor(() => anna.received.filter(of('ack')).length === 7, 'all acks')
	assert.equal(new Set(anna.received.filter(of('ack')).map((m) => m.id)).size, 7)
	const texts = []
	anna.socket.on('message', (data) => texts.push(data.toString()))
	anna.send('{"ref": [ 1.50, "a  b" ],"type":"chat","message":"x"}')
	await waitFor(() => texts.some((text) => text.endsWith(',"ref":[1.50,"a  b"]}')), 'the ref as it was')
	await settled(other)
	assert.equal(other.texts().filter((text) => text === 'one').length, 0)
	assert.equal(anna.texts().filter((text) => text === 'one').length, 1)
	// Another room, another type, another user: another message.
	await anna.ask({ type: 'join', room: 'tea' }, 'join_ok')
	assert.equal((await anna.ask({ type: 'chat', message: 'one', ref: 'r1', room: 'tea' })).offset, 1)
	assert.equal((await anna.ask({ type: 'publish', channel: 'scores', data: 1, ref: 'r1' })).channel, 'scores')
})

story('everybody sees one order, and each sender its own', { options: { client_errors: 1 } }, async (herold) => {
	const clients = await Promise.all(['a', 'b', 'c', 'd'].map((userId) => ChatClient.login(herold, { userId })))

	for (let i = 0; i < 200; i++)
		for (const [at, client] of clients.entries())
			client.send({ type: 'chat', message: `${at} ${i}`, ref: i % 2 === 0 ? i : undefined })
	for (const client of clients)
		await waitFor(() => client.texts().length === 800, 'all messages', 20000)
	for (const client of clients) {
		const chats = client.received.filter(of('chat'))

		assert.deepEqual(chats.map((m) => m.offset), Array.from({ length: 800 }, (_, i) => i + 1))
		assert.deepEqual(client.texts(), clients[0].texts())
		for (const at of clients.keys())
			assert.deepEqual(client.texts().filter((text) => text.startsWith(`${at} `)), Array.from({ length: 200 }, (_, i) => `${at} ${i}`))
	}
	for (const client of clients)
		await waitFor(() => client.received.filter(of('ack')).length === 100, 'all acks')
})

story('rooms: join, leave, members, history', { options: { client_channels: 3 } }, async (herold) => {
	const anna = await ChatClient.login(herold, { userId: 'u1', name: 'Anna' })
	const ben = await ChatClient.login(herold, { userId: 'u2', name: 'Ben', room: 'tea' })

	assert.equal(ben.loginOk.room, 'tea')
	const joined = await anna.ask({ type: 'join', room: 'tea', ref: 'j' }, 'join_ok')

	assert.deepEqual(joined, { type: 'join_ok', room: 'tea', epoch: joined.epoch, offset: 0,
		users: [{ userId: 'u2', name: 'Ben' }, { userId: 'u1', name: 'Anna' }], count: 2, messages: [], ref: 'j' })
	await ben.next(of('user_joined', { userId: 'u1', room: 'tea' }))
	assert.equal((await anna.ask({ type: 'join', room: 'tea' }, 'error')).code, 'already_in_room')
	await anna.ask({ type: 'join', room: 'third' }, 'join_ok')
	assert.equal((await anna.ask({ type: 'join', room: 'fourth' }, 'error')).code, 'too_many_rooms')
	assert.equal((await anna.ask({ type: 'subscribe', channel: 'fourth' }, 'error')).code, 'too_many_rooms')
	assert.deepEqual(await anna.ask({ type: 'leave', room: 'third', ref: 1 }, 'leave_ok'), { type: 'leave_ok', room: 'third', ref: 1 })
	assert.equal((await anna.ask({ type: 'leave', room: 'third' }, 'error')).code, 'not_in_room')
	assert.equal((await anna.ask({ type: 'chat', message: 'x', room: 'third' }, 'error')).code, 'not_in_room')
	await anna.ask({ type: 'join', room: 'fourth' }, 'join_ok')

	for (let i = 1; i <= 10; i++)
		await ben.ask({ type: 'chat', message: `m${i}`, ref: i }, 'ack')
	const history = async (more) => {
		const m = await anna.ask({ type: 'history', room: 'tea', ...more }, 'history')

		assert.equal(m.room, 'tea')
		assert.equal(m.offset, 10)
		return m
	}
	const { epoch, messages: all } = await history({})

	assert.deepEqual(all, anna.received.filter(of('chat')))
	assert.deepEqual((await history({ limit: 3 })).messages.map((m) => m.offset), [8, 9, 10])
	assert.equal((await history({ limit: 3 })).more, true)
	assert.deepEqual((await history({ limit: 3, before: 8 })).messages.map((m) => m.offset), [5, 6, 7])
	const oldest = await history({ limit: 4, before: 5 })
	assert.deepEqual([oldest.messages.map((m) => m.offset), oldest.more], [[1, 2, 3, 4], false])
	const newer = await history({ limit: 3, since: { epoch, offset: 5 } })
	assert.deepEqual([newer.messages.map((m) => m.offset), newer.more, newer.recovered], [[6, 7, 8], true, true])
	const last = await history({ since: { epoch, offset: 8 } })
	assert.deepEqual([last.messages.map((m) => m.offset), last.more, last.recovered], [[9, 10], false, true])
	assert.equal((await history({ since: { epoch: 'other', offset: 8 } })).recovered, false)

	anna.send({ type: 'leave', room: 'tea' })
	await ben.next(of('user_left', { userId: 'u1', room: 'tea', count: 1 }))
	assert.equal((await anna.ask({ type: 'history', room: 'tea' }, 'error')).code, 'not_in_room')
	assert.equal((await anna.ask({ type: 'users', room: 'tea' }, 'error')).code, 'not_in_room')
	// Without a room it is that of the login, as long as one is in it.
	assert.equal((await anna.ask({ type: 'users' }, 'users')).room, 'lobby')
	await anna.ask({ type: 'leave', room: 'lobby' }, 'leave_ok')
	assert.equal((await anna.ask({ type: 'chat', message: 'x' }, 'error')).code, 'not_in_room')
})

story('members in pages; large rooms are counted instead of announced', { options: { room_announce_limit: 60, leave_grace_seconds: 0 } }, async (herold) => {
	const clients = []

	for (let i = 0; i < 60; i++)
		clients.push(await ChatClient.login(herold, { userId: `u${i}` }))
	const last = clients.at(-1)

	assert.equal(last.loginOk.count, 60)
	assert.equal(last.loginOk.users.length, 60)
	await clients[0].next(of('user_joined', { userId: 'u59' }))
	const more = await ChatClient.login(herold, { userId: 'u60' })
	const another = await ChatClient.login(herold, { userId: 'u61' })

	assert.ok(another.loginOk.count >= 61)
	assert.equal(another.loginOk.users.length, 50)
	await clients[0].next(of('count', { room: 'lobby', count: 62 }))
	assert.ok(!clients[0].received.some(of('user_joined', { userId: 'u60' })))
	const seen = []
	let page = await more.ask({ type: 'users', room: 'lobby', limit: 25 }, 'users')

	for (let pages = 1; ; pages++) {
		assert.equal(page.count, pages === 1 ? 62 : 61)
		seen.push(...page.users.map((u) => u.userId))
		if (page.next === undefined) {
			assert.equal(pages, 3)
			break
		}
		// Somebody at the end of a page leaves: the next page goes on behind the place.
		if (pages === 1) {
			await clients[24].close()
			await clients[0].next(of('count', { count: 61 }))
		}
		page = await more.ask({ type: 'users', room: 'lobby', limit: 25, after: page.next }, 'users')
	}
	assert.deepEqual(seen, Array.from({ length: 62 }, (_, i) => `u${i}`))
	assert.ok(clients[0].received.filter(of('count')).length <= 3)
})

story('channels: data is handed on as it came', {}, async (herold) => {
	const anna = await ChatClient.login(herold, { userId: 'u1' })
	const ben = await ChatClient.login(herold, { userId: 'u2' })
	const subscribed = await anna.ask({ type: 'subscribe', channel: 'scores/1', ref: 's' }, 'subscribe_ok')

	assert.deepEqual(subscribed, { type: 'subscribe_ok', channel: 'scores/1', epoch: subscribed.epoch, offset: 0, messages: [], ref: 's' })
	assert.equal((await anna.ask({ type: 'subscribe', channel: 'scores/1' }, 'error')).code, 'already_subscribed')
	const texts = []
	anna.socket.on('message', (data) => texts.push(data.toString()))
	const datas = ['{ "b" : 1.50, "a":[ ], "\\u00e4" : "\\/" }', '123456789012345678901234567890', 'null', '"x"', ' [1 , 2]'.trim()]

	for (const [i, data] of datas.entries()) {
		ben.send(`{"type":"publish","channel":"scores/1", "x":{"data":0}, "data" : ${data} ,"ref":${i}}`)
		const ack = await ben.next('ack')

		assert.deepEqual(ack, { type: 'ack', channel: 'scores/1', epoch: subscribed.epoch, offset: i + 1, ref: i })
		const m = await anna.next('publication')

		assert.equal(texts.at(-1), `{"type":"publication","channel":"scores/1","data":${data},"epoch":"${m.epoch}","offset":${i + 1},"time":${m.time}}`)
	}
	const back = await ben.ask({ type: 'subscribe', channel: 'scores/1', since: { epoch: subscribed.epoch, offset: 3 } }, 'subscribe_ok')

	assert.equal(back.recovered, true)
	assert.deepEqual(back.messages, anna.received.filter(of('publication')).slice(3))
	const history = await ben.ask({ type: 'history', channel: 'scores/1', limit: 1 }, 'history')

	assert.deepEqual([history.channel, history.messages.map((m) => m.offset), history.more], ['scores/1', [5], true])
	assert.deepEqual(await anna.ask({ type: 'unsubscribe', channel: 'scores/1', ref: 0 }, 'unsubscribe_ok'),
		{ type: 'unsubscribe_ok', channel: 'scores/1', ref: 0 })
	for (const type of ['unsubscribe', 'history'])
		assert.equal((await anna.ask({ type, channel: 'scores/1' }, 'error')).code, 'not_subscribed')
	// The server API reaches channels and rooms.
	await herold.api('publish', { channel: 'scores/1', data: { home: 2 } })
	assert.deepEqual((await ben.next(of('publication', { offset: 6 }))).data, { home: 2 })
	await herold.api('publish', { channel: 'room:lobby', data: 'news' })
	for (const client of [anna, ben]) {
		const m = await client.next(of('publication', { room: 'lobby' }))

		assert.deepEqual(m, { type: 'publication', channel: 'room:lobby', room: 'lobby', data: 'news', epoch: m.epoch, offset: 1, time: m.time })
	}
})

story('who comes back gets exactly what was missed', { options: { room_history: 20 } }, async (herold) => {
	const anna = await ChatClient.login(herold, { userId: 'u1' })
	const ben = await ChatClient.login(herold, { userId: 'u2' })
	const say = async (count) => {
		for (let i = 0; i < count; i++)
			await anna.ask({ type: 'chat', message: `m${i}`, ref: randomBytes(6).toString('hex') }, 'ack')
	}

	await say(3)
	await waitFor(() => ben.texts().length === 3, 'three messages')
	const since = position(ben.received.filter(of('chat')).at(-1))
	const { resume } = ben.loginOk

	ben.terminate()
	await say(5)
	const back = await ChatClient.login(herold, { userId: 'u2', resume, since })

	assert.equal(back.loginOk.recovered, true)
	assert.deepEqual(back.loginOk.messages, anna.received.filter(of('chat')).slice(3))
	assert.deepEqual(position(back.loginOk), { epoch: since.epoch, offset: 8 })
	await say(1)
	assert.equal((await back.next('chat')).offset, 9)
	back.terminate()
	// Nothing was missed.
	const up = await ChatClient.login(herold, { userId: 'u2', resume, since: { epoch: since.epoch, offset: 9 } })

	assert.deepEqual([up.loginOk.recovered, up.loginOk.messages], [true, []])
	// Too long ago, another epoch, and a position that never was.
	await say(30)
	for (const [i, lost] of [since, { epoch: 'other', offset: 39 }, { epoch: since.epoch, offset: 1000 }].entries()) {
		const late = await ChatClient.login(herold, { userId: `late${i}`, since: lost })

		assert.deepEqual([late.loginOk.recovered, late.loginOk.messages, late.loginOk.offset], [false, [], 39])
	}
})

const brief = { leave_grace_seconds: 0, channel_linger_seconds: 0, idempotency_seconds: 1, room_history: 0 }

story('who comes back to a room that everybody had left, and has missed nothing, is told so', { options: brief }, async (herold) => {
	const roomsAreForgotten = () => waitFor(async () => parseMetrics((await herold.admin('/metrics')).text).values.get('herold_rooms') === 0, 'nothing to be known of any room')
	const visit = async (since, room) => {
		const client = await ChatClient.login(herold, { userId: 'u1', room, since })

		return { client, told: { ...position(client.loginOk), recovered: client.loginOk.recovered, messages: client.loginOk.messages } }
	}

	for (const [room, count] of [['silent', 0], ['written', 3]]) {
		const { client, told } = await visit(undefined, room)

		for (let i = 0; i < count; i++)
			await client.ask({ type: 'chat', message: 'x', ref: i }, 'ack')
		await client.close()
		await roomsAreForgotten()
		const since = { epoch: told.epoch, offset: count }
		const back = await visit(since, room)

		assert.deepEqual(back.told, { ...since, recovered: true, messages: [] })
		await back.client.close()
		await roomsAreForgotten()
		for (const other of [{ epoch: since.epoch, offset: count + 1 }, { epoch: 'another', offset: count }, ...(count > 0 ? [{ epoch: since.epoch, offset: count - 1 }] : [])]) {
			const lost = await visit(other, room)

			assert.deepEqual(lost.told, { ...since, recovered: false, messages: [] })
			await lost.client.close()
		}
		await roomsAreForgotten()
	}
})

story('system messages come from those who may', { options: { system_users: 'root,op' } }, async (herold) => {
	const anna = await ChatClient.login(herold, { userId: 'u1' })
	const root = await ChatClient.login(herold, { userId: 'root', room: 'tea' })
	const stranger = await ChatClient.open(herold)

	assert.equal((await anna.ask({ type: 'system', message: 'x', ref: 1 })).code, 'not_allowed')
	await stranger.next('connection')
	assert.deepEqual(await root.ask({ type: 'system', message: 'to all', ref: 2 }, 'ack'), { type: 'ack', ref: 2 })
	for (const client of [anna, root, stranger]) {
		const m = await client.next(of('system', { message: 'to all' }))

		assert.deepEqual(m, { type: 'system', message: 'to all', time: m.time })
	}
	root.send({ type: 'system', message: 'to the lobby', room: 'lobby' })
	const m = await anna.next(of('system', { message: 'to the lobby' }))

	assert.deepEqual(m, { type: 'system', message: 'to the lobby', room: 'lobby', epoch: m.epoch, offset: 1, time: m.time })
	await settled(root)
	assert.ok(!root.received.some(of('system', { message: 'to the lobby' })))
})

story('in German', { options: { locale: 'de', leave_grace_seconds: 0, echo_prefix: 'Server hat empfangen: ' } }, async (herold) => {
	const anna = await ChatClient.login(herold, { userId: 'u1', name: 'Anna' })
	const ben = await ChatClient.login(herold, { userId: 'u2', name: 'Ben' })

	await anna.next(of('system', { message: 'Ben ist dem Chat beigetreten' }))
	await ben.close()
	await anna.next(of('system', { message: 'Ben hat den Chat verlassen' }))
	const echo = await ChatClient.open(herold, { path: '/echo' })
	const texts = []

	echo.socket.removeAllListeners('message')
	echo.socket.on('message', (data, isBinary) => texts.push([data.toString(), isBinary]))
	echo.send('hallo')
	echo.send(Buffer.from('hallo'))
	await waitFor(() => texts.length === 2, 'both echoes')
	assert.deepEqual(texts, [['Server hat empfangen: hallo', false], ['hallo', true]])
})

story('broadcast: byte for byte, to everybody, on every worker', {}, async (herold) => {
	const clients = []

	for (let i = 0; i < 8; i++) {
		const client = await ChatClient.open(herold, { path: '/broadcast' })

		client.got = []
		client.socket.removeAllListeners('message')
		client.socket.on('message', (data, isBinary) => client.got.push([isBinary, data]))
		clients.push(client)
	}
	// A connection is among the receivers soon after its opening.
	await waitFor(async () => {
		clients[0].send('ready?')
		await new Promise((done) => setTimeout(done, 50))
		return clients.every((client) => client.got.length > 0)
	}, 'all to be there')
	await waitFor(() => clients.every((client) => client.got.length === clients[0].got.length), 'the same for all')
	for (const client of clients)
		client.got = []
	const sent = []

	for (let i = 0; i < 300; i++) {
		const data = i % 2 === 0 ? `text ${i} {"type":"chat"}` : randomBytes(i === 299 ? 900000 : i)

		sent.push([Buffer.isBuffer(data), Buffer.from(data)])
		clients[i % 2].send(data)
		if (i % 2 === 1)
			await waitFor(() => clients[7].got.length === i + 1, 'both')
	}
	for (const client of clients) {
		await waitFor(() => client.got.length === 300, 'all of it')
		assert.deepEqual(client.got.map(([, data]) => data.toString('base64')).sort(), sent.map(([, data]) => data.toString('base64')).sort())
		assert.deepEqual(client.got, clients[0].got)
	}
	for (const [isBinary, data] of clients[0].got)
		assert.equal(isBinary, !data.toString().startsWith('text '))
})
