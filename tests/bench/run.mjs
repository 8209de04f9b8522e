#!/usr/bin/env node
// The bench: Herold beside bare epoll loops and other servers, in the same minutes on the same machine. README.md says what and why.
// Exit status: non-zero only when something could not run, or a message was lost. A slow server is a result, not an error.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { artillery } from './artillery.mjs';
import { attacks } from './attacks.mjs';
import { bigBesideSmall } from './big.mjs';
import { connects, echoes, fans, idle } from './comparison.mjs';
import { compression } from './compression.mjs';
import { fanIn } from './fanin.mjs';
import { floods } from './floods.mjs';
import { growth } from './growth.mjs';
import { BUILD, PINNED, ROOT, charts, lines, options, say, stop } from './harness.mjs';
import { bytes, instructions, steadily } from './inside.mjs';
import { latency } from './latency.mjs';
import { memory, wave } from './memory.mjs';
import { sheet } from './plot.mjs';
import { overRedis } from './redis.mjs';
import { scrapes } from './scrape.mjs';
import { storm } from './storm.mjs';
import { overTls } from './tls.mjs';

function where() {
	const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim();
	return `${os.cpus().length} x ${os.cpus()[0].model.trim()}, Linux ${os.release()}, commit ${commit}, ` +
		`${options.rounds} rounds of ${options.seconds} s, ${new Date().toISOString().slice(0, 10)}`;
}

say(`Herold's bench: ${where()}`);
if (!PINNED)
	say('One core only: server and load share it.');
const SECTIONS = {
	echo: echoes, fan: fans, connects, latency, idle, compress: compression, bytes, tls: overTls, big: bigBesideSmall, redis: overRedis, artillery,
	attacks, floods, growth, fanin: fanIn, steady: steadily, instructions, storm, memory, wave, scrape: scrapes,
};

for (const name of options.only.split(',')) {
	if (!Object.hasOwn(SECTIONS, name))
		stop(`there is no section ${name}: ${Object.keys(SECTIONS).join(', ')}`);
	await SECTIONS[name]();
}
fs.writeFileSync(path.join(BUILD, 'bench.txt'), `${lines.join('\n')}\n`);
if (charts.length > 0)
	fs.writeFileSync(path.join(BUILD, 'bench.svg'), sheet({ title: 'Herold and others', note: where(), charts }));
process.exit();
