/* link - the data of the page: asks for it, stays with it, says how old it is */

const STORE = 'herold-admin'
const RETRY_MS = [500, 1000, 2000, 4000, 8000]
// One message comes each second: without any for so long it is old, and then the link is as good as lost.
const OLD_MS = 3500
const LOST_MS = 10000
const SPREAD_MS = 500
const ASK_TIMEOUT_MS = 8000
const WOULD_BE_TAKEN = 426

/* The token in the only header that a page can set for a WebSocket. */
function protocolOf(token) {
	const text = btoa(token).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')

	return `herold.token.${text}`
}

/**
 * state: connecting (for the first time), live, old (nothing came for some seconds), lost, refused (with the server's sentence), token (it
 * asks for one; `sentence` when the one it got is wrong).
 */
export class Link {
	state = 'connecting'
	sentence = ''
	heardAt = null		// performance.now() of the last message
	retryAt = null
	#token = sessionStorage.getItem(STORE)
	#socket = null
	#attempt = 0
	#timer = null
	#wasOpened = false
	#triedAt = 0

	/* handlers: { onMessage(message), onState() } */
	constructor(handlers) {
		this.handlers = handlers
		setInterval(() => this.#look(), 500)
		addEventListener('online', () => this.tryNow())
		document.addEventListener('visibilitychange', () => {
			if (!document.hidden && this.retryAt !== null)
				this.tryNow()
		})
	}

	start() {
		this.#connect()
	}

	useToken(token) {
		this.#token = token
		this.#connect()
	}

	tryNow() {
		if (this.retryAt !== null)
			this.#connect()
	}

	#to(state, sentence = '') {
		const isNews = this.state !== state || this.sentence !== sentence

		this.state = state
		this.sentence = sentence
		if (isNews)
			this.handlers.onState()
	}

	#connect() {
		const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:'
		const protocols = this.#token === null ? ['herold'] : ['herold', protocolOf(this.#token)]
		const socket = new WebSocket(`${scheme}//${location.host}${new URL('live', location.href).pathname}`, protocols)

		clearTimeout(this.#timer)
		this.retryAt = null
		this.#socket?.close()
		this.#socket = socket
		this.#wasOpened = false
		this.#triedAt = performance.now()
		socket.onmessage = ({ data }) => {
			if (socket === this.#socket)
				this.#hear(JSON.parse(data))
		}
		socket.onclose = () => {
			if (socket === this.#socket)
				void this.#lose(socket)
		}
	}

	#hear(message) {
		this.#wasOpened = true
		this.#attempt = 0
		this.heardAt = performance.now()
		if (this.#token !== null)
			sessionStorage.setItem(STORE, this.#token)
		this.handlers.onMessage(message)
		this.#to('live')
	}

	/* A browser does not say why a WebSocket was refused; the same address without the wish to upgrade does. */
	async #ask() {
		const headers = this.#token === null ? {} : { Authorization: `Bearer ${this.#token}` }
		const answer = await fetch('live', { headers, cache: 'no-store', signal: AbortSignal.timeout(ASK_TIMEOUT_MS) })
		const { error } = await answer.json()

		return { status: answer.status, error }
	}

	async #lose(socket) {
		let answer = { status: WOULD_BE_TAKEN }

		if (!this.#wasOpened) {
			try {
				answer = await this.#ask()
			} catch {
				// Nobody is there at all.
			}
			if (socket !== this.#socket)
				return
		}
		this.#socket = null
		if (answer.status === 401)
			this.#askToken(answer.error)
		else if (answer.status === WOULD_BE_TAKEN)
			this.#later('lost')
		else
			this.#later('refused', answer.error)
	}

	#askToken(error) {
		const isFirst = this.#token === null

		this.#token = null
		sessionStorage.removeItem(STORE)
		this.state = 'token'
		this.sentence = isFirst ? '' : error
		this.handlers.onState()
	}

	#later(state, sentence) {
		const ms = RETRY_MS[Math.min(this.#attempt++, RETRY_MS.length - 1)] + Math.random() * SPREAD_MS

		this.retryAt = performance.now() + ms
		this.#timer = setTimeout(() => this.#connect(), ms)
		this.#to(state, sentence)
	}

	#look() {
		const now = performance.now()

		if (this.#socket === null)
			return
		if (now - Math.max(this.heardAt ?? 0, this.#triedAt) > LOST_MS) {
			this.#socket.close()
			this.#socket = null
			this.#later('lost')
		} else if (this.state === 'live' && now - this.heardAt > OLD_MS) {
			this.#to('old')
		}
	}
}
