// big - small echoes beside one large message after the other, on the same worker: echoed, and through the broker
import { LOAD, PINNED, endServer, family, loadWith, median, onCore, options, row, say, start, startHerold, stop } from './harness.mjs';

const MIB = 1 << 20;
const SMALL = ['--connections=1000', '--rate=4000'];
const BESIDE = [[16, '/echo'], [16, '/broadcast'], [1, '/broadcast']]
	.map(([mib, path]) => ({ name: `beside ${mib} MiB on ${path}`, mib, path, small: [], big: [] }));

// It shares the load's core, and yields to whoever else wants it (SCHED_IDLE, the last of all nice levels).
function startBig(server, { mib, path }, seconds) {
	const [program, args] = onCore(PINNED ? 1 : 0, LOAD, ['echo', `ws://127.0.0.1:${server.port}${path}`, '--connections=1',
		`--bytes=${mib * MIB}`, `--pids=${family(server.child.pid).join()}`, `--seconds=${seconds}`, '--json']);
	const child = start(null, 'chrt', ['--idle', '0', program, ...args], ['ignore', 'pipe', 'inherit']);
	let out = '';

	child.stdout.on('data', (data) => { out += data; });
	return new Promise((done) => child.on('close', (status) => status === 0 ? done(JSON.parse(out)) : stop('the big messages failed')));
}

async function round(server, alone) {
	const seconds = Math.max(Number(options.seconds), 4);
	const small = () => loadWith(LOAD, server, 'echo', ...SMALL, `--seconds=${seconds}`);

	alone.push(small());
	for (const beside of BESIDE) {
		const big = startBig(server, beside, seconds + 1);

		// The small ones take 0.3 s before they count, in which the big one gets going.
		beside.small.push(small());
		beside.big.push(await big);
	}
}

function reportSmall(name, results) {
	const ms = (what) => (median(results.map((r) => r[what])) / 1000).toFixed(2);

	row(name, ms('p50_us'), `${ms('p99_us')} (${results.map((r) => (r.p99_us / 1000).toFixed(2)).join(', ')})`, ms('p999_us'), ms('late_p99_us'));
}

export async function bigBesideSmall() {
	const server = await startHerold(`max_message_bytes=${16 * MIB}`, 'link_queue_bytes=134217728');
	const alone = [];

	for (let i = 0; i < Number(options.rounds); i++)
		await round(server, alone);
	await endServer(server);

	say();
	say('Small echoes: 64 bytes on 1,000 connections, each every 250 ms; times from when each was due');
	row('', 'p50 ms', 'p99 ms (all)', 'p99.9 ms', 'p99 late');
	reportSmall('alone', alone);
	for (const { name, small } of BESIDE)
		reportSmall(name, small);
	for (const { mib, path, big } of BESIDE) {
		say(`The big one on ${path}: ${median(big.map((r) => r.per_second)).toFixed(1)} messages of ${mib} MiB per second, in and out; ` +
			`${median(big.map((r) => r.messages / r.seconds * r.bytes * 2 / MIB)).toFixed(0)} MiB/s.`);
	}
}
