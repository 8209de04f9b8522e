/**
 * herold.js - a client of the chat protocol that comes back by itself and misses nothing
 *
 * One file without dependencies; copy it. Browsers have all it needs; in node, pass the WebSocket of the `ws` package.
 *
 *   import { connect } from './herold.js'
 *   const chat = connect('wss://example.org/ws', { userId: 'u1', name: 'Ada', room: 'lobby' })
 *   chat.on('chat', (m) => console.log(m.name, m.message))
 *   chat.send('hello')                          // kept, and sent again until it is acknowledged
 *
 * Events: every message of the server under its type (`chat`, `system`, `publication`, `user_joined`, `count`, ...), and
 *   state     { state: 'connecting' | 'online' | 'waiting' | 'closed', retryInMs?, attempt? }
 *   login     login_ok; keep its `resume`: with it (and the userId) the same user may come back
 *   entered   login_ok, join_ok or subscribe_ok, after the missed messages in it were given out. `fresh`: the first time
 *   outbox    { ref, status: 'pending' | 'sent' | 'failed', code?, reason?, ...the message }
 *   reset     { room | channel, ... } some messages of it may have been missed and are not to be had this way
 *   denied    { code, message } the login or the token was refused; the client is closed
 *   removed   { code, message } kicked, banned or not welcome; the client is closed, until reconnect()
 *   refused   { status, message } the server did not take the connection; the client goes on trying
 *   limited   { retryInMs, message } too much for the server: everything is kept, and goes out one by one after that time
 *   muted     { retryInMs, message } what was in the outbox has failed; nothing is sent again by itself
 *
 * Where the server asks for tokens, give one as `token`: a text, or a function (also async) that gets a new one from your backend. It
 * is called for each connection, and again before the token expires. userId and name are then those of the token.
 *   fault     { code, message } an error of the server that belongs to nothing else
 */

const MESSAGES_TO_REMEMBER = 1000
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const CLOSED_TOO_BIG = 1009
const CLOSED_REMOVED = 4403

const DEFAULTS = {
	name: 'guest',
	token: undefined,		// see above
	room: undefined,		// joined by the login; the server's default room without it
	resume: undefined,		// the secret of an earlier login; a new one without it
	minDelayMs: 500,		// before the first new attempt to connect: a random time up to this; then twice as much ...
	maxDelayMs: 20000,		// ... and so on, up to this
	loginTimeoutMs: 10000,
	ackTimeoutMs: 15000,		// a connection that acknowledges nothing for so long is dead
	retryMs: 1000,			// before a message that the server could not take is sent again (random around it)
	underWayMax: 1,			// messages without an answer at a time; with more, one that is refused may come after later ones
	limitedDelayMs: 10000,		// before a new attempt to connect when sending too much has cost the connection: up to twice that
	refLifetimeMs: 240000,		// the server remembers a ref for 5 minutes; later, sending again could publish twice
}

/* Not done, or perhaps not done: to be tried again. */
const TRY_AGAIN = new Set(['unavailable', 'uncertain', 'busy', 'rate_limited'])

export function connect(url, options = {}) {
	return new Client(url, options)
}

/* `count` characters of base64url. */
function randomText(count) {
	const bytes = globalThis.crypto?.getRandomValues(new Uint8Array(count)) ?? Array.from({ length: count }, () => Math.random() * 256)

	return Array.from(bytes, (b) => ALPHABET[b & 63]).join('')
}

function parsed(text) {
	try {
		return JSON.parse(text)
	} catch {
		return undefined
	}
}

const randomId = () => randomText(16)
/* Without good randomness (node 18 hides it) the server makes the secret. */
const randomSecret = () => (globalThis.crypto === undefined ? undefined : randomText(22))

/* A place is a room or a channel, and where we stand in it. */
function placeKey(m) {
	return m.room !== undefined ? `room:${m.room}` : m.channel !== undefined ? `channel:${m.channel}` : undefined
}

class Client {
	#url
	#options
	#socket = null
	#state = 'closed'
	#attempt = 0
	#loggedInAt = 0
	#lastByteAt = 0
	#timers = new Map()
	#listeners = new Map()
	#places = new Map()
	#requests = new Map()
	#outbox = []
	#isLimited = false		// by the server, since the outbox was empty: one thing at a time
	#token				// the one that the function gave last
	#asked = null			// the call for a token that is under way
	#why = null			// the question why there was no connection that is under way
	#ownIds = new Map()		// id of an acknowledged message that has not come back yet -> its ref

	constructor(url, options) {
		this.#url = String(url)
		this.#options = { ...DEFAULTS, WebSocket: globalThis.WebSocket, fetch: globalThis.fetch, ...options }
		if (this.#options.token !== undefined)
			Object.assign(this.#options, { userId: options.userId, name: options.name })
		else
			this.#options.userId ??= randomId()
		// Not left to the server: its first answer may get lost.
		this.#options.resume ??= randomSecret()
		if (this.#options.room !== undefined)
			this.#place({ room: this.#options.room })
		// The caller's listeners come first.
		queueMicrotask(() => this.#open())
	}

	get userId() { return this.#options.userId }
	get state() { return this.#state }
	/** Copies of the messages that have no ack yet. */
	get outbox() { return this.#outbox.map((entry) => ({ ref: entry.ref, ...entry.message })) }
	get rooms() { return [...this.#places.values()].filter((p) => p.room !== undefined).map((p) => p.room) }
	/** { epoch, offset } of the last message seen in a room (or channel), or undefined. */
	position(room, channel) {
		return this.#since(this.#places.get(placeKey({ room, channel })))
	}

	/** Calls fn with each event of this type ('*': of all). Returns a function that ends it. */
	on(type, fn) {
		if (!this.#listeners.has(type))
			this.#listeners.set(type, new Set())
		this.#listeners.get(type).add(fn)
		return () => this.#listeners.get(type).delete(fn)
	}

	/** A chat message. Returns its ref; the `outbox` events with this ref say what becomes of it. */
	send(message, room = this.#options.room) {
		return this.#post({ type: 'chat', message, room })
	}
	/** Any JSON to a channel; like send(). */
	publish(channel, data) {
		return this.#post({ type: 'publish', channel, data })
	}

	join(room) { this.#goTo({ room }) }
	subscribe(channel) { this.#goTo({ channel }) }
	leave(room) { this.#goFrom({ room }, 'leave') }
	unsubscribe(channel) { this.#goFrom({ channel }, 'unsubscribe') }

	/** One page of members, `after` the `next` of another: a promise of { room, count, users, next? }. Rejected when offline. */
	users(room, after) {
		return this.#request({ type: 'users', room, after })
	}
	/** Messages of a room: the newest, or those after `since`. A promise of { room, messages, more, .. }. */
	history(room, { since, limit } = {}) {
		return this.#request({ type: 'history', room, since, limit })
	}

	/** Connects now instead of after the waiting time, or after the end; does nothing when online. */
	reconnect() {
		if (this.#state === 'waiting' || this.#state === 'closed')
			this.#open()
	}
	/** Finds out whether the connection still lives (after sleep, a change of the network, ...). */
	check() {
		if (this.#state === 'waiting')
			return this.reconnect()
		if (this.#state !== 'online' || this.#timers.has('check'))
			return
		const asked = Date.now()

		this.users(this.rooms[0]).catch(() => {})
		this.#after('check', 5000, () => {
			if (this.#lastByteAt < asked)
				this.#lost({ code: 1006, reason: 'no answer' })
		})
	}
	/** The end. What is still in the outbox stays there, unsent. */
	close() {
		const socket = this.#detach()

		this.#setState('closed')
		socket?.close(1000)
	}

	// --- connection ---

	#open() {
		if (this.#socket !== null || this.#asked !== null)
			return
		this.#cancel('retry')
		this.#why = null
		this.#setState('connecting', { attempt: this.#attempt })
		this.#loggedInAt = 0
		this.#withToken((token) => this.#dial(token), (error) => this.#lost({ code: 1006, reason: `no token: ${error?.message}` }))
	}

	/* Calls use(token), later if it has to be asked for, and not at all if the connection has ended meanwhile. */
	async #withToken(use, fail) {
		const { token } = this.#options

		if (typeof token !== 'function')
			return use(token)
		const asked = this.#asked = {}
		const answer = await Promise.resolve().then(token).then((value) => ({ value }), (error) => ({ error }))

		if (this.#asked !== asked)
			return
		this.#asked = null
		this.#token = answer.value
		if ('error' in answer)
			fail(answer.error)
		else
			use(answer.value)
	}

	/* Browsers can give a token in no other way that does not end up in somebody's log. */
	#dial(token) {
		const { WebSocket } = this.#options
		let socket

		try {
			socket = this.#socket = token === undefined ? new WebSocket(this.#url) : new WebSocket(this.#url, ['herold', `token.${token}`])
		} catch (error) {
			return this.#end('denied', { code: 'bad_token', message: error.message })
		}
		let opened = false
		socket.onopen = () => {
			opened = true
			this.#login()
		}
		socket.onmessage = (event) => {
			if (this.#socket === socket)
				this.#receive(event.data)
		}
		socket.onerror = () => {}
		socket.onclose = (event) => {
			if (this.#socket === socket)
				this.#lost(event, !opened)
		}
		this.#after('login', this.#options.loginTimeoutMs, () => this.#lost({ code: 1006, reason: 'no answer' }))
	}

	/* Lets go of the socket: nothing of it is heard any more. */
	#detach() {
		const socket = this.#socket

		this.#socket = null
		this.#asked = null
		this.#why = null
		for (const name of [...this.#timers.keys()])
			this.#cancel(name)
		for (const place of this.#places.values())
			place.ready = false
		for (const entry of this.#outbox)
			entry.inFlight = false
		for (const request of [...this.#requests.values()])
			request.reject({ code: 'offline', message: 'The connection was lost.' })
		this.#requests.clear()
		return socket
	}

	#lost(event, neverOpened = false) {
		if (event.code === CLOSED_REMOVED)
			return this.#end('removed', { code: event.code, message: event.reason })
		if (event.code === CLOSED_TOO_BIG)
			this.#dropLargest()
		const { limitedDelayMs, maxDelayMs, minDelayMs } = this.#options
		const wasTooMuch = /^rate limit exceeded/i.test(event.reason)
		const leastMs = wasTooMuch ? limitedDelayMs : event.leastMs ?? 0
		const socket = this.#detach()
		const steady = this.#loggedInAt !== 0 && Date.now() - this.#loggedInAt > 5000

		socket?.close()
		this.#attempt = steady ? 1 : this.#attempt + 1
		this.#isLimited ||= wasTooMuch
		if (neverOpened)
			this.#askWhy()
		this.#wait(leastMs + Math.random() * Math.max(leastMs, Math.min(maxDelayMs, minDelayMs * 2 ** (this.#attempt - 1))),
			{ code: event.code, reason: event.reason })
	}

	/* The timer comes first: whoever hears of the waiting may end it. */
	#wait(ms, detail) {
		this.#after('retry', ms, () => this.#why === null && this.#open())
		this.#setState('waiting', { retryInMs: ms, attempt: this.#attempt, ...detail })
	}

	/* A WebSocket does not say why it was refused; a plain request does: perhaps to wait longer, or to stay away, so that comes first. */
	async #askWhy() {
		const { fetch, loginTimeoutMs, token } = this.#options	// the browser's fetch refuses to be called as a method
		const given = typeof token === 'function' ? this.#token : token
		const why = this.#why = {}

		try {
			const answer = await fetch(this.#url.replace(/^ws/, 'http'), { cache: 'no-store', signal: AbortSignal.timeout(loginTimeoutMs),
				headers: given === undefined ? {} : { Authorization: `Bearer ${given}` } })
			const body = (await answer.text()).trim().slice(0, 300)
			const message = parsed(body)?.error ?? body
			const seconds = Math.min(Number(answer.headers.get('Retry-After')) || 0, 600)

			// 426: an upgrade would be welcome now.
			if (answer.status === 426 || this.#why !== why)
				return
			// The same token will not do later either.
			if (answer.status === 401 && typeof token !== 'function')
				return this.#end('denied', { code: 'refused', message })
			if (answer.status === 403)
				return this.#end('removed', { code: 403, message })
			this.#emit('refused', { status: answer.status, message })
			// Each is told another time, in whole seconds.
			if (seconds > 0 && this.#why === why)
				this.#wait((seconds + Math.random()) * 1000, {})
		} catch {
			// Nobody there at all: there is no sentence to show.
		} finally {
			if (this.#why === why) {
				this.#why = null
				if (!this.#timers.has('retry'))
					this.#open()
			}
		}
	}

	#login() {
		const { userId, name, resume } = this.#options
		const place = [...this.#places.values()].find((p) => p.room !== undefined)

		this.#transmit({ type: 'login', ref: 'login', userId, name, resume, room: place?.room, since: this.#since(place) })
	}

	#loggedIn(m) {
		this.#cancel('login')
		this.#loggedInAt = Date.now()
		Object.assign(this.#options, { userId: m.userId, name: m.name, resume: m.resume })
		this.#options.room ??= m.room
		this.#renewIn(m.expires_in)
		this.#setState('online')
		this.#emit('login', m)
		this.#entered(m)
		for (const place of this.#places.values()) {
			if (!place.ready)
				this.#enter(place)
		}
		this.#flush()
	}

	/* In good time before a token expires, another one takes its place. */
	#renewIn(seconds) {
		if (seconds !== undefined && typeof this.#options.token === 'function')
			this.#after('renew', Math.min(seconds * 800, 86400000), () => this.#renew())
	}

	#renew() {
		const fail = (error) => {
			this.#emit('fault', { code: error?.code ?? 'no_token', message: error?.detail ?? error?.message })
			if (this.#state === 'online')
				this.#after('renew', 10000, () => this.#renew())
		}

		this.#withToken((token) => this.#request({ type: 'auth', token }).then((m) => this.#renewIn(m.expires_in), fail), fail)
	}

	#denied(m) {
		if (TRY_AGAIN.has(m.code))
			return this.#lost({ code: 1013, reason: m.message, leastMs: (m.retry_after ?? 0) * 1000 })
		this.#end(m.code === 'banned' ? 'removed' : 'denied', m)
	}

	#end(type, event) {
		this.close()
		this.#emit(type, event)
	}

	// --- rooms and channels ---

	#place(at) {
		const key = placeKey(at)

		if (!this.#places.has(key))
			this.#places.set(key, { ...at, epoch: undefined, offset: 0, ready: false })
		return this.#places.get(key)
	}

	#since(place) {
		return place?.epoch === undefined ? undefined : { epoch: place.epoch, offset: place.offset }
	}

	#goTo(at) {
		if (this.#places.has(placeKey(at)))
			return
		const place = this.#place(at)

		if (this.#state === 'online')
			this.#enter(place)
	}

	#goFrom(at, type) {
		if (this.#places.delete(placeKey(at)) && this.#state === 'online')
			this.#request({ type, ...at }).catch((error) => error.code === 'offline' || this.#emit('fault', error))
	}

	#enter(place) {
		const { room, channel } = place

		this.#request({ type: room !== undefined ? 'join' : 'subscribe', room, channel, since: this.#since(place) }).catch((error) => {
			if (error.code === 'offline')
				return
			this.#places.delete(placeKey(place))
			this.#emit('fault', { ...error, room, channel })
		})
	}

	/* login_ok, join_ok, subscribe_ok: what was missed comes in it and stands before all that follows. */
	#entered(m) {
		const place = m.type === 'login_ok' ? this.#place({ room: m.room }) : this.#places.get(placeKey(m))

		// Left again before the answer came.
		if (place === undefined)
			return
		const fresh = place.epoch === undefined

		for (const missed of m.messages ?? [])
			this.#deliver(missed)
		const lost = !fresh && m.recovered === false

		Object.assign(place, { ready: true, epoch: m.epoch, offset: m.offset })
		this.#emit('entered', { ...m, fresh })
		if (lost)
			this.#emit('reset', { room: m.room, channel: m.channel, epoch: m.epoch, offset: m.offset, recovered: false })
		this.#flush()
	}

	/* True when this message was not seen before. Those without a position are always new. */
	#isNew(m) {
		const place = this.#places.get(placeKey(m))

		if (place === undefined || m.epoch === undefined || m.offset === undefined)
			return true
		if (place.epoch === m.epoch && m.offset <= place.offset)
			return false
		Object.assign(place, { epoch: m.epoch, offset: m.offset })
		return true
	}

	#reset(m) {
		const place = this.#places.get(placeKey(m))

		if (place !== undefined)
			Object.assign(place, { epoch: m.epoch, offset: m.offset })
		this.#emit('reset', m)
		if (m.room === undefined)
			return
		// The members may be registering themselves again at this moment, and all their clients ask.
		this.#after(`users ${m.room}`, 500 + Math.random() * 1000, () => this.users(m.room).catch(() => {}))
	}

	// --- outbox ---

	#post(message) {
		const entry = { ref: randomId(), message, inFlight: false, tries: 0, sentAt: 0, doubtfulSince: 0, seen: false }

		this.#outbox.push(entry)
		this.#tell(entry, 'pending')
		this.#flush()
		return entry.ref
	}

	#tell(entry, status, detail = {}) {
		this.#emit('outbox', { ...entry.message, ...detail, ref: entry.ref, status })
	}

	/* Everything that may go and is not under way, oldest first. After a refusal all wait, so that the order stays. */
	#flush() {
		if (this.#state !== 'online' || this.#timers.has('pause'))
			return
		for (const request of this.#requests.values()) {
			if (!request.inFlight && this.#mayGo(Infinity))
				this.#go(request)
		}
		for (const entry of [...this.#outbox]) {
			const place = this.#places.get(placeKey(entry.message))

			if (entry.inFlight || (entry.message.type === 'chat' && place !== undefined && !place.ready))
				continue
			if (!this.#mayGo(this.#options.underWayMax))
				break
			if (entry.doubtfulSince !== 0 && Date.now() - entry.doubtfulSince > this.#options.refLifetimeMs)
				this.#fail(entry, { code: 'expired', message: 'It is not known whether this message arrived.' })
			else
				this.#go(entry)
		}
		this.#isLimited &&= this.#outbox.length + this.#requests.size > 0
		this.#watchAcks()
	}

	#mayGo(max) {
		const rivals = this.#isLimited ? [...this.#outbox, ...this.#requests.values()] : this.#outbox

		return rivals.filter((each) => each.inFlight).length < (this.#isLimited ? 1 : max)
	}

	#go(each) {
		each.inFlight = true
		each.tries++
		each.sentAt = Date.now()
		each.doubtfulSince ||= each.sentAt
		this.#transmit({ ...each.message, ref: each.ref })
	}

	#watchAcks() {
		const oldest = this.#outbox.find((entry) => entry.inFlight)

		this.#cancel('ack')
		if (oldest !== undefined)
			this.#after('ack', Math.max(0, oldest.sentAt + this.#options.ackTimeoutMs - Date.now()),
				() => this.#lost({ code: 1006, reason: 'no answer' }))
	}

	#take(ref) {
		const at = this.#outbox.findIndex((entry) => entry.ref === ref)

		return at < 0 ? undefined : this.#outbox.splice(at, 1)[0]
	}

	#acknowledged(m) {
		const entry = this.#take(m.ref)

		this.#watchAcks()
		if (entry === undefined)
			return
		if (!entry.seen && m.id !== undefined) {
			this.#ownIds.set(m.id, entry.ref)
			if (this.#ownIds.size > MESSAGES_TO_REMEMBER)
				this.#ownIds.delete(this.#ownIds.keys().next().value)
		}
		this.#tell(entry, 'sent', { id: m.id, epoch: m.epoch, offset: m.offset })
		this.#flush()
	}

	#fail(entry, error) {
		this.#take(entry.ref)
		this.#tell(entry, 'failed', { code: error.code, reason: error.message })
	}

	/* The server does not say which message was too big for it; sent again, that one would cost each connection. */
	#dropLargest() {
		const size = (entry) => JSON.stringify(entry.message).length
		const [largest] = this.#outbox.filter((entry) => entry.inFlight).sort((a, b) => size(b) - size(a))

		if (largest !== undefined)
			this.#fail(largest, { code: 'too_big', message: 'The message is too big.' })
	}

	/* The server could not take it now (unavailable), does not know (uncertain), or it was too much: the same ref again, a little
	 * later, and until then nothing at all. What is sent while one is over the rate costs the connection. */
	#postpone(each, { code, message, retry_after: seconds }) {
		const ms = seconds === undefined ? this.#options.retryMs * (0.5 + Math.random()) : seconds * 1000 + Math.random() * 50

		each.inFlight = false
		if (code !== 'uncertain' && each.tries === 1) {
			each.tries = 0
			each.doubtfulSince = 0
		}
		this.#after('pause', ms, () => this.#flush())
		this.#watchAcks()
		if (code !== 'rate_limited')
			return
		this.#isLimited = true
		this.#emit('limited', { retryInMs: ms, message })
	}

	/* Own messages come back without their ref: known by the id of their ack, or, before that, by what they say. */
	#ownRef(m) {
		const known = this.#ownIds.get(m.id)
		const entry = this.#outbox.find((e) => !e.seen && e.tries > 0 && e.message.type === 'chat' &&
			e.message.message === m.message && (e.message.room ?? this.#options.room) === m.room)

		if (m.userId !== this.#options.userId)
			return undefined
		if (known !== undefined) {
			this.#ownIds.delete(m.id)
			return known
		}
		if (entry === undefined)
			return undefined
		entry.seen = true
		return entry.ref
	}

	// --- messages ---

	#transmit(message) {
		this.#socket?.send(JSON.stringify(message))
	}

	/* The answer with its ref resolves it; an error with it, or the end of the connection, rejects it. */
	#request(message) {
		if (this.#state !== 'online')
			return Promise.reject({ code: 'offline', message: 'There is no connection.' })
		return new Promise((resolve, reject) => {
			const request = { ref: randomId(), message, resolve, reject, inFlight: false, tries: 0 }

			this.#requests.set(request.ref, request)
			this.#flush()
		})
	}

	#answered(m) {
		this.#requests.get(m.ref)?.resolve(m)
		if (this.#requests.delete(m.ref))
			this.#flush()
	}

	#receive(text) {
		const m = parsed(text)

		this.#lastByteAt = Date.now()
		this.#cancel('check')
		if (m !== null && typeof m === 'object')
			this.#dispatch(m)
	}

	#dispatch(m) {
		if (m.type === 'error')
			return this.#error(m)
		this.#answered(m)
		switch (m.type) {
		case 'login_ok':
			return this.#loggedIn(m)
		case 'join_ok':
		case 'subscribe_ok':
			return this.#entered(m)
		case 'ack':
			return this.#acknowledged(m)
		case 'reset':
			return this.#reset(m)
		case 'users':
		case 'history':
			return this.#emit(m.type, m)
		default:
			return this.#deliver(m)
		}
	}

	#deliver(m) {
		if (!this.#isNew(m))
			return
		this.#emit(m.type, m.type === 'chat' ? { ...m, ref: this.#ownRef(m) } : m)
	}

	#error(m) {
		const request = this.#requests.get(m.ref)
		const entry = this.#outbox.find((e) => e.ref === m.ref)

		if (this.#state === 'connecting')
			return this.#denied(m)
		if (TRY_AGAIN.has(m.code))
			return this.#postpone(entry ?? request ?? {}, m)
		if (entry !== undefined) {
			// The others would fare no better, and each be one more error.
			for (const each of m.code === 'muted' ? [...this.#outbox] : [entry])
				this.#fail(each, m)
			if (m.code === 'muted')
				this.#emit('muted', { retryInMs: m.retry_after * 1000, message: m.message })
		} else if (this.#requests.delete(m.ref)) {
			request.reject(m)
		} else {
			this.#emit('fault', m)
		}
		this.#flush()
	}

	// --- small things ---

	/* A listener that throws is its owner's trouble: reported as uncaught, and nothing here is left half done. */
	#emit(type, event) {
		for (const fn of [...(this.#listeners.get(type) ?? []), ...(this.#listeners.get('*') ?? [])]) {
			try {
				fn(event, type)
			} catch (error) {
				queueMicrotask(() => { throw error })
			}
		}
	}

	#setState(state, detail = {}) {
		this.#state = state
		this.#emit('state', { state, ...detail })
	}

	/* At most one timer of a name. */
	#after(name, ms, fn) {
		this.#cancel(name)
		this.#timers.set(name, setTimeout(() => {
			this.#timers.delete(name)
			fn()
		}, ms))
	}

	#cancel(name) {
		clearTimeout(this.#timers.get(name))
		this.#timers.delete(name)
	}
}
