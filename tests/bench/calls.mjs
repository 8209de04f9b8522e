// calls - what a server's processes asked of allocator and kernel, as count_calls.so counts it
import fs from 'node:fs';

const NAMES = ['mallocs', 'frees', 'sendmsgs', 'recvs', 'turns'];
const ROWS = 128;
const ROW_BYTES = 8 * (1 + NAMES.length);

/** A new file for the counts; the environment makes a program and all that it starts write there. */
export function countCalls(library, file) {
	fs.writeFileSync(file, Buffer.alloc(ROWS * ROW_BYTES));
	return { file, env: { LD_PRELOAD: library, COUNT_CALLS: file } };
}

/** Of each process by its pid, so far. */
export function callsOf({ file }) {
	const bytes = fs.readFileSync(file);
	const calls = new Map();

	for (let at = 0; at < bytes.length; at += ROW_BYTES) {
		const number = (column) => Number(bytes.readBigUInt64LE(at + 8 * column));
		if (number(0) > 0)
			calls.set(number(0), Object.fromEntries(NAMES.map((name, i) => [name, number(i + 1)])));
	}
	return calls;
}

/** What came since. */
export const callsBetween = (before, after) => Object.fromEntries(NAMES.map((name) => [name, after[name] - before[name]]));
