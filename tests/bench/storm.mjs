// storm - 100,000 users of the chat are cut off at once and come back, while others go on writing and reading. README.md says how.
import { execFileSync } from 'node:child_process';
import path from 'node:path';

import { LOAD, endServer, family, grouped, heroldArgs, later, options, say, startServer, stop, tail } from './harness.mjs';
import { isInNamespace, netstat, refuseUnlessPossible, runInNamespace, setUpNamespace, workersFor } from './namespace.mjs';

const CUT = Math.min(Number(options.connections), 100000), STAYING = 2000, ROOMS = Math.ceil((CUT + STAYING) / 10);
// Beside as many workers as the files of a process ask for: nothing, and what a host sets whose clients are cut off in crowds by something else than Herold.
const SETTINGS = [[], ['leave_grace_seconds=30']];
// So many clients share one at most, so that the limits of an address are none of them.
const ADDRESSES = 20000;
const SECONDS = 45;

const ms = (us) => `${grouped(us / 1000)} ms`;

async function round(settings) {
	const server = await startServer('storm', options.herold, heroldArgs([`workers=${workersFor(CUT + STAYING)}`, 'limit_exempt=', ...settings]), ['/echo'], null);
	const overflows = netstat('ListenOverflows'), drops = netstat('ListenDrops');
	// Opened at a pace that is let in.
	const args = ['reconnect', `ws://127.0.0.1:${server.port}`, `--connections=${CUT + STAYING}`, `--cut=${CUT}`, `--rooms=${ROOMS}`, '--publishers=200', '--rate=100',
		`--seconds=${SECONDS}`, '--warmup-ms=5000', '--at-once=512', '--connect-rate=4500', '--backoff-ms=500', `--source=127.1.0.0,${ADDRESSES}`,
		`--pids=${family(server.child.pid).join()}`, '--json', `--lost-ok=${CUT}`];
	let r;

	try {
		r = JSON.parse(execFileSync(LOAD, args, { encoding: 'utf8', timeout: 180000, stdio: ['ignore', 'pipe', 'pipe'] }));
	} catch (error) {
		// Nothing arrived whole, but it is said what did.
		if (!error.stdout?.startsWith('{'))
			stop(`herold-load ${args.join(' ')}: ${error.stderr || error.message}\n${tail(server.log)}`);
		r = JSON.parse(error.stdout);
	}
	say();
	say(`${settings.join(', ') || 'default options'}: ${grouped(r.cut)} cut off, ${grouped(r.cut - r.not_back)} back: half of them after ${ms(r.back_p50_us)}, 99 % after ${ms(r.back_p99_us)}, ` +
		`the last after ${ms(r.back_max_us)}`);
	say(`  recovered ${grouped(r.recovered)}, not ${grouped(r.resets)}; ${grouped(r.recovered_messages)} messages by recovery; missing ${r.missing}, twice ${r.duplicates}; ` +
		`further attempts ${grouped(r.retries)} (${Object.entries(r.causes).map(([why, count]) => `${why}: ${grouped(count)}`).join(', ') || 'none'})`);
	say(`  ListenOverflows ${netstat('ListenOverflows') - overflows}, ListenDrops ${netstat('ListenDrops') - drops}, SYNs sent again ${r.syn_retransmits}`);
	say(`  the others' deliveries: p99 ${ms(r.before_p99_us)} before, ${ms(r.during_p99_us)} until all were back; sent late: p99 ${ms(r.late_p99_us)}`);
	say(`  ${r.cpu_seconds.toFixed(1)} s of server CPU in ${r.seconds.toFixed(0)} s`);
	await endServer(server);
	await later(1000);
}

export async function storm() {
	refuseUnlessPossible(CUT + STAYING);
	if (!isInNamespace) {
		if (runInNamespace(process.argv[1], ['--only=storm', ...process.argv.slice(2).filter((arg) => !arg.startsWith('--only'))]) !== 0)
			stop('the storm could not be made');
		return;
	}
	setUpNamespace();
	say();
	say(`A storm: ${grouped(CUT)} users of ${ROOMS} rooms are cut off at once, ${grouped(STAYING)} stay; 100 messages per second; ${workersFor(CUT + STAYING)} workers`);
	for (const settings of SETTINGS)
		await round(settings);
}
