// attacks - peers that mean no good: what each costs the server and the kernel, what ends it, and what the others notice
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';

import {
	LOAD, counters, cpuSeconds, endServer, freePort, grouped, later, options, pssBytes, say, slabBytes, socketBytes, start, startHeroldAnywhere, stop,
} from './harness.mjs';
import { closedBy, file, frame, hold, request } from './hostile.mjs';
import { makeCertificate } from './tls.mjs';

const BEHAVED = 200;		// the well-behaved
const CALM_SECONDS = 5, ATTACKED_SECONDS = 10;	// of their echoes
const WAIT_SECONDS = 30;	// for the end that the server makes

/** The first bytes of a client that speaks TLS 1.3. */
async function clientHello() {
	const server = net.createServer().listen(0, '127.0.0.1');
	const accepted = once(server, 'connection');

	await once(server, 'listening');
	const client = tls.connect({ port: server.address().port, host: '127.0.0.1' }).on('error', () => {});
	const [socket] = await accepted;
	const [hello] = await once(socket, 'data');

	client.destroy();
	socket.destroy();
	server.close();
	return hello;
}

/** The well-behaved: on all workers, each an echo every 100 ms. */
async function echoes(server, seconds) {
	const before = cpuSeconds(server);
	const child = start(null, LOAD, ['echo', `ws://127.0.0.1:${server.port}`, `--connections=${BEHAVED}`, `--rate=${10 * BEHAVED}`, `--seconds=${seconds}`, '--json'],
		['ignore', 'pipe', 'inherit']);
	let out = '';

	child.stdout.on('data', (data) => { out += data; });
	const [status] = await once(child, 'close');

	if (status !== 0)
		stop(`the well-behaved were not served\n${fs.readFileSync(server.log, 'utf8').slice(-4000)}`);
	return { ...JSON.parse(out), cpu: (cpuSeconds(server) - before) / seconds };
}

/** Publishes so many messages of 1 KiB on /broadcast. */
async function publish(server, count) {
	const socket = net.connect(server.port, '127.0.0.1').resume();

	socket.write(request('/broadcast'));
	await once(socket, 'data');
	for (let i = 0; i < count; i += 50) {
		socket.write(Buffer.concat(Array(50).fill(frame(1024))));
		await later(20);
	}
	return socket;
}

const weigh = (server) => ({ pss: pssBytes(server.child.pid), slab: slabBytes(), sockets: socketBytes([server.port, server.tlsPort]) });

/** Watches until the server has ended all but so many. Returns when that of the first and of the last one was seen, in
 * seconds from `began`. */
async function untilEnded(server, before, others, began) {
	let ended = 0, first, last, now = Date.now();

	for (; now - began < WAIT_SECONDS * 1000; now = Date.now()) {
		const after = await counters(server);
		const count = closedBy(before, after).reduce((sum, [, n]) => sum + n, 0);

		if (count > ended) {
			first ??= (now - began) / 1000;
			last = (now - began) / 1000;
			ended = count;
		}
		if (after.connections - 1 <= others)	// 1: this question
			break;
		await later(100);
	}
	return { first, last };
}

const kib = (bytes) => `${(bytes / 1024).toFixed(bytes < 10240 ? 2 : 1)}K`;

async function measure(attack) {
	const tlsPort = await freePort();
	const server = await startHeroldAnywhere('workers=2', `tls_listen=127.0.0.1:${tlsPort}`, `tls_certificate=${attack.tls.certificate}`,
		`tls_key=${attack.tls.key}`, 'handshake_seconds=5', 'send_timeout_seconds=4', ...attack.settings ?? []);

	server.tlsPort = tlsPort;
	const calm = await echoes(server, CALM_SECONDS);
	const [was, before] = [weigh(server), await counters(server)];
	const during = echoes(server, ATTACKED_SECONDS);
	const began = Date.now();
	const holding = await hold(attack.overTls ? tlsPort : server.port, attack);
	const publisher = attack.publish ? await publish(server, attack.publish) : undefined;

	await later(500);
	const [full, there] = [weigh(server), await counters(server)];
	// The well-behaved go first.
	const ending = attack.isEndless ? {} : untilEnded(server, before, publisher ? 1 : 0, began);
	const disturbed = await during;
	const { first, last } = await ending;
	const after = await counters(server);

	await later(1000);
	const ended = weigh(server);
	const { refused } = await holding.end();

	publisher?.destroy();
	await endServer(server);
	return { attack, calm, disturbed, refused, was, full, ended, first, last, closed: closedBy(before, after),
		openSeconds: holding.seconds, queued: there.client_queue_bytes };
}

function report(r) {
	const each = (what) => kib((r.full[what] - r.was[what]) / r.attack.count);
	const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);
	const ms = (result, what) => (result[what] / 1000).toFixed(2);

	say();
	say(`${r.attack.title}: ${grouped(r.attack.count)}, opened in ${r.openSeconds.toFixed(1)} s`);
	say(`  each: server ${each('pss')}, its sockets ${each('sockets')}, the kernel's slabs for both ends ${each('slab')}` +
		(r.queued > 0 ? `; queued in the server ${mib(r.queued)} MiB, counted for each client` : ''));
	say(`  others: p50 ${ms(r.calm, 'p50_us')} -> ${ms(r.disturbed, 'p50_us')} ms, p99 ${ms(r.calm, 'p99_us')} -> ${ms(r.disturbed, 'p99_us')} ms, ` +
		`p99.9 ${ms(r.calm, 'p999_us')} -> ${ms(r.disturbed, 'p999_us')} ms, sent late p99 ${ms(r.disturbed, 'late_p99_us')} ms; server's processor time ` +
		`${r.calm.cpu.toFixed(2)} -> ${r.disturbed.cpu.toFixed(2)} s per second`);
	say(`  end: ${r.closed.map(([name, n]) => `${name} ${grouped(n)}`).join(', ') || 'none by the server'}` +
		(r.refused > 0 ? `, answered 503 ${grouped(r.refused)}` : '') +
		(r.last === undefined ? '' : `, from ${r.first.toFixed(1)} to ${r.last.toFixed(1)} s`));
	say(`  in all, and 1 s after the end: server ${mib(r.full.pss - r.was.pss)} and ${mib(r.ended.pss - r.was.pss)} MiB; its sockets ` +
		`${mib(r.full.sockets - r.was.sockets)} and ${mib(r.ended.sockets - r.was.sockets)} MiB`);
}

export async function attacks() {
	const hello = await clientHello();
	const half = request('/echo').slice(0, 100);
	const certificate = makeCertificate();
	const rows = [
		{ title: 'Connected, nothing sent', count: 20000, args: [] },
		{ title: 'Half a request head', count: 20000, args: [`--send=${file('half', half)}`] },
		{ title: 'TLS, nothing sent', count: 20000, args: [], overTls: true },
		{ title: 'TLS, half a ClientHello', count: 20000, args: [`--send=${file('half-hello', hello.subarray(0, hello.length >> 1))}`], overTls: true },
		{ title: 'TLS, a ClientHello and no more', count: 20000, args: [`--send=${file('hello', hello)}`], overTls: true },
		{ title: 'A request head of a byte per second', count: 4000, args: [`--drip=${file('request', request('/echo'))}`] },
		{ title: 'A message of a byte per second', count: 4000, isEndless: true,
			args: [`--send=${file('open', Buffer.concat([Buffer.from(request('/echo')), frame(0, 1048576)]))}`, `--drip=${file('drip', 'x')}`] },
		{ title: 'Readers that stop, /broadcast, less than their queue', count: 1000, publish: 1000,
			args: [`--send=${file('join', request('/broadcast'))}`, '--no-read'] },
		{ title: 'Readers that stop, /broadcast, more than their queue', count: 1000, publish: 5000,
			args: [`--send=${file('join', request('/broadcast'))}`, '--no-read'] },
		{ title: 'Readers that stop, /echo', count: 1000,
			args: [`--send=${file('flood', Buffer.concat([Buffer.from(request('/echo')), ...Array(32).fill(frame(65536))]))}`, '--no-read'] },
		{ title: 'More connections than one worker has files', count: 24000, args: [], settings: ['workers=1'] },
	];

	say();
	say('Attacks on 2 workers, beside 200 well-behaved connections that send 2,000 echoes per second; from nice 19');
	for (const attack of rows.filter((r) => r.title.includes(options.attack)))
		report(await measure({ ...attack, tls: certificate }));
}
