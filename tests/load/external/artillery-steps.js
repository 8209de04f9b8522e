// Steps of the Artillery scripts: each waits for its answer, and notes how long that took.
'use strict'

const { randomBytes } = require('node:crypto')

const ROOMS = 20
const ANSWER_SECONDS = 10

// Sends and waits for the first message for which isAnswer(text) says so.
function ask(context, events, name, text, isAnswer, done) {
	const { ws } = context
	const began = process.hrtime.bigint()
	const settle = (error) => {
		clearTimeout(timer)
		ws.removeListener('message', onMessage)
		ws.removeListener('close', onClose)
		done(error)
	}
	const onMessage = (data) => {
		if (!isAnswer(data.toString()))
			return
		events.emit('histogram', `${name} ms`, Number(process.hrtime.bigint() - began) / 1e6)
		events.emit('counter', `${name} answered`, 1)
		settle()
	}
	const onClose = (code) => settle(new Error(`closed with ${code}`))
	const timer = setTimeout(() => settle(new Error(`no answer to ${name}`)), ANSWER_SECONDS * 1000)

	ws.on('message', onMessage)
	ws.on('close', onClose)
	ws.send(text)
}

function echo(context, events, done) {
	const text = randomBytes(32).toString('hex')

	ask(context, events, 'echo', text, (answer) => answer === text, done)
}

// Of one type; with the same ref, so that it is the answer to this request.
const answers = (type, ref) => (text) => {
	const message = JSON.parse(text)

	return message.type === type && message.ref === ref
}

function request(context, events, type, answer, members, done) {
	const ref = randomBytes(6).toString('hex')

	ask(context, events, type, JSON.stringify({ type, ref, ...members }), answers(answer, ref), done)
}

function login(context, events, done) {
	const userId = randomBytes(9).toString('hex')
	const room = `artillery-${Math.floor(Math.random() * ROOMS)}`

	request(context, events, 'login', 'login_ok', { userId, name: `User ${userId}`, room }, done)
}

function chat(context, events, done) {
	request(context, events, 'chat', 'ack', { message: `Hello, it is ${new Date().toISOString()}` }, done)
}

module.exports = { chat, echo, login }
