// peers - other servers, as their users have them, to be measured beside Herold: ws, Socket.IO, and nginx with nchan
//
// A peer that cannot be had stays in the tables, with the reason.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { BUILD, ROOT, startServer } from './harness.mjs';
import { install, version } from './packages.mjs';

const SOURCES = path.join(ROOT, 'tests/bench/peers');
const DIR = path.join(BUILD, 'peers');
const NCHAN = '/usr/lib/nginx/modules/ngx_nchan_module.so';

let packages;
const packagesProblem = () => packages ??= install(SOURCES, DIR);

const startNode = (name, file, paths) => startServer(name, process.execPath, (port) => [path.join(DIR, file), String(port)], paths);

async function startWs() {
	const missing = packagesProblem();

	if (missing)
		return { name: 'ws', missing };
	return { ...await startNode('ws', 'ws.mjs', ['/echo']), about: `ws ${version(DIR, 'ws')} on Node.js ${process.version}` };
}

async function startSocketIo() {
	const missing = packagesProblem();

	if (missing)
		return { name: 'Socket.IO', missing };
	return {
		...await startNode('Socket.IO', 'socketio.mjs', ['/socket.io/?EIO=4&transport=websocket']),
		load: path.join(BUILD, 'load_socketio'), about: `Socket.IO ${version(DIR, 'socket.io')} on Node.js ${process.version}`,
	};
}

function nginxVersion() {
	try {
		return execFileSync('sh', ['-c', 'nginx -v 2>&1'], { encoding: 'utf8' }).trim().split('/').at(-1);
	} catch {
		return '';
	}
}

async function startNchan() {
	const nginx = nginxVersion();
	const dir = path.join(DIR, 'nginx');

	if (!nginx || !fs.existsSync(NCHAN))
		return { name: 'nchan', missing: 'not installed (Debian packages nginx and libnginx-mod-nchan)' };
	fs.mkdirSync(dir, { recursive: true });
	const makeArgs = (port) => {
		const words = { PORT: port, DIR: dir, MODULE: NCHAN };
		const text = fs.readFileSync(path.join(SOURCES, 'nchan.conf'), 'utf8').replace(/^[^#]*$/gm, (line) =>
			line.replace(/\b(PORT|DIR|MODULE)\b/g, (word) => words[word]));

		fs.writeFileSync(path.join(dir, 'nginx.conf'), text);
		return ['-p', dir, '-c', path.join(dir, 'nginx.conf'), '-e', 'stderr'];
	};

	return { ...await startServer('nchan', 'nginx', makeArgs, ['/broadcast']), about: `nginx ${nginx} with nchan` };
}

const STARTS = { ws: startWs, 'Socket.IO': startSocketIo, nchan: startNchan };

/** One after the other; by name. A peer that is missing says why: { name, missing }. */
export const startPeer = (name) => STARTS[name]();
