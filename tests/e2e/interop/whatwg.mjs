// whatwg - what tests/e2e/interop.test.mjs has each client do, for clients with the WebSocket of the browsers: node's own and Chromium.
// By itself: node whatwg.mjs URL SIZES IDLE_MS; prints the report.

/** In one piece, because it is sent into a browser as its source. */
export async function exercise({ url, sizes, idleMs }) {
	const report = { echoes: 0, wrong: [] }
	const open = () => new Promise((done, fail) => {
		const socket = new WebSocket(url)

		socket.binaryType = 'arraybuffer'
		socket.onopen = () => done(socket)
		socket.onerror = () => fail(new Error('no connection'))
	})
	const echo = (socket, data) => new Promise((done, fail) => {
		socket.onmessage = (event) => done(event.data)
		socket.onclose = (event) => fail(new Error(`closed with ${event.code}`))
		socket.send(data)
	})
	const closed = (socket) => new Promise((done) => { socket.onclose = (event) => done([event.code, event.reason]) })
	const textOf = (size) => 'é'.repeat(size >> 1) + '.'.repeat(size & 1)
	const binaryOf = (size) => Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8) * 17) & 255)
	const isSame = (a, b) => a.byteLength === b.byteLength && new Uint8Array(a).every((byte, i) => byte === b[i])
	const socket = await open()

	report.extensions = socket.extensions
	for (const size of sizes) {
		if (await echo(socket, textOf(size)) === textOf(size))
			report.echoes++
		else
			report.wrong.push(`text of ${size}`)
		if (isSame(await echo(socket, binaryOf(size)), binaryOf(size)))
			report.echoes++
		else
			report.wrong.push(`binary of ${size}`)
	}
	// Its pongs keep it connected.
	await new Promise((done) => setTimeout(done, idleMs))
	report.after = await echo(socket, 'still here')
	const end = closed(socket)

	socket.close(3000, 'bye ☺')
	report.close = (await end)[0]
	const greedy = await open()
	const refusal = closed(greedy)

	greedy.send(binaryOf(sizes.at(-1) + 1))
	report.refusal = await refusal
	return report
}

if (process.argv[1]?.endsWith('/whatwg.mjs')) {
	const [url, sizes, idleMs] = process.argv.slice(2)

	console.log(JSON.stringify(await exercise({ url, sizes: JSON.parse(sizes), idleMs: Number(idleMs) })))
}
