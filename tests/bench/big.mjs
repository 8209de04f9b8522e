// big - small echoes beside one message of 16 MiB after the other, on the same worker
import { LOAD, PINNED, endServer, family, loadWith, median, onCore, options, row, say, start, startHerold, stop } from './harness.mjs';

const BIG_BYTES = 16 << 20;
const SMALL = ['--connections=1000', '--rate=4000'];
const PHASES = ['alone', 'beside the big one'];

// It shares the load's core, and yields to whoever else wants it (SCHED_IDLE, the last of all nice levels).
function startBig(server, seconds) {
	const [program, args] = onCore(PINNED ? 1 : 0, LOAD, ['echo', `ws://127.0.0.1:${server.port}`, '--connections=1', `--bytes=${BIG_BYTES}`,
		`--pids=${family(server.child.pid).join()}`, `--seconds=${seconds}`, '--json']);
	const child = start(null, 'chrt', ['--idle', '0', program, ...args], ['ignore', 'pipe', 'inherit']);
	let out = '';

	child.stdout.on('data', (data) => { out += data; });
	return new Promise((done) => child.on('close', (status) => status === 0 ? done(JSON.parse(out)) : stop('the big messages failed')));
}

async function round(server, results) {
	const seconds = Math.max(Number(options.seconds), 4);

	results.alone.push(loadWith(LOAD, server, 'echo', ...SMALL, `--seconds=${seconds}`));
	const big = startBig(server, seconds + 1);

	// The small ones take 0.3 s before they count, in which the big one gets going.
	results[PHASES[1]].push(loadWith(LOAD, server, 'echo', ...SMALL, `--seconds=${seconds}`));
	results.big.push(await big);
}

export async function bigBesideSmall() {
	const server = await startHerold(`max_message_bytes=${BIG_BYTES}`, 'link_queue_bytes=134217728');
	const results = { [PHASES[0]]: [], [PHASES[1]]: [], big: [] };

	for (let i = 0; i < Number(options.rounds); i++)
		await round(server, results);
	await endServer(server);
	const ms = (phase, what) => (median(results[phase].map((r) => r[what])) / 1000).toFixed(2);

	say();
	say('Small echoes: 64 bytes on 1,000 connections, each every 250 ms; times from when each was due');
	row('', 'p50 ms', 'p99 ms (all)', 'p99.9 ms', 'p99 late');
	for (const phase of PHASES) {
		const all = results[phase].map((r) => (r.p99_us / 1000).toFixed(2));

		row(phase, ms(phase, 'p50_us'), `${ms(phase, 'p99_us')} (${all.join(', ')})`, ms(phase, 'p999_us'), ms(phase, 'late_p99_us'));
	}
	say(`The big one: ${median(results.big.map((r) => r.per_second)).toFixed(1)} messages of 16 MiB per second, in and out; ` +
		`${median(results.big.map((r) => r.messages / r.seconds * r.bytes * 2 / 2 ** 20)).toFixed(0)} MiB/s.`);
}
