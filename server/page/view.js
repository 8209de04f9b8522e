/* view - one room's list of messages: order, days, groups, states, scrolling. Text goes in as text only. */

const NODES_MAX = 500
const GROUP_MS = 5 * 60 * 1000
const BOTTOM_PX = 60
const HUES = 8

export const byId = (id) => document.getElementById(id)

export function fromTemplate(name) {
	return byId(`${name}-template`).content.firstElementChild.cloneNode(true)
}

/* A picture for a user without pictures: the first letter on one of a few colours. */
export function paintAvatar(element, userId, name) {
	let hash = 0

	for (const c of userId)
		hash = (hash * 31 + c.codePointAt(0)) % 9973
	element.dataset.hue = hash % HUES
	element.textContent = [...name.trim()][0]?.toUpperCase() ?? '?'
}

/* Epoch milliseconds or an ISO text. */
function dateOf(time) {
	const date = new Date(time ?? Date.now())

	return Number.isNaN(date.getTime()) ? new Date() : date
}

function dayText(date) {
	const midnight = (d) => new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime()
	const days = Math.round((midnight(new Date()) - midnight(date)) / 86400000)

	if (days === 0 || days === 1)
		return ['Today', 'Yesterday'][days]
	return date.toLocaleDateString([], { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' })
}

function setTime(element, date) {
	element.dateTime = date.toISOString()
	element.title = date.toLocaleString()
	element.textContent = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
}

/* What a publication of a backend says: its text, the message in it, or else its JSON. */
function publicationText(data) {
	if (typeof data === 'string')
		return data
	return typeof data?.message === 'string' ? data.message : JSON.stringify(data)
}

export class RoomView {
	#list
	#facts = new WeakMap()		// li -> { generation, offset, userId, date, pending }
	#byPosition = new Map()		// "epoch offset" -> li
	#byRef = new Map()		// of own messages that are not settled
	#generations = []		// epochs in the order in which they were seen
	#top = 0			// highest offset of the newest epoch
	#stuck = true

	/* actions: { again(li's text), onScroll() } */
	constructor(room, actions) {
		this.room = room
		this.actions = actions
		this.element = fromTemplate('log')
		this.element.setAttribute('aria-label', `Messages in ${room}`)
		this.#list = this.element.querySelector('ol')
		this.element.addEventListener('scroll', () => {
			this.#stuck = this.isAtBottom()
			actions.onScroll()
		})
		new ResizeObserver(() => this.#follow()).observe(this.element)
	}

	isAtBottom() {
		const { scrollHeight, scrollTop, clientHeight } = this.element

		return scrollHeight - scrollTop - clientHeight < BOTTOM_PX
	}
	toBottom() {
		this.#stuck = true
		this.#follow()
	}
	#follow() {
		if (this.#stuck)
			this.element.scrollTop = this.element.scrollHeight
	}

	/* Many at once: not read aloud. */
	async quietly(work) {
		this.element.setAttribute('aria-busy', 'true')
		try {
			await work()
		} finally {
			this.element.removeAttribute('aria-busy')
		}
	}

	/* Where the room stands: what has no position of its own comes after this. */
	standsAt(epoch, offset) {
		const generation = this.#generation(epoch)

		if (generation === this.#generations.length - 1)
			this.#top = Math.max(this.#top, offset)
	}

	#generation(epoch) {
		if (!this.#generations.includes(epoch)) {
			this.#generations.push(epoch)
			this.#top = 0
		}
		return this.#generations.indexOf(epoch)
	}

	/* A message of the server, live or from history. False: it is here already. */
	add(m, own) {
		const key = m.epoch === undefined || m.offset === undefined ? undefined : `${m.epoch} ${m.offset}`

		if (key !== undefined && this.#byPosition.has(key))
			return false
		const li = m.type === 'chat' ? this.#messageNode(m, own) : this.#noteNode(m)

		if (own)
			this.#showState(li, 'sent')
		this.#insert(li, m)
		return true
	}

	/* An own message that is on its way. */
	addPending(m) {
		const li = this.#messageNode(m, true)

		this.#byRef.set(m.ref, li)
		this.#facts.get(li).pending = true
		this.#insert(li, m)
		this.#showState(li, 'pending')
		this.toBottom()
	}

	/* What became of it. True when it was ours to tell. */
	settle(ref, status, m) {
		const li = this.#byRef.get(ref)

		if (li === undefined)
			return false
		if (status === 'failed') {
			this.#byRef.delete(ref)
			this.#facts.get(li).pending = false
			this.#showFailure(li, m)
			return true
		}
		this.#facts.get(li).pending = false
		if (m.time !== undefined) {
			this.#facts.get(li).date = dateOf(m.time)
			setTime(li.querySelector('time'), dateOf(m.time))
		}
		this.#showState(li, 'sent')
		this.#place(li, m)
		return true
	}

	/* The room's own copy came back: the same message, now with its time. */
	confirm(m) {
		if (!this.settle(m.ref, 'sent', m))
			return false
		this.#byRef.delete(m.ref)
		return true
	}

	#messageNode(m, own) {
		const li = fromTemplate('message')
		const date = dateOf(m.time)

		li.querySelector('.message').classList.toggle('own', own)
		li.querySelector('.author').textContent = own ? 'You' : m.name
		li.querySelector('.text').textContent = m.message
		setTime(li.querySelector('time'), date)
		paintAvatar(li.querySelector('.avatar'), m.userId, m.name)
		this.#facts.set(li, { userId: m.userId, date })
		return li
	}

	#noteNode(m) {
		const li = fromTemplate('note')
		const note = li.querySelector('.note')
		const date = dateOf(m.time)

		if (m.type === 'publication') {
			note.classList.add('publication')
			note.querySelector('.label').textContent = 'From the server'
			note.querySelector('.text').textContent = publicationText(m.data)
		} else {
			note.classList.toggle('announcement', m.type === 'system' && m.room === undefined)
			note.classList.toggle('gap', m.type === 'gap')
			note.querySelector('.label').textContent = m.type === 'system' && m.room === undefined ? 'Announcement' : ''
			note.querySelector('.text').textContent = m.message
		}
		setTime(li.querySelector('time'), date)
		this.#facts.set(li, { date })
		return li
	}

	#showState(li, state) {
		const element = li.querySelector('.state')

		li.dataset.state = state
		element.textContent = { pending: 'Sending…', sent: 'Sent' }[state]
	}

	#showFailure(li, m) {
		const line = fromTemplate('failed')

		li.dataset.state = 'failed'
		li.querySelector('.state').textContent = 'Not sent'
		line.querySelector('.why').textContent = m.reason ?? 'The message was not sent.'
		line.querySelector('.again').addEventListener('click', () => {
			this.#remove(li)
			this.actions.again(li.querySelector('.text').textContent)
		})
		line.querySelector('.discard').addEventListener('click', () => {
			this.#remove(li)
			this.actions.discarded()
		})
		li.append(line)
		this.#follow()
	}

	#insert(li, m) {
		this.#place(li, m)
		this.#trim()
		this.element.querySelector('.empty').hidden = true
		this.#follow()
	}

	/* By (generation, offset); own messages under way stay at the end. */
	#place(li, m) {
		const facts = this.#facts.get(li)
		const positioned = m.epoch !== undefined && m.offset !== undefined
		const followers = [li.nextElementSibling]
		let before = this.#list.lastElementChild

		facts.generation = positioned ? this.#generation(m.epoch) : Math.max(0, this.#generations.length - 1)
		facts.offset = positioned ? m.offset : this.#top + 0.5
		if (positioned) {
			const key = `${m.epoch} ${m.offset}`
			const copy = this.#byPosition.get(key)

			// History may have brought it before its ack came.
			if (copy !== undefined && copy !== li)
				this.#remove(copy)
			this.standsAt(m.epoch, m.offset)
			this.#byPosition.set(key, li)
		}
		while (before !== null && (before === li || (!facts.pending && this.#isAfter(before, facts))))
			before = before.previousElementSibling
		if (before === null)
			this.#list.prepend(li)
		else if (before.nextElementSibling !== li)
			before.after(li)
		for (const each of [...followers, li, li.nextElementSibling])
			this.#group(each)
	}

	#isAfter(li, facts) {
		const other = this.#facts.get(li)

		if (other.pending)
			return true
		return other.generation !== facts.generation ? other.generation > facts.generation : other.offset > facts.offset
	}

	/* Messages of one author soon after each other stand together; the first of a day says which. */
	#group(li) {
		if (li === null || !li.isConnected)
			return
		const facts = this.#facts.get(li)
		const before = li.previousElementSibling === null ? undefined : this.#facts.get(li.previousElementSibling)
		const newDay = before === undefined || before.date.toDateString() !== facts.date.toDateString()
		const day = li.querySelector('.day')

		day.hidden = !newDay
		day.textContent = newDay ? dayText(facts.date) : ''
		li.classList.toggle('continued', !newDay && facts.userId !== undefined && before.userId === facts.userId &&
			facts.date - before.date < GROUP_MS)
	}

	#remove(li) {
		const next = li.nextElementSibling

		li.remove()
		this.#group(next)
	}

	#trim() {
		while (this.#list.childElementCount > NODES_MAX)
			this.#list.firstElementChild.remove()
		if (this.#byPosition.size > 2 * NODES_MAX) {
			for (const [key, li] of this.#byPosition) {
				if (!li.isConnected)
					this.#byPosition.delete(key)
			}
		}
		this.#group(this.#list.firstElementChild)
	}
}
