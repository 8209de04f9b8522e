// project - docker-compose.yml under a name of its own, on a free port, watched through the engine
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { waitFor } from '../e2e/support/herold.mjs'

const TOP = new URL('../..', import.meta.url).pathname
const ADMIN_PORT = 8081
const HEALTHY_MS = 60000
const FOLLOW_MS = 15000		// nginx asks for the addresses every 2 s

const run = promisify(execFile)

async function freePort() {
	const server = createServer()

	await new Promise((done) => server.listen(0, '127.0.0.1', done))
	const { port } = server.address()

	await new Promise((done) => server.close(done))
	return port
}

async function docker(...args) {
	const { stdout } = await run('docker', args, { maxBuffer: 1 << 26 })

	return stdout.trim()
}

export class Project {
	static async create() {
		return new Project(await freePort())
	}

	constructor(port) {
		this.name = `herold-test-${process.pid}`
		this.url = `http://127.0.0.1:${port}`
		this.wsUrl = `ws://127.0.0.1:${port}`
		this.folder = mkdtempSync(join(tmpdir(), 'herold-test-'))
		this.token = randomBytes(24).toString('base64')
		// User 10001 reads it in the container.
		writeFileSync(join(this.folder, 'admin_token'), `${this.token}\n`, { mode: 0o644 })
		// The clients of the tests come from the engine's side of the network, all by one address.
		this.limits = join(this.folder, 'limits.yml')
		writeFileSync(this.limits, 'services:\n  herold:\n    environment:\n      HEROLD_LIMIT_EXEMPT: 10.0.0.0/8,172.16.0.0/12,192.168.0.0/16\n')
		this.env = { ...process.env, HEROLD_ADMIN_TOKEN_FILE: join(this.folder, 'admin_token'), HEROLD_PORT: `127.0.0.1:${port}`, HEROLD_WORKERS: '2', HEROLD_DRAIN_SECONDS: '3' }
	}

	async compose(...args) {
		const [program, ...rest] = [...process.env.COMPOSE.split(' '), '-f', 'docker-compose.yml', '-f', 'deploy/compose-admin.yml', '-f', this.limits, '-p', this.name, ...args]

		await run(program, rest, { cwd: TOP, env: this.env, maxBuffer: 1 << 26 }).catch((error) => {
			throw new Error(`${program} ${rest.join(' ')}:\n${error.stdout}\n${error.stderr}`)
		})
	}

	/** What the engine knows about the containers of a service. */
	async containers(service) {
		const ids = await docker('ps', '-q', '--filter', `label=com.docker.compose.project=${this.name}`,
			'--filter', `label=com.docker.compose.service=${service}`)

		return ids === '' ? [] : JSON.parse(await docker('inspect', ...ids.split('\n')))
	}

	/** Starts what is missing, with so many herolds, and waits until all are well and nginx has a list of them. */
	async up(herolds, ...args) {
		await this.compose('up', '-d', '--no-recreate', '--scale', `herold=${herolds}`, ...args)
		await waitFor(() => this.#isWell({ redis: 1, herold: herolds, nginx: 1 }), 'all healthy', HEALTHY_MS)
		await waitFor(async () => {
			const [known, wanted] = await Promise.all([this.backends(), this.heroldAddresses()])

			return known.join() === wanted.map((address) => `${address}:8080`).sort().join()
		}, `nginx knows ${herolds}`, FOLLOW_MS)
	}

	async #isWell(wanted) {
		for (const [service, count] of Object.entries(wanted)) {
			const all = await this.containers(service)

			if (all.length !== count || all.some((c) => c.State.Health.Status !== 'healthy'))
				return false
		}
		return true
	}

	async restart(service) {
		await this.compose('restart', service)
		await waitFor(() => this.#isWell({ [service]: 1 }), `${service} is healthy again`, HEALTHY_MS)
	}

	/** The first container of a service dies without a word, and is started again. */
	async kill(service) {
		const [container] = await this.containers(service)

		await docker('kill', container.Id)
		await docker('start', container.Id)
		await waitFor(() => this.#isWell({ [service]: 1 }), `${service} is healthy again`, HEALTHY_MS)
	}

	/** As deploy/README.md says: as many new ones, then the old ones go, one after the other. */
	async replaceHerolds() {
		const old = (await this.containers('herold')).map((c) => c.Id)

		await this.up(old.length * 2)
		for (const id of old) {
			await docker('stop', id)
			await docker('rm', id)
		}
		await this.up(old.length)
		return old
	}

	/** In the network that nginx is in. */
	#address(container) {
		return container.NetworkSettings.Networks[`${this.name}_front`].IPAddress
	}

	async heroldAddresses() {
		return (await this.containers('herold')).map((c) => this.#address(c))
	}

	async addressOf(service) {
		return this.#address((await this.containers(service))[0])
	}

	/** What nginx' list says. */
	async backends() {
		const list = await this.inside('nginx', 'cat', '/etc/nginx/upstream.conf')

		return [...list.matchAll(/^server (\S+)/gm)].map(([, address]) => address).sort()
	}

	/** The answers of each herold's admin listener. */
	async admin(path, headers = { Authorization: `Bearer ${this.token}` }) {
		return Promise.all((await this.heroldAddresses()).map((address) => fetch(`http://${address}:${ADMIN_PORT}${path}`, { headers })))
	}

	/** /status of each herold. */
	async statuses() {
		return Promise.all((await this.admin('/status')).map((answer) => answer.json()))
	}

	/** The sum of a counter over all herolds. */
	async counter(name) {
		return (await this.statuses()).reduce((sum, status) => sum + status.counters[name], 0)
	}

	/** How many WebSockets each herold has. */
	async spread() {
		return (await this.statuses()).map((status) => status.workers.reduce((n, w) => n + w.websockets, 0))
	}

	/** What a command in the first container of a service prints. */
	async inside(service, ...command) {
		const [container] = await this.containers(service)

		return docker('exec', container.Id, ...command)
	}

	/** The lines that the first container of a service has written. */
	async log(service) {
		const [container] = await this.containers(service)
		const { stdout, stderr } = await run('docker', ['logs', container.Id], { maxBuffer: 1 << 26 })

		return `${stdout}${stderr}`.split('\n')
	}

	/** What was said last, for those who look for the reason of a failure. */
	async logs() {
		const { stdout } = await run('sh', ['-c', `${process.env.COMPOSE} -p ${this.name} logs --no-color --tail 40 2>&1`],
			{ cwd: TOP, env: this.env, maxBuffer: 1 << 26 })

		return stdout
	}

	/** Nothing is left of it. */
	async down() {
		await this.compose('down', '-v', '--rmi', 'local', '-t', '10')
		rmSync(this.folder, { recursive: true })
		for (const what of [['ps', '-aq'], ['volume', 'ls', '-q'], ['network', 'ls', '-q']])
			assert.equal(await docker(...what, '--filter', `label=com.docker.compose.project=${this.name}`), '', `${what[0]} is left`)
	}
}
