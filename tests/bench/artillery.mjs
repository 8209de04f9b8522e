// artillery - a client that others have written: its scripts of tests/load/external against Herold
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { BUILD, ROOT, counters, endServer, onCore, row, say, startHerold, stop } from './harness.mjs';
import { install, version } from './packages.mjs';

const DIR = path.join(BUILD, 'external');
const RUN_MS = 60000;

// What it asks and how many answers there must be.
const SCRIPTS = [
	{ script: 'artillery-echo.yml', answers: { echo: 2000 } },
	{ script: 'artillery-chat.yml', answers: { login: 100, chat: 1000 } },
];

function run(script, server) {
	const report = path.join(DIR, 'report.json');
	const [program, args] = onCore(1, path.join(DIR, 'node_modules/.bin/artillery'),
		['run', '--quiet', '--target', `ws://127.0.0.1:${server.port}`, '--output', report, script]);

	try {
		execFileSync(program, args, { cwd: DIR, timeout: RUN_MS, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'],
			env: { ...process.env, ARTILLERY_DISABLE_TELEMETRY: 'true' } });
	} catch (error) {
		stop(`artillery ${script}: ${error.stdout}${error.stderr || error.message}`);
	}
	return JSON.parse(fs.readFileSync(report, 'utf8')).aggregate;
}

export async function artillery() {
	const missing = install(path.join(ROOT, 'tests/load/external'), DIR);

	say();
	if (missing) {
		say(`Artillery: ${missing}`);
		return;
	}
	const server = await startHerold();

	say(`Artillery ${version(DIR, 'artillery')}: clients that come, ask, wait for each answer, and go`);
	row('', 'answers', 'p50, p99 ms', 'all came', 'clients', 'failed');
	for (const { script, answers } of SCRIPTS) {
		const { counters: counted, summaries } = run(script, server);

		for (const [name, wanted] of Object.entries(answers)) {
			const times = summaries[`${name} ms`];

			row(`${script}: ${name}`, counted[`${name} answered`], `${times.p50}, ${times.p99}`, counted[`${name} answered`] === wanted ? 'yes' : 'NO',
				counted['vusers.completed'], counted['vusers.failed']);
		}
		if (counted['vusers.failed'] > 0)
			stop(`artillery ${script}: clients failed`);
	}
	const { messages_received: heard } = await counters(server);

	say(`Herold counted ${heard} messages.`);
	await endServer(server);
}
