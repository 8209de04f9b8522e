// crowd.mjs - many chatting clients, on one host or several, that keep books: what was acknowledged, what they saw, and in which order
//
// Counts by the words of the promise: acknowledged = in every list exactly once and in one order; uncertain = at most once;
// unavailable = never. The members are clients of the bare protocol (no herold.js), so that nothing is repaired on the way.

import assert from 'node:assert/strict'
import WebSocket from 'ws'

const RETRY_MS = 100

/** One client: logged in, in one or several rooms, comes back by itself with `resume` and `since`; to the next host, when its own is away. */
class Member {
	constructor(crowd, number, rooms, host) {
		Object.assign(this, { crowd, number, rooms, host, userId: `user-${number}`, name: `Name ${number}` })
		this.seen = new Map(rooms.map((room) => [room, []]))	// { text, epoch, offset } in the order of arrival
		this.positions = new Map()
		this.present = new Map()	// room -> userIds, by the answers and by what was announced since
		this.inRooms = new Set()
		this.connects = 0
		this.recovered = 0
		this.notRecovered = 0
		this.resets = 0
		this.resume = undefined
		this.waiting = new Map()	// ref -> message without a final word
		this.open()
	}

	get isIn() { return this.inRooms.size === this.rooms.length }

	open() {
		const socket = new WebSocket(this.crowd.urls[this.host % this.crowd.urls.length], { perMessageDeflate: false })

		this.socket = socket
		socket.on('message', (bytes) => this.onMessage(JSON.parse(bytes)))
		socket.on('error', () => {})
		socket.on('close', (code, reason) => {
			this.inRooms.clear()
			this.present.clear()
			this.lastClose = `${code} ${reason}`
			this.host++
			if (!this.crowd.isOver)
				setTimeout(() => this.open(), RETRY_MS * (0.5 + Math.random()))
		})
	}

	say(message) {
		if (this.socket.readyState === WebSocket.OPEN)
			this.socket.send(JSON.stringify(message))
	}

	onMessage(m) {
		switch (m.type) {
		case 'connection':
			this.login()
			break
		case 'login_ok':
			this.connects++
			this.resume = m.resume
			for (const room of this.rooms.slice(1))
				this.join(room)
			this.onEntered(m)
			break
		case 'join_ok':
			this.onEntered(m)
			break
		case 'chat':
			this.onChat(m)
			break
		case 'reset':
			this.resets++
			this.positions.set(m.room, { epoch: m.epoch, offset: m.offset })
			break
		case 'user_joined':
		case 'user_left':
			this.onPresence(m)
			break
		case 'ack':
			this.settle(m.ref, 'acknowledged')
			break
		case 'error':
			this.onError(m)
			break
		}
	}

	login() {
		this.say({ type: 'login', userId: this.userId, name: this.name, room: this.rooms[0], resume: this.resume,
			since: this.positions.get(this.rooms[0]) })
	}

	join(room) {
		this.say({ type: 'join', room, since: this.positions.get(room), ref: `join ${room}` })
	}

	onEntered(m) {
		if (this.positions.has(m.room))
			m.recovered ? this.recovered++ : this.notRecovered++
		for (const missed of m.messages)
			this.onChat(missed)
		this.positions.set(m.room, { epoch: m.epoch, offset: m.offset })
		this.inRooms.add(m.room)
		this.present.set(m.room, new Set(m.users.map((user) => user.userId)))
		if (!this.isIn)
			return
		// What was on its way when the connection ended: the same ref finds out.
		for (const entry of this.waiting.values())
			this.say(entry.message)
	}

	/** Each arrival and departure is announced once, and to those who did not know it from their own answer. */
	onPresence(m) {
		const users = this.present.get(m.room)
		const hasJoined = m.type === 'user_joined'

		if (!hasJoined)
			this.crowd.departed.add(m.userId)
		if (users === undefined || (m.userId === this.userId && hasJoined))
			return
		if (users.has(m.userId) === hasJoined)
			this.crowd.misheard.push(`${this.userId} was told twice: ${m.type} ${m.userId} ${m.room}`)
		hasJoined ? users.add(m.userId) : users.delete(m.userId)
	}

	onChat(m) {
		if (m.type !== 'chat')
			return
		this.seen.get(m.room).push({ text: m.message.slice(0, m.message.indexOf('|')), epoch: m.epoch, offset: m.offset })
		this.positions.set(m.room, { epoch: m.epoch, offset: m.offset })
	}

	onError(m) {
		if (m.ref === undefined || String(m.ref).startsWith('join ')) {
			if (m.code === 'unavailable')
				setTimeout(() => m.ref === undefined ? this.login() : this.join(m.ref.slice(5)), RETRY_MS)
			else
				this.crowd.surprises.push(`${this.userId}: ${JSON.stringify(m)}`)
			return
		}
		const entry = this.waiting.get(m.ref)

		if (entry === undefined)
			return
		// `busy`: refused before it was sent, like `unavailable`.
		const isRefused = m.code === 'unavailable' || m.code === 'busy'

		if (isRefused && !entry.wasSentBefore) {
			this.settle(m.ref, 'unavailable')
		} else if (m.code === 'uncertain' && entry.round % 2 === 0) {
			// Every second one of a room never asks again: at most once is all that is promised.
			this.settle(m.ref, 'uncertain')
		} else if (m.code === 'uncertain' || isRefused) {
			this.crowd.uncertainAsked++
			entry.wasSentBefore = true
			setTimeout(() => this.say(entry.message), RETRY_MS)
		} else {
			this.crowd.surprises.push(`${this.userId}: ${JSON.stringify(m)}`)
		}
	}

	publish(room, padding) {
		const number = this.crowd.published++
		const ref = `r${number}`
		const entry = { round: Math.floor(number / this.crowd.rooms.length), room, text: `m${number}`, message: { type: 'chat', room, message: `m${number}|${padding}`, ref } }

		this.waiting.set(ref, entry)
		// Without a connection it goes out after the login.
		if (this.isIn)
			this.say(entry.message)
		else
			entry.wasSentBefore = true
	}

	settle(ref, word) {
		const entry = this.waiting.get(ref)

		if (entry === undefined)
			return
		this.waiting.delete(ref)
		this.crowd.settled[word].push({ text: entry.text, room: entry.room, at: Date.now() })
	}
}

export class Crowd {
	/** urls: of the hosts. Without `clients` each room has its publisher, and one more member on each host. */
	constructor(urls, { rooms = 20, publishers = 8, clients = publishers + rooms * urls.length, perSecond = 240, paddingBytes = 200 } = {}) {
		Object.assign(this, { urls, perSecond, isOver: false, published: 0, uncertainAsked: 0, surprises: [], misheard: [], departed: new Set() })
		this.padding = 'x'.repeat(paddingBytes)
		this.settled = { acknowledged: [], uncertain: [], unavailable: [] }
		this.rooms = Array.from({ length: rooms }, (_, i) => `room-${i}`)
		// Publisher i is in every room whose number leaves i when divided by their count; so each room has one publisher.
		this.members = Array.from({ length: clients }, (_, i) => i < publishers
			? new Member(this, i, this.rooms.filter((_, r) => r % publishers === i), i)
			: new Member(this, i, [this.rooms[i % rooms]], Math.floor((i - publishers) / rooms)))
		this.publishers = this.members.slice(0, publishers)
	}

	get inside() { return this.members.filter((m) => m.isIn).length }
	get reconnected() { return this.members.filter((m) => m.connects > 1).length }
	get unsettled() { return this.publishers.reduce((n, p) => n + p.waiting.size, 0) }

	get delivered() { return this.members.reduce((n, m) => n + [...m.seen.values()].reduce((k, list) => k + list.length, 0), 0) }

	sum(field) { return this.members.reduce((n, m) => n + m[field], 0) }

	/** Begins to publish at an even rate. */
	start() {
		let due = 0, turn = 0
		const began = Date.now()

		this.timer = setInterval(() => {
			due = (Date.now() - began) / 1000 * this.perSecond
			for (; turn < due; turn++) {
				const number = turn % this.rooms.length

				this.publishers[number % this.publishers.length].publish(this.rooms[number], this.padding)
			}
		}, 10)
	}

	stopPublishing() { clearInterval(this.timer) }

	/** Every list against the books. Returns the counts, for the report. */
	check() {
		const acknowledged = new Set(this.settled.acknowledged.map((m) => m.text))
		const unavailable = new Set(this.settled.unavailable.map((m) => m.text))
		const orders = new Map()
		const positions = new Map()

		assert.deepEqual(this.surprises, [], 'errors that nobody expected')
		for (const member of this.members) {
			for (const [room, seen] of member.seen) {
				checkList(`${member.userId} in ${room}`, seen, this.settled.acknowledged.filter((m) => m.room === room),
					acknowledged, unavailable, orders, room)
				checkPositions(`${member.userId} in ${room}`, seen, positions, room)
			}
		}
		return { published: this.published, acknowledged: acknowledged.size, uncertain: this.settled.uncertain.length,
			unavailable: unavailable.size, deliveries: this.delivered }
	}

	/** Everybody knows by now, of each room, who is there; and nobody was told anything twice. */
	checkPresence() {
		const wanted = new Map(this.rooms.map((room) => [room, this.members.filter((m) => m.rooms.includes(room)).map((m) => m.userId).sort()]))

		assert.deepEqual(this.misheard, [])
		for (const member of this.members) {
			for (const room of member.rooms)
				assert.deepEqual([...member.present.get(room)].sort(), wanted.get(room), `${member.userId} knows who is in ${room}`)
		}
	}

	end() {
		this.isOver = true
		this.stopPublishing()
		for (const member of this.members)
			member.socket.terminate()
	}
}

function checkList(who, seen, wanted, acknowledged, unavailable, orders, room) {
	const texts = seen.map((m) => m.text)
	const order = texts.filter((text) => acknowledged.has(text))
	const inOrder = new Set(order)

	assert.equal(new Set(texts).size, texts.length,
		`${who} saw a message twice: ${texts.filter((text, i) => texts.indexOf(text) !== i).slice(0, 5).join(' ')}`)
	assert.equal(texts.find((text) => unavailable.has(text)), undefined, `${who} saw a message that was refused`)
	assert.deepEqual(wanted.filter((m) => !inOrder.has(m.text)).map((m) => m.text), [], `${who} lacks acknowledged messages`)
	assert.equal(order.length, wanted.length, `${who} saw messages of another room`)
	if (!orders.has(room))
		orders.set(room, order)
	assert.deepEqual(order, orders.get(room), `${who} has another order than others`)
}

/** Within an epoch offsets rise, and one names the same message to everybody. */
function checkPositions(who, seen, positions, room) {
	const last = new Map()

	for (const { text, epoch, offset } of seen) {
		const position = `${room} ${epoch} ${offset}`

		assert.ok(offset > (last.get(epoch) ?? 0), `${who}: ${text} at ${offset}, behind ${last.get(epoch)}`)
		last.set(epoch, offset)
		assert.equal(positions.get(position) ?? text, text, `${who} saw another message at ${position}`)
		positions.set(position, text)
	}
}
