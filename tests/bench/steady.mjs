// steady - messages that are all alike, again and again, and what they make the server's processes call
import net from 'node:net';

import { callsBetween, callsOf } from './calls.mjs';

const WAVE = 8;
const WAIT_MS = 600000;
/* More than what is kept for a while: keys of publications in worker (8,192) and broker (by bytes), history (100). */
const WARM_UP_WAVES = 1200;

/** A client that reads no more of its frames than where they end. */
export class Client {
	frames = 0;
	onFrames = () => {};
	#rest = Buffer.alloc(0);

	static open({ port, path }) {
		return new Promise((done, failed) => {
			const client = new Client();

			client.socket = net.connect(port, '127.0.0.1', () => client.socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n` +
				'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'));
			client.socket.setNoDelay(true).on('error', failed).once('data', (data) => {
				const end = data.indexOf('\r\n\r\n') + 4;

				if (!data.toString('latin1').startsWith('HTTP/1.1 101 '))
					return failed(new Error(`no upgrade on ${path}: ${data}`));
				client.socket.on('data', (bytes) => client.#receive(bytes)).on('close', () => { client.isClosed = true; });
				client.#receive(data.subarray(end));
				done(client);
			});
		});
	}

	#receive(bytes) {
		const all = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes;
		let at = 0;

		for (;;) {
			const head = all[at + 1] === 126 ? 4 : 2;
			if (all.length - at < head)
				break;
			const size = head + (head === 4 ? all.readUInt16BE(at + 2) : all[at + 1]);
			if (all.length - at < size)
				break;
			at += size;
			this.frames++;
		}
		this.#rest = all.subarray(at);
		this.onFrames();
	}

	/** A text of less than 64 KiB, masked with zeros. */
	send(text) {
		const data = Buffer.from(text);
		const length = data.length < 126 ? Buffer.from([0x80 | data.length]) : Buffer.from([0x80 | 126, data.length >> 8, data.length & 255]);

		this.socket.write(Buffer.concat([Buffer.from([0x81]), length, Buffer.alloc(4), data]));
	}
}

/** In waves, each of which is sent at once and has come to all when the next one begins: so each takes as much as any other. */
export function exchange({ clients, heard, send }, waves, perWave) {
	const all = waves * perWave;
	let sent = 0;

	return new Promise((done, failed) => {
		const timer = setTimeout(() => failed(new Error(`${sent} of ${all} were sent, and not all has come`)), WAIT_MS);
		const wave = () => {
			const ends = heard.map((client) => client.frames + perWave);

			heard.forEach((client, i) => {
				client.onFrames = () => {
					client.isBehind = client.frames < ends[i];
					if (!heard.some((one) => one.isBehind))
						next();
				};
				client.isBehind = true;
			});
			clients.forEach((client) => client.socket.cork());
			for (let i = 0; i < perWave; i++)
				send(sent++);
			clients.forEach((client) => client.socket.uncork());
		};
		const next = () => {
			if (sent < all) {
				wave();
				return;
			}
			clearTimeout(timer);
			done();
		};

		next();
	});
}

/* Not all of one length, but the same lengths again and again. */
const words = (n) => `${n % 50} `.padEnd(40 + 3 * (n % 50), 'all that is said ');

async function several(port, path, connections) {
	return Promise.all(Array.from({ length: connections }, () => Client.open({ port, path })));
}

/* Nothing comes any more. */
async function quiet(clients) {
	let before = -1;

	for (let now = 0; now !== before; now = clients.reduce((sum, client) => sum + client.frames, 0)) {
		before = now;
		await new Promise((later) => setTimeout(later, 300));
	}
}

let rooms = 0;
let refs = 0;

/* In one room and on one channel, where the first one speaks and the others are heard. Those of an earlier room are still leaving it. */
async function chatters(port, connections) {
	const room = `steady-${++rooms}`;
	const clients = await several(port, '/ws', connections);
	clients.forEach((client, i) => client.send(JSON.stringify({ type: 'login', userId: `${room}-${i}`, name: `U ${i}`, room })));
	await quiet(clients);
	clients.forEach((client) => client.send(JSON.stringify({ type: 'subscribe', channel: 'news' })));
	await quiet(clients);
	return clients;
}

const chatting = (message) => async (port, connections) => {
	const [first, ...others] = await chatters(port, connections);

	return { clients: [first, ...others], heard: others, send: (n) => first.send(JSON.stringify(message(n))) };
};

/** By name: connects, and says who hears what is sent. */
export const WORKLOADS = {
	echo: async (port, connections) => {
		const clients = await several(port, '/echo', connections);

		return { clients, heard: clients, send: (n) => clients.forEach((client) => client.send('x'.repeat(40 + n % 50))) };
	},
	broadcast: async (port, connections) => {
		const clients = await several(port, '/broadcast', connections);

		// Who has just connected may not hear yet.
		while (clients.some((client) => client.frames === 0)) {
			clients[0].send('is everybody there?');
			await quiet(clients);
		}
		return { clients, heard: clients, send: (n) => clients[0].send(words(n)) };
	},
	chat: chatting((n) => ({ type: 'chat', message: words(n) })),
	'chat with ref': chatting((n) => ({ type: 'chat', message: words(n), ref: ++refs })),
	publish: chatting((n) => ({ type: 'publish', channel: 'news', data: { words: words(n) }, ref: ++refs })),
};

/** What makes that little. */
export const STEADY_OPTIONS = { idempotency_total_bytes: 65536, heartbeat_seconds: 3600 };

/** Of each process by its pid what it called for so many deliveries, after a warm-up. */
export async function steady(counts, port, name, deliveries) {
	const workload = await WORKLOADS[name](port, 50);
	const { clients, heard } = workload;
	const waves = Math.ceil(deliveries / heard.length / WAVE), messages = waves * WAVE;

	await exchange(workload, WARM_UP_WAVES, WAVE);
	const before = callsOf(counts);
	await exchange(workload, waves, WAVE);
	const after = callsOf(counts);
	const isWhole = clients.every((client) => !client.isClosed);

	clients.forEach((client) => client.socket.destroy());
	if (!isWhole)
		throw new Error(`${name}: a client was closed`);
	return { connections: clients.length, deliveries: messages * heard.length, messages,
		calls: new Map([...after].filter(([pid]) => before.has(pid)).map(([pid, now]) => [pid, callsBetween(before.get(pid), now)])) };
}
