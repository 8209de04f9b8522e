// proxy - a TCP proxy that can stop forwarding what it likes while all sockets stay open, as a network does that loses packets
import net from 'node:net'

import { freePort } from './redis.mjs'

export class Proxy {
	links = new Set()	// { client, server, isPubSub, isFrozen }
	onBytes = () => {}	// what comes from the client's side

	/** target: the port on loopback behind it. */
	static async start(target) {
		const proxy = new Proxy()

		proxy.port = await freePort()
		proxy.target = target
		proxy.server = net.createServer((client) => proxy.#accept(client))
		await new Promise((done, failed) => proxy.server.on('error', failed).listen(proxy.port, '127.0.0.1', done))
		return proxy
	}

	get url() { return `redis://127.0.0.1:${this.port}/0` }

	#accept(client) {
		const link = { client, server: net.connect(this.target, '127.0.0.1'), isPubSub: false, isFrozen: false }

		this.links.add(link)
		client.on('data', (bytes) => {
			this.onBytes(bytes)
			// A host has one connection that subscribes.
			link.isPubSub ||= /\bSUBSCRIBE\r\n/i.test(bytes.toString('latin1'))
			if (!link.isFrozen)
				link.server.write(bytes)
		})
		link.server.on('data', (bytes) => {
			if (!link.isFrozen)
				client.write(bytes)
		})
		for (const [one, other] of [[client, link.server], [link.server, client]]) {
			one.on('error', () => {})
			one.on('close', () => {
				this.links.delete(link)
				other.destroy()
			})
		}
	}

	/** From now on nothing comes through on those links which exist now and for which this is true. Returns how many. */
	freeze(which = () => true) {
		const chosen = [...this.links].filter(which)

		for (const link of chosen)
			link.isFrozen = true
		return chosen.length
	}

	end() {
		this.server.close()
		for (const { client, server } of this.links) {
			client.destroy()
			server.destroy()
		}
	}
}
