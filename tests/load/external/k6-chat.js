// 50 users in ten rooms; each chats every 200 ms. k6 run k6-chat.js; -e URL=ws://HOST:PORT puts it on another server.
import { check } from 'k6'
import { Counter, Trend } from 'k6/metrics'
import ws from 'k6/ws'

const URL = `${__ENV.URL || 'ws://127.0.0.1:8080'}/ws`
const SECONDS = 10
const EVERY_MS = 200
const ROOMS = 10

export const options = { vus: 50, duration: `${SECONDS}s`, thresholds: { checks: ['rate==1.0'] } }

const times = new Trend('ack_ms', true)
const deliveries = new Counter('deliveries')

function chatter(socket) {
	socket.setInterval(() => socket.send(JSON.stringify({ type: 'chat', message: 'Hello', ref: Date.now() })), EVERY_MS)
	socket.setTimeout(() => socket.close(), SECONDS * 1000)
}

export default function () {
	const userId = `k6-${__VU}-${__ITER}`
	const response = ws.connect(URL, {}, (socket) => {
		socket.on('open', () => socket.send(JSON.stringify({ type: 'login', userId, name: userId, room: `k6-${__VU % ROOMS}` })))
		socket.on('message', (text) => {
			const message = JSON.parse(text)

			check(message, { 'no error': (it) => it.type !== 'error' })
			if (message.type === 'login_ok')
				chatter(socket)
			else if (message.type === 'ack')
				times.add(Date.now() - message.ref)
			else if (message.type === 'chat')
				deliveries.add(1)
		})
	})

	check(response, { 'upgraded': (it) => it && it.status === 101 })
}
