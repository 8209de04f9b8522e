// hostile - what peers send that mean no good, who holds their connections, and what ended them
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

import { BUILD, options, start, stop } from './harness.mjs';

/** They yield to everybody else, unless they are to reach their rate where others work. */
export const NICED = ['--other', '0', 'nice', '-n', options.nice];
const HOLD = path.join(BUILD, 'load_hold');
const HOLDERS = 4;

/** headers: more of them, each with its line's end. */
export const request = (where, headers = '') => `GET ${where} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
	'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' + `${headers}\r\n`;

/** A text frame, masked with zeros: at most 65,535 bytes. */
export function textFrame(text) {
	const payload = Buffer.from(text), length = payload.length;
	const head = length < 126 ? [0x81, 0x80 | length] : [0x81, 0xfe, length >> 8, length & 0xff];

	return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload]);
}

/** A binary frame, masked with zeros, of which `bytes` are there of `claimed`. */
export function frame(bytes, claimed = bytes) {
	const head = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

	if (claimed < 65536) {
		head[1] = 0xfe;
		head.writeUInt16BE(claimed, 2);
		return Buffer.concat([head.subarray(0, 8), Buffer.alloc(bytes)]);
	}
	head.writeBigUInt64BE(BigInt(claimed), 2);
	return Buffer.concat([head, Buffer.alloc(bytes)]);
}

export function file(name, content) {
	const where = path.join(BUILD, `bench-${name}.bin`);

	fs.writeFileSync(where, content);
	return where;
}

/** Several processes, because one may not open so many files; each from its own address or addresses, with ports of its own. */
export async function hold(port, { count, args, address = (i) => `127.0.0.${2 + i}` }) {
	const holders = Array.from({ length: HOLDERS }, (_, i) => {
		const child = start(null, 'chrt', [...NICED, HOLD, `--port=${port}`, `--source=${address(i)}`, '--seconds=120',
			`--connections=${count / HOLDERS}`, ...args], ['pipe', 'pipe', 'inherit']);
		const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();

		return { child, next: async () => JSON.parse((await lines.next()).value ?? stop('the connections could not be made')) };
	});
	const opened = await Promise.all(holders.map((h) => h.next()));

	return {
		refused: opened.reduce((sum, o) => sum + o.refused, 0),
		seconds: Math.max(...opened.map((o) => o.seconds)),
		async end() {
			holders.forEach((h) => h.child.stdin.end());
			const ends = await Promise.all(holders.map((h) => h.next()));

			await Promise.all(holders.map((h) => h.child.exitCode ?? once(h.child, 'close')));
			return ['ended', 'refused', 'limited'].reduce((sums, what) => ({ ...sums, [what]: ends.reduce((sum, o) => sum + o[what], 0) }), {});
		},
	};
}

/** Reasons that are the server's, and how many it has ended for each. An unanswered close frame is the second one of its connection. */
export const closedBy = (before, after) => Object.entries(after.closed).map(([name, n]) => [name, n - before.closed[name]])
	.filter(([name, n]) => n > 0 && !['client_reset', 'client_eof', 'http_done'].includes(name));
