// callgrind - instructions of a running process, as valgrind counts them, by the library that they are in
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

/** What starts a program under callgrind; its outputs go to that folder. */
export function underCallgrind(folder) {
	fs.rmSync(folder, { recursive: true, force: true });
	fs.mkdirSync(folder, { recursive: true });
	return ['valgrind', '-q', '--tool=callgrind', '--trace-children=yes', `--callgrind-out-file=${path.join(folder, '%p')}`];
}

const control = (...args) => execFileSync('callgrind_control', args, { stdio: 'ignore' });

/** Forgets what was counted so far. */
export const beginCounting = (pid) => control('-z', String(pid));

/* NAME of "(number) NAME", or of "(number)", which was named before. */
function named(names, text) {
	const [, number, name] = /^\((\d+)\)(?: (.*))?$/.exec(text);

	if (name !== undefined)
		names.set(number, name);
	return names.get(number);
}

/* Adds up the costs of lines; those of calls are in what was called already. */
function sums(text) {
	const names = { ob: new Map(), fn: new Map() };
	const at = {};
	const sum = { objects: new Map(), functions: new Map() };
	let isCall = false;

	for (const line of text.split('\n')) {
		const [, key, value] = /^(c?ob|c?fn|calls)=(.*)$/.exec(line) ?? [];

		if (key === 'calls') {
			isCall = true;
		} else if (key !== undefined) {
			const name = named(names[key.slice(-2)], value);
			at[key] = name;
		} else if (/^[+\-*\d]/.test(line)) {
			const cost = Number(line.split(' ')[1]);

			if (!isCall) {
				sum.objects.set(at.ob, (sum.objects.get(at.ob) ?? 0) + cost);
				sum.functions.set(at.fn, (sum.functions.get(at.fn) ?? 0) + cost);
			}
			isCall = false;
		}
	}
	return sum;
}

/** What was counted since: { objects, functions }, maps of names to instructions. */
export function endCounting(folder, pid) {
	const before = new Set(fs.readdirSync(folder));

	control('-d', String(pid));
	const [file] = fs.readdirSync(folder).filter((name) => name.startsWith(`${pid}.`) && !before.has(name));
	return sums(fs.readFileSync(path.join(folder, file), 'utf8'));
}
