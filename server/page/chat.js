/* chat - the page: who one is, rooms, people, the connection; herold.js talks to the server, view.js shows messages */
import { connect } from './herold.js'
import { RoomView, byId, fromTemplate, paintAvatar } from './view.js'

const STORE = 'herold'
const HISTORY_LIMIT = 100
const PEOPLE_MAX = 200
const TEXT_MAX_PX = 160
const NOTICE_LINGER_MS = 1500

const app = byId('app')
const welcome = byId('welcome')
const textBox = byId('text')

let identity = null		// { userId, name, resume, token, rooms, room }; the resume secret, or a token, makes a reload the same user
let client = null
let wasOnline = false
// What stands between this page and the server: times until when, and words.
const trouble = { retryAt: 0, isTooMuch: false, refusal: '', removal: '', limitedUntil: 0, mutedUntil: 0 }
const rooms = new Map()		// name -> { view, node, people: Map userId -> name, isStale, count, unread }

// --- identity ---

/* Kept by the browser only while this page is away: a duplicate of the tab copies the storage, but is another user. */
function takeIdentity() {
	try {
		const kept = JSON.parse(sessionStorage.getItem(STORE))

		sessionStorage.removeItem(STORE)
		return typeof kept?.userId === 'string' ? kept : null
	} catch {
		return null
	}
}

function keepIdentity() {
	if (identity !== null && client !== null)
		sessionStorage.setItem(STORE, JSON.stringify(identity))
}

function newUserId() {
	return Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, '0')).join('')
}

/* Of a link with ?token=..: the token says who one is, and does not stay in the address. */
function takeToken() {
	const address = new URL(location.href)
	const token = address.searchParams.get('token')

	if (token !== null) {
		address.searchParams.delete('token')
		history.replaceState(null, '', address)
	}
	return token ?? undefined
}

/* Rooms have no blanks in their names. */
function roomName(text) {
	return text.trim().replace(/\s+/g, '-')
}

function roomOfAddress() {
	try {
		return roomName(decodeURIComponent(location.hash.slice(1)))
	} catch {
		return ''
	}
}

/* The server's errors are phrases. */
function sentence(text) {
	return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`
}

// --- coming and going ---

function showWelcome(error = '') {
	app.hidden = true
	welcome.hidden = false
	byId('welcome-error').textContent = error
	byId('name').setAttribute('aria-invalid', error !== '')
	byId('name').focus()
	document.title = 'Herold'
}

function showMe() {
	byId('my-name').textContent = identity.name
	paintAvatar(byId('my-avatar'), identity.userId, identity.name)
}

function enterChat() {
	welcome.hidden = true
	app.hidden = false
	showMe()
	for (const name of identity.rooms)
		addRoom(name)
	showRoom(identity.room)
	start()
	textBox.focus()
}

function start() {
	const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:'

	client = connect(`${scheme}//${location.host}/ws`, {
		...(identity.token !== undefined ? { token: identity.token } : { userId: identity.userId, name: identity.name, resume: identity.resume }),
		room: identity.rooms[0],
	})
	for (const name of identity.rooms)
		client.join(name)
	for (const [type, handler] of Object.entries(handlers))
		client.on(type, handler)
}

function signOut() {
	// Leaving is at once; a lost connection would be missed for a while first.
	for (const name of rooms.keys())
		client?.leave(name)
	client?.close()
	client = null
	identity = null
	wasOnline = false
	Object.assign(trouble, { retryAt: 0, refusal: '', removal: '', limitedUntil: 0, mutedUntil: 0 })
	for (const name of [...rooms.keys()])
		removeRoom(name)
	openPanel(null)
	showWelcome()
}

byId('welcome-form').addEventListener('submit', (event) => {
	const name = byId('name').value.trim()
	const room = roomName(byId('room').value) || 'lobby'

	event.preventDefault()
	if (name === '')
		return showWelcome('Please enter a name.')
	identity = { userId: newUserId(), name, rooms: [room], room }
	enterChat()
})

// --- what the server says ---

const handlers = {
	state: showState,
	login(m) {
		Object.assign(identity, { userId: m.userId, name: m.name, resume: m.resume })
		showMe()
		wasOnline = true
		trouble.refusal = ''
	},
	entered(m) {
		const room = rooms.get(m.room)

		if (room === undefined)
			return
		room.people = new Map((m.users ?? []).map((u) => [u.userId, u.name]))
		room.count = m.count ?? room.people.size
		showPeople()
		// Else a reset follows.
		if (m.recovered !== false)
			room.view.standsAt(m.epoch, m.offset)
		if (m.fresh)
			loadHistory(room)
	},
	chat(m) {
		const room = rooms.get(m.room)

		if (room === undefined)
			return
		if (m.ref === undefined || !room.view.confirm(m))
			show(room, m)
	},
	system(m) {
		for (const room of m.room === undefined ? rooms.values() : [rooms.get(m.room)])
			show(room, m)
	},
	publication(m) {
		show(rooms.get(m.room), m)
	},
	user_joined(m) {
		changePeople(m, (people) => people.set(m.userId, m.name))
	},
	user_left(m) {
		changePeople(m, (people) => people.delete(m.userId))
	},
	count(m) {
		changePeople(m, () => {})
	},
	users(m) {
		changePeople(m, (people) => {
			if (rooms.get(m.room).isStale)
				people.clear()
			rooms.get(m.room).isStale = false
			m.users.forEach((u) => people.set(u.userId, u.name))
		})
	},
	outbox(m) {
		const room = rooms.get(m.room)

		// So somebody has lifted it.
		if (m.status === 'sent')
			trouble.mutedUntil = 0
		if (m.status === 'pending')
			room?.view.addPending({ ...m, userId: identity.userId, name: identity.name })
		else
			room?.view.settle(m.ref, m.status, m.reason === undefined ? m : { ...m, reason: sentence(m.reason) })
	},
	reset(m) {
		const room = rooms.get(m.room)

		if (room === undefined)
			return
		room.isStale = true
		// Before what history will bring.
		show(room, { type: 'gap', message: 'Some messages may be missing here.' })
		room.view.standsAt(m.epoch, m.offset)
		loadHistory(room)
	},
	denied(m) {
		const { name, rooms: wanted, room } = identity

		if (m.code === 'user_taken') {
			// The server knows another holder of this id by now: come in as somebody new.
			identity = { userId: newUserId(), name, rooms: wanted, room }
			return start()
		}
		signOut()
		byId('name').value = name
		byId('room').value = room
		showWelcome(sentence(m.message))
	},
	removed(m) {
		trouble.removal = sentence(m.message || 'The server has ended the connection')
		showNotice()
	},
	refused(m) {
		trouble.refusal = sentence(m.message)
		showNotice()
	},
	limited(m) {
		trouble.limitedUntil = Date.now() + m.retryInMs
		showNotice()
	},
	muted(m) {
		trouble.mutedUntil = Date.now() + m.retryInMs
		showNotice()
	},
	fault(m) {
		const room = rooms.get(m.room ?? identity.room)

		if (m.room !== undefined && rooms.size > 1) {
			removeRoom(m.room)
			byId('room-error').textContent = sentence(m.message)
		} else if (room !== undefined) {
			show(room, { type: 'gap', message: sentence(m.message) })
		}
	},
}

function show(room, m) {
	if (room === undefined || !room.view.add(m, m.userId === identity.userId))
		return
	const isRead = room.view.room === identity.room && room.view.isAtBottom() && !document.hidden

	if (!isRead && (m.type === 'chat' || m.type === 'publication')) {
		room.unread++
		showUnread()
	}
	showJump()
}

async function loadHistory(room) {
	try {
		const answer = await client.history(room.view.room, { limit: HISTORY_LIMIT })

		await room.view.quietly(() => {
			for (const m of answer.messages)
				room.view.add(m, m.userId === identity.userId)
		})
	} catch {
		// Nothing to show; what is said from now on comes anyway.
	}
}

// --- connection ---

function showState({ state, retryInMs, reason }) {
	const words = { connecting: 'Connecting…', online: 'Connected', waiting: 'Offline', closed: 'Offline' }

	byId('connection').dataset.state = state
	byId('connection-text').textContent = words[state]
	if (state !== 'connecting')
		Object.assign(trouble, { retryAt: state === 'waiting' ? Date.now() + retryInMs : 0, removal: '' })
	if (reason !== undefined)
		trouble.isTooMuch = /^rate limit exceeded/i.test(reason)
	showNotice()
}

function timeLeft(until) {
	const seconds = Math.max(1, Math.ceil((until - Date.now()) / 1000))

	return seconds < 100 ? `${seconds}\u00a0s` : `${Math.ceil(seconds / 60)}\u00a0min`
}

/* What there is to say, the worst first: { title, text, countdown?, button? }. */
function notice() {
	const { retryAt, isTooMuch, refusal, removal, limitedUntil, mutedUntil } = trouble
	const now = Date.now()
	const countdown = retryAt > now ? `Next attempt in ${timeLeft(retryAt)}.` : 'Connecting…'

	if (removal !== '')
		return { title: wasOnline ? 'You are no longer connected.' : 'You cannot come in.', text: removal, button: 'Connect again' }
	if (retryAt !== 0 && isTooMuch && refusal === '')
		return { title: 'You were writing too fast.', text: 'What you write is kept and sent later.', countdown }
	if (retryAt !== 0) {
		return { title: wasOnline ? 'The connection was lost.' : 'The server cannot be reached.',
			text: refusal || 'What you write is kept and sent later.', countdown, button: 'Try now' }
	}
	if (mutedUntil > now)
		return { title: 'You are muted.', text: 'You can write again later.', countdown: `${timeLeft(mutedUntil)} left.` }
	// Often the next one has to wait as well: no flicker in between.
	if (limitedUntil + NOTICE_LINGER_MS > now)
		return { title: 'You are writing too fast.', text: 'What you wrote is kept and goes out bit by bit.' }
	return null
}

/* Only what changes is set: the rest would be read aloud again. */
function setText(id, text = '') {
	if (byId(id).textContent !== text)
		byId(id).textContent = text
}

function showNotice() {
	const what = notice()

	byId('notice').hidden = what === null
	setText('notice-title', what?.title)
	setText('notice-text', what?.text)
	setText('notice-countdown', what?.countdown)
	setText('try-now', what?.button)
	byId('try-now').hidden = what?.button === undefined
}

setInterval(showNotice, 500)
byId('try-now').addEventListener('click', () => {
	client?.reconnect()
	textBox.focus()
})
addEventListener('online', () => client?.check())
document.addEventListener('visibilitychange', () => {
	if (document.hidden)
		return
	client?.check()
	markRead()
})
addEventListener('pagehide', keepIdentity)
addEventListener('pageshow', (event) => {
	if (event.persisted)
		takeIdentity()
})

// --- rooms ---

function addRoom(name) {
	if (rooms.has(name))
		return
	const node = fromTemplate('room')
	const view = new RoomView(name, {
		onScroll: () => { showJump(); markRead() },
		again: (text) => { client.send(text, name); textBox.focus() },
		discarded: () => textBox.focus(),
	})

	view.element.hidden = true
	node.querySelector('.room-name').textContent = name
	node.querySelector('.leave .hidden-text').textContent = `Leave ${name}`
	node.querySelector('.room').addEventListener('click', () => { openPanel(null); showRoom(name); textBox.focus() })
	node.querySelector('.leave').addEventListener('click', () => { client.leave(name); removeRoom(name); textBox.focus() })
	byId('rooms').append(node)
	byId('logs').append(view.element)
	rooms.set(name, { view, node, people: new Map(), isStale: false, count: 0, unread: 0 })
	byId('rooms').classList.toggle('single', rooms.size === 1)
}

function removeRoom(name) {
	const room = rooms.get(name)

	room?.node.remove()
	room?.view.element.remove()
	rooms.delete(name)
	byId('rooms').classList.toggle('single', rooms.size === 1)
	if (identity === null)
		return
	identity.rooms = [...rooms.keys()]
	if (identity.room === name && rooms.size > 0)
		showRoom(identity.rooms[0])
}

function showRoom(name) {
	identity.room = name
	for (const [each, room] of rooms) {
		room.view.element.hidden = each !== name
		room.node.querySelector('.room').setAttribute('aria-current', each === name)
	}
	byId('room-name').textContent = name
	textBox.placeholder = `Write to ${name}`
	history.replaceState(null, '', `#${encodeURIComponent(name)}`)
	rooms.get(name).view.toBottom()
	showPeople()
	showJump()
	markRead()
}

function joinRoom(name) {
	byId('room-error').textContent = ''
	if (name === '')
		return
	addRoom(name)
	identity.rooms = [...rooms.keys()]
	showRoom(name)
	client.join(name)
	textBox.focus()
}

byId('room-form').addEventListener('submit', (event) => {
	event.preventDefault()
	joinRoom(roomName(byId('new-room').value))
	byId('new-room').value = ''
	openPanel(null)
})
addEventListener('hashchange', () => {
	if (identity !== null)
		joinRoom(roomOfAddress())
	else if (roomOfAddress() !== '')
		byId('room').value = roomOfAddress()
})
byId('sign-out').addEventListener('click', signOut)

function markRead() {
	const room = rooms.get(identity?.room)

	if (room !== undefined && !document.hidden && room.view.isAtBottom())
		room.unread = 0
	showUnread()
}

function showUnread() {
	let all = 0

	for (const room of rooms.values()) {
		const badge = room.node.querySelector('.unread')

		all += room.unread
		badge.hidden = room.unread === 0
		badge.textContent = room.unread > 99 ? '99+' : room.unread
	}
	byId('unread-elsewhere').hidden = all === (rooms.get(identity?.room)?.unread ?? 0)
	if (identity !== null)
		document.title = `${all > 0 ? `(${all}) ` : ''}${identity.room} · Herold`
}

function showJump() {
	const room = rooms.get(identity?.room)

	byId('jump').hidden = room === undefined || room.view.isAtBottom()
	byId('jump').firstChild.textContent = room?.unread > 0 ? 'New messages ' : 'To the newest '
}

byId('jump').addEventListener('click', () => {
	rooms.get(identity.room).view.toBottom()
	textBox.focus()
})

// --- people ---

function changePeople(m, change) {
	const room = rooms.get(m.room)

	if (room === undefined)
		return
	change(room.people)
	room.count = m.count ?? room.people.size
	if (m.room === identity.room)
		showPeople()
}

let isPeopleDue = false
/* At most once per picture: many may come at once. */
function showPeople() {
	if (!isPeopleDue)
		requestAnimationFrame(drawPeople)
	isPeopleDue = true
}

function drawPeople() {
	const room = rooms.get(identity?.room)

	isPeopleDue = false
	if (room === undefined)
		return
	const isMe = ([userId]) => (userId === identity.userId ? 0 : 1)
	const people = [...room.people].sort((a, b) => isMe(a) - isMe(b) || a[1].localeCompare(b[1])).slice(0, PEOPLE_MAX)
	const others = room.count - people.length

	byId('people').replaceChildren(...people.map(([userId, name]) => {
		const li = fromTemplate('person')

		paintAvatar(li.querySelector('.avatar'), userId, name)
		li.querySelector('.person-name').textContent = userId === identity.userId ? `${name} (you)` : name
		return li
	}))
	byId('people-count').textContent = room.count
	byId('people-badge').textContent = room.count
	byId('people-more').hidden = others <= 0
	byId('people-more').textContent = `and ${others} more`
}

// --- panels of small screens ---

const panels = [
	{ button: byId('show-rooms'), panel: byId('rooms-panel') },
	{ button: byId('show-people'), panel: byId('people-panel') },
]

function openPanel(wanted) {
	for (const { button, panel } of panels) {
		panel.classList.toggle('open', panel === wanted)
		button.setAttribute('aria-expanded', panel === wanted)
	}
}

for (const { button, panel } of panels) {
	panel.tabIndex = -1
	button.addEventListener('click', () => {
		openPanel(panel.classList.contains('open') ? null : panel)
		if (panel.classList.contains('open'))
			panel.focus()
	})
}
document.addEventListener('keydown', (event) => {
	const open = panels.find(({ panel }) => panel.classList.contains('open'))

	if (event.key !== 'Escape' || open === undefined)
		return
	openPanel(null)
	open.button.focus()
})
document.addEventListener('click', (event) => {
	if (!event.target.closest('.panel, .top button'))
		openPanel(null)
})

// --- writing ---

function fitTextBox() {
	textBox.style.height = 'auto'
	textBox.style.height = `${Math.min(textBox.scrollHeight, TEXT_MAX_PX)}px`
}

function sendText() {
	const text = textBox.value.trim()

	if (text === '')
		return
	client.send(text, identity.room)
	textBox.value = ''
	fitTextBox()
	textBox.focus()
}

textBox.addEventListener('input', fitTextBox)
textBox.addEventListener('keydown', (event) => {
	if (event.key !== 'Enter' || event.shiftKey || event.isComposing)
		return
	event.preventDefault()
	sendText()
})
byId('composer').addEventListener('submit', (event) => {
	event.preventDefault()
	sendText()
})

// --- start ---

const token = takeToken()

identity = takeIdentity()
if (roomOfAddress() !== '')
	byId('room').value = roomOfAddress()
if (token !== undefined)
	identity = { userId: '', name: '', token, rooms: [roomOfAddress() || 'lobby'], room: roomOfAddress() || 'lobby' }
if (identity !== null)
	enterChat()
else
	showWelcome()
