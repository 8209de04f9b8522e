// 50 connections; each echoes a message of 64 bytes every 100 ms. k6 run k6-echo.js; -e URL=ws://HOST:PORT puts it on another server.
import { check } from 'k6'
import { Counter, Trend } from 'k6/metrics'
import ws from 'k6/ws'

const URL = `${__ENV.URL || 'ws://127.0.0.1:8080'}/echo`
const SECONDS = 10
const EVERY_MS = 100

export const options = { vus: 50, duration: `${SECONDS}s`, thresholds: { checks: ['rate==1.0'] } }

const times = new Trend('echo_ms', true)
const echoes = new Counter('echoes')

export default function () {
	let sent = 0
	const response = ws.connect(URL, {}, (socket) => {
		socket.on('open', () => {
			socket.setInterval(() => {
				sent = Date.now()
				socket.send(String(sent).padEnd(64, '.'))
			}, EVERY_MS)
			socket.setTimeout(() => socket.close(), SECONDS * 1000)
		})
		socket.on('message', (text) => {
			check(text, { 'as it was sent': (it) => it === String(sent).padEnd(64, '.') })
			times.add(Date.now() - sent)
			echoes.add(1)
		})
	})

	check(response, { 'upgraded': (it) => it && it.status === 101 })
}
