// deploy/nginx/follow: nginx' list of backends is what the name service says, with a real nginx and a name service made of a file.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import test from 'node:test'

import { ChatClient } from './support/client.mjs'
import { Herold, waitFor } from './support/herold.mjs'
import { Nginx } from './support/nginx.mjs'

const FOLLOW = new URL('../../deploy/nginx/follow', import.meta.url).pathname

/** An nginx that is started by `follow`, and the addresses that its name has. */
class Following extends Nginx {
	/** pace: seconds for each reload. */
	static async start(port, pace) {
		const nginx = new Following({ backends: [] })

		await nginx.configure()
		nginx.begin(port, pace)
		return nginx
	}

	begin(port, pace) {
		const bin = join(this.folder, 'bin')
		const program = (name, text) => writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })

		mkdirSync(bin)
		this.list = join(this.conf, 'upstream.conf')
		writeFileSync(join(this.folder, 'sample.conf'), '# The backends.\nserver 127.0.0.1:8080 max_fails=1 fail_timeout=5s;\n')
		this.answer([])
		program('getent', `[ "$*" = "ahostsv4 herold.test" ] || exit 1
			echo asked >>${this.folder}/asked
			while read -r a; do printf '%s STREAM herold.test\\n%s DGRAM\\n%s RAW\\n' "$a" "$a" "$a"; done <${this.folder}/addresses`)
		program('nginx', `PATH=\${PATH#*:} exec nginx -p ${this.folder} -c ${this.conf}/nginx.conf "$@"`)
		this.child = spawn(FOLLOW, ['herold.test', String(port)], { detached: true, stdio: ['ignore', 'pipe', 'pipe'],
			env: { ...process.env, PATH: `${bin}:${process.env.PATH}`, UPSTREAM_LIST: this.list,
				UPSTREAM_SAMPLE: join(this.folder, 'sample.conf'), UPSTREAM_SECONDS: '0.1', UPSTREAM_PACE: String(pace) } })
		for (const stream of [this.child.stdout, this.child.stderr])
			createInterface({ input: stream }).on('line', (line) => this.lines.push(`${line}\n`))
		this.child.on('close', (code, signal) => { this.exit = { code, signal } })
	}

	/** What the name service says from now on. */
	answer(addresses) {
		const file = join(this.folder, 'addresses')

		writeFileSync(`${file}.new`, addresses.map((address) => `${address}\n`).join(''))
		renameSync(`${file}.new`, file)
	}

	#rounds() {
		const file = join(this.folder, 'asked')

		return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length : 0
	}

	/** Until the name was asked for once more, and what came of it is done. */
	async nextRound() {
		const before = this.#rounds()

		await waitFor(() => this.#rounds() >= before + 2, 'two more rounds')
	}

	/** When it has last asked, as deploy/nginx/healthy reads it. */
	get asked() { return Number(readFileSync(`${this.list}.asked`, 'utf8')) }
	get servers() { return readFileSync(this.list, 'utf8') }
	get reloads() { return this.lines.filter((line) => /^nginx-follow: herold.test is at 127/.test(line)).length }
}

const line = (address, port) => `server ${address}:${port} max_fails=1 fail_timeout=5s;\n`

test('nginx follows a name', { timeout: 90000 }, async (t) => {
	const first = await Herold.start()
	const port = Number(first.address.split(':')[1])
	const second = await Herold.start({ options: { listen: `127.0.0.2:${port}` } })
	const nginx = await Following.start(port, 0)
	const websockets = async () => (await Promise.all([first, second].map((herold) => herold.status())))
		.map((status) => status.workers.reduce((n, w) => n + w.websockets, 0))
	const open = (count) => Promise.all(Array.from({ length: count }, () => ChatClient.open(nginx)))
	const status = (path) => fetch(nginx.url + path).then((answer) => answer.status)

	try {
		// Nobody is there yet: nginx lives, and says so.
		await waitFor(async () => await status('/healthz') === 200, 'nginx serves')
		assert.equal(await status('/ws'), 502)

		nginx.answer(['127.0.0.1'])
		await waitFor(async () => await status('/ws') === 426, 'the first backend')
		assert.equal(nginx.servers, line('127.0.0.1', port))
		const clients = await open(4)

		// Whoever is connected stays so; newcomers go to the other one as well.
		nginx.answer(['127.0.0.2', '127.0.0.1'])
		await waitFor(() => nginx.reloads === 2, 'the second backend')
		assert.equal(nginx.servers, line('127.0.0.1', port) + line('127.0.0.2', port))
		await waitFor(async () => {
			clients.push(...await open(1))
			return (await websockets())[1] >= 2
		}, 'newcomers on it')

		// The order means nothing, and no answer is no reason to forget what was known.
		for (const addresses of [['127.0.0.1', '127.0.0.2'], []]) {
			nginx.answer(addresses)
			await nginx.nextRound()
		}
		// What nginx would refuse is taken back.
		nginx.answer(['127.0.0.1', 'no-address'])
		await waitFor(() => nginx.lines.some((line) => /host not found in upstream/.test(line)), 'nginx refuses it')
		nginx.answer([])
		await nginx.nextRound()
		assert.equal(nginx.reloads, 2)
		assert.equal(nginx.servers, line('127.0.0.1', port) + line('127.0.0.2', port))

		nginx.answer(['127.0.0.2'])
		await waitFor(() => nginx.reloads === 3, 'one has gone')
		assert.equal(nginx.servers, line('127.0.0.2', port))
		const asked = await waitFor(() => nginx.asked, 'a time')

		assert.ok(Math.abs(Date.now() / 1000 - asked) < 60, `${asked} is now`)
		await waitFor(() => nginx.asked > asked, 'a later one')
		assert.ok(clients.every((client) => client.closeInfo === undefined), 'nobody was disturbed')
		await Promise.all(clients.map((client) => client.close(1000)))

		nginx.child.kill('SIGTERM')
		await waitFor(() => nginx.processes().length === 0, 'nobody stays')
		await waitFor(() => nginx.exit, 'its end')
		assert.deepEqual(nginx.exit, { code: 0, signal: null })
		for (const herold of [first, second])
			await herold.stop()
	} catch (error) {
		t.diagnostic(nginx.log())
		throw error
	} finally {
		for (const each of [nginx, first, second])
			each.kill()
	}
})

test('backends that come and go do not make nginx reload without end', { timeout: 90000 }, async (t) => {
	const nginx = await Following.start(8080, 3600)

	try {
		await waitFor(async () => (await fetch(`${nginx.url}/healthz`)).status === 200, 'nginx serves')
		for (let i = 1; i <= 5; i++) {
			nginx.answer([`127.0.0.${i}`])
			await waitFor(() => nginx.reloads === i, `reload ${i}`)
		}
		nginx.answer(['127.0.0.6'])
		await waitFor(() => nginx.lines.some((line) => /too many reloads; from now on one in 3600 seconds/.test(line)), 'it says so')
		await nginx.nextRound()
		assert.equal(nginx.reloads, 5)
		assert.equal(nginx.servers, line('127.0.0.5', 8080))
		assert.equal(nginx.lines.filter((line) => /too many reloads/.test(line)).length, 1, 'once')
	} catch (error) {
		t.diagnostic(nginx.log())
		throw error
	} finally {
		nginx.kill()
	}
})
