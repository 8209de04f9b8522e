// inside - what the programs do for each message, counted where counting says more than timing
import { execFileSync } from 'node:child_process';
import path from 'node:path';

import { BUILD, onCore, say } from './harness.mjs';

/** How fast masks are taken off and text is checked. */
export function bytes() {
	say();
	say('Unmasking and UTF-8 validation beside memcpy, on one core');
	for (const line of execFileSync(...onCore(0, path.join(BUILD, 'bench_bytes'), []), { encoding: 'utf8' }).trimEnd().split('\n'))
		say(line);
}
