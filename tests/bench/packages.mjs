// packages - what others have published at npm, installed under build/ and nowhere else
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const INSTALL_MS = 240000;

// npm says the code first, and then in words what it was.
const firstLines = (error) => String(error.stderr || error.message).trim().split('\n').slice(0, 2).join(', ').replaceAll('npm error ', '');

/** Copies the folder's files and installs what its lock file names, once for each state of that file. Returns '', or why it could not. */
export function install(folder, dir) {
	const lock = fs.readFileSync(path.join(folder, 'package-lock.json'), 'utf8');
	const done = path.join(dir, 'installed.json');

	fs.mkdirSync(dir, { recursive: true });
	for (const file of fs.readdirSync(folder))
		fs.copyFileSync(path.join(folder, file), path.join(dir, file));
	if (fs.existsSync(done) && fs.readFileSync(done, 'utf8') === lock)
		return '';
	try {
		execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts', '--fetch-retries=1', '--loglevel=error'],
			{ cwd: dir, timeout: INSTALL_MS, stdio: ['ignore', 'ignore', 'pipe'] });
	} catch (error) {
		return `not installed (${firstLines(error)})`;
	}
	fs.writeFileSync(done, lock);
	return '';
}

export const version = (dir, name) => JSON.parse(fs.readFileSync(path.join(dir, 'node_modules', name, 'package.json'), 'utf8')).version;
