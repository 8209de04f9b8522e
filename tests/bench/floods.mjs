// floods - more than a server can want of connections, messages and readers, and what the well-behaved beside them notice
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import {
	BUILD, LOAD, counters, cpuSeconds, endServer, grouped, later, options, pssBytes, say, slabBytes, start, startHeroldAnywhere,
	startHeroldWithToken, stop, tail,
} from './harness.mjs';
import { NICED, closedBy, file, hold, request, textFrame } from './hostile.mjs';

const FLOOD = path.join(BUILD, 'load_flood');
const BEHAVED = 500;
const CALM_SECONDS = 5, FLOODED_SECONDS = 10;	// of the well-behaved being measured
const WARMUP_MS = 1000;		// of theirs, in which the flood begins
const NEWCOMERS = 40, NEWCOMER_EVERY_MS = 200, WAIT_MS = 2000;
const MEMORY_BYTES = 256 * 2 ** 20;
const PAGE_BYTES = 4096;
const MOST_MS = 5, MOST_TIMES = 5;	// what p99 may become: the larger of them

/** Number: of one of the well-behaved. */
const token = (number) => `tok-of-one-well-behaved-${number}`;

/** The well-behaved: in one room, to all of whom 20 messages per second go, one per second from each of 20. Each has an address, and where
 * tokens are needed a user of his own, and is within the limits. */
async function behave(server, seconds, flood) {
	const before = cpuSeconds(server);
	const child = start(null, LOAD, ['broadcast', `ws://127.0.0.1:${server.port}`, `--connections=${BEHAVED}`, '--publishers=20', '--rate=20',
		`--source=127.1.0.1,${BEHAVED}`, `--bytes=${flood.bytes ?? 128}`, `--warmup-ms=${WARMUP_MS}`, `--seconds=${seconds}`, '--json', ...flood.token ? [`--token=${token('*')}`] : []],
	['ignore', 'pipe', 'pipe']);
	let out = '', problem = '';

	child.stdout.on('data', (data) => { out += data; });
	child.stderr.on('data', (data) => { problem += data; });
	const began = Date.now();
	const [status] = await once(child, 'close');
	const cpu = (cpuSeconds(server) - before) / (Date.now() - began) * 1000;

	return status === 0 ? { ...JSON.parse(out), cpu } : { problem: problem.trim(), cpu };
}

/** Others who want to come in meanwhile, each once: what they are answered, and in what time at most. */
async function newcomers(server, flood) {
	const result = { answers: {}, mostMs: 0 };

	for (let i = 0; i < NEWCOMERS; i++) {
		const began = performance.now();
		const socket = net.connect({ port: server.port, host: '127.0.0.1', localAddress: `127.2.0.${i + 1}` });

		socket.write(request('/broadcast', flood.token ? `Authorization: Bearer ${token(i)}\r\n` : ''));
		const answer = await Promise.race([once(socket, 'data').then(([data]) => data.toString('latin1', 9, 12), (error) => error.code),
			later(WAIT_MS).then(() => 'nothing')]);

		socket.on('error', () => {}).destroy();
		result.answers[answer] = (result.answers[answer] ?? 0) + 1;
		result.mostMs = Math.max(result.mostMs, performance.now() - began);
		await later(NEWCOMER_EVERY_MS);
	}
	return result;
}

/** The most there was at a time, of the server's memory, the kernel's for what TCP sockets hold, and both; looked at every 200 ms. */
function watchMemory(server) {
	const most = { pss: 0, tcp: 0, sum: 0, slab: 0 };
	const look = () => {
		const pss = pssBytes(server.child.pid);
		const tcp = Number(/^TCP:.* mem (\d+)/m.exec(fs.readFileSync('/proc/net/sockstat', 'utf8'))[1]) * PAGE_BYTES;

		for (const [name, bytes] of Object.entries({ pss, tcp, sum: pss + tcp, slab: slabBytes() }))
			most[name] = Math.max(most[name], bytes);
	};
	const first = (look(), { ...most });
	const timer = setInterval(look, 200);

	return { first, most, end: () => clearInterval(timer) };
}

/** A process that floods for as long as the well-behaved are measured, and a little longer. */
async function pour(server, flood) {
	const child = start(null, 'chrt', [...NICED, FLOOD, `--port=${server.port}`, `--seconds=${FLOODED_SECONDS + 2}`, ...flood.pour],
		['ignore', 'pipe', 'inherit']);
	let out = '';

	child.stdout.on('data', (data) => { out += data; });
	const [status] = await once(child, 'close');

	return status === 0 ? JSON.parse(out) : stop('the flood could not be made');
}

/** Connections that are held until the well-behaved are done. */
async function holdDuring(server, flood, behaved) {
	const holding = await hold(server.port, flood.hold);

	await behaved;
	const ends = await holding.end();

	return { seconds: holding.seconds, held: flood.hold.count - ends.ended, ...ends };
}

const risen = (before, after) => Object.entries(after).map(([name, n]) => [name, n - (before[name] ?? 0)]).filter(([, n]) => n > 0);

async function measure(flood) {
	const settings = ['workers=2', 'limit_exempt=', `memory_bytes=${MEMORY_BYTES}`];
	const server = flood.token ? await startHeroldWithToken(token(0), `token_file=${flood.token}`, ...settings) : await startHeroldAnywhere(...settings);
	const calm = await behave(server, CALM_SECONDS, flood);

	if (calm.problem)
		stop(`the well-behaved were not served: ${calm.problem}\n${tail(server.log)}`);
	const before = await counters(server);
	const memory = watchMemory(server);
	const behaved = behave(server, FLOODED_SECONDS, flood);

	await later(WARMUP_MS / 2);
	const coming = newcomers(server, flood);
	const came = await (flood.pour ? pour(server, flood) : holdDuring(server, flood, behaved));
	const [flooded, newly] = await Promise.all([behaved, coming]);

	memory.end();
	await later(200);
	const after = await counters(server);

	await endServer(server);
	return { flood, calm, flooded, newly, came, memory, closed: closedBy(before, after),
		status: risen(before.http_status, after.http_status), errors: risen(before.chat_errors, after.chat_errors),
		limited: risen(before, after).filter(([name]) => name.startsWith('limited') || name.startsWith('memory')) };
}

/** "401 49,990, 503 10" */
const listed = (counts) => counts.filter(([, n]) => n > 0).map(([name, n]) => `${name} ${grouped(n)}`).join(', ') || 'none';
const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);
const verdict = (holds) => holds ? 'held' : 'NOT HELD';

function reportBehaved({ calm, flooded, newly }) {
	const ms = (result, what) => (result[what] / 1000).toFixed(2);
	const was = (what) => `${ms(calm, what)} -> ${ms(flooded, what)} ms`;
	const bound = Math.max(MOST_TIMES * calm.p99_us, MOST_MS * 1000);

	if (flooded.problem) {
		process.exitCode = 1;
		say(`  well-behaved: NOT SERVED: ${flooded.problem}`);
		return;
	}
	say(`  well-behaved: p50 ${was('p50_us')}, p99 ${was('p99_us')}, max ${was('max_us')}; sent late p99 ${was('late_p99_us')}`);
	say(`  p99 at most ${(bound / 1000).toFixed(2)} ms: ${verdict(flooded.p99_us <= bound)}; of ${grouped(flooded.messages)} deliveries ` +
		`${grouped(flooded.missing)} missing` + (flooded.others > 0 ? `; ${grouped(flooded.others)} came of the flood` : ''));
	say(`  newcomers: ${listed(Object.entries(newly.answers))}, after ${newly.mostMs.toFixed(1)} ms at most`);
}

function reportFlood({ flood, came, closed, status, errors, limited, calm, flooded }) {
	if (flood.pour) {
		const messages = came.sent + came.unsent > 0;
		// Of messages, one connection at a time is wanted: that there is no room for more says nothing.
		const counts = [...messages ? ['sent', 'unsent'] : ['no_room'], 'started', 'no_port', 'ended', 'reset', 'unanswered', 'dropped', 'held']
			.map((name) => [name, came[name]]);

		say(`  flood, in ${came.seconds.toFixed(0)} s: ${listed(counts)}; answers: ${listed(Object.entries(came.status))}; close codes: ` +
			listed(Object.entries(came.code)));
	} else {
		say(`  flood: ${grouped(flood.hold.count)} in ${came.seconds.toFixed(1)} s; at the end held ${grouped(came.held)}, ended by the server ` +
			`${grouped(came.ended)}, of them answered 429 ${grouped(came.limited)}, 503 ${grouped(came.refused)}`);
	}
	say(`  server: ended ${listed(closed)}; answered ${listed(status)}; errors ${listed(errors)}` +
		(limited.length > 0 ? `; ${listed(limited)}` : '') + `; processor time ${calm.cpu.toFixed(2)} -> ${flooded.cpu.toFixed(2)} s per second`);
}

function report(result) {
	const { first, most } = result.memory;

	say();
	say(result.flood.title);
	reportBehaved(result);
	reportFlood(result);
	say(`  memory, before and most: server ${mib(first.pss)}, ${mib(most.pss)} MiB; TCP ${mib(first.tcp)}, ${mib(most.tcp)} MiB; both ` +
		`${mib(most.sum)} MiB of ${mib(MEMORY_BYTES)}: ${verdict(most.sum <= MEMORY_BYTES)}; slabs of both ends +${mib(most.slab - first.slab)} MiB`);
}

function rows() {
	const tokens = file('tokens', JSON.stringify(Array.from({ length: BEHAVED },
		(_, i) => ({ token: token(i), user: `behaved-${i}`, rights: ['publish'] }))));
	const refused = [`--request=${file('refused', request('/echo', 'Authorization: Bearer tok-that-nobody-ever-gave-77c2\r\n'))}`,
		'--connects-per-second=5000', '--connections=10000'];
	const words = 'x'.repeat(112);
	const message = ['--connections=1', '--messages-per-second=100000', '--connects-per-second=1000'];
	const echo = file('message', textFrame(`other-----------${words}`));
	const login = textFrame(JSON.stringify({ type: 'login', userId: 'flood', name: 'Flood', resume: 'aaaaaaaaaaaaaaaaaaaaaa' }));
	const chat = file('chat', textFrame(JSON.stringify({ type: 'chat', message: words })));
	// Of so many addresses that none has more connections, or comes more often, than one may.
	const address = (i) => `127.0.${i + 1}.2`;
	const idle = (...args) => ({ count: 20000, args: ['--sources=100', '--per-second=1000', ...args], address });

	return [
		{ title: '5,000 connects per second with refused tokens, of 100 addresses', token: tokens, pour: [...refused, '--sources=100'] },
		{ title: '5,000 connects per second with refused tokens, of one address', token: tokens, pour: refused },
		{ title: 'A client that sends 100,000 messages per second on /echo',
			pour: [...message, `--request=${file('echo', request('/echo'))}`, `--message=${echo}`] },
		{ title: 'A client that sends 100,000 messages per second on /broadcast, where the well-behaved are',
			pour: [...message, `--request=${file('broadcast', request('/broadcast'))}`, `--message=${echo}`] },
		{ title: 'A client that sends 100,000 messages per second in the chat', pour: [...message, `--request=${file('ws', request('/ws'))}`,
			`--first=${file('login', login)}`, '--until=login_ok', `--message=${chat}`] },
		{ title: '20,000 connections that send nothing', hold: idle() },
		{ title: '20,000 connections with half a request', hold: idle(`--send=${file('half', request('/ws').slice(0, 100))}`) },
		{ title: '20,000 WebSockets that are silent, on /ws', hold: idle(`--send=${file('ws', request('/ws'))}`) },
		{ title: '1,000 readers that never read, on /broadcast with the well-behaved, 20 messages of 4 KiB per second', bytes: 4096,
			hold: { count: 1000, address, args: ['--sources=5', '--no-read', `--send=${file('broadcast', request('/broadcast'))}`] } },
	];
}

export async function floods() {
	say();
	say(`Floods on 2 workers, beside ${BEHAVED} well-behaved clients in one room with 20 messages per second; from nice ${options.nice}`);
	for (const flood of rows().filter((r) => r.title.includes(options.flood)))
		report(await measure(flood));
}
