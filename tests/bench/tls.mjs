// tls - handshakes beside a bare SSL_accept loop, and the memory of TLS connections
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { BUILD, compare, endServer, freePort, grouped, heroldArgs, idleBytes, later, options, report, row, say, start, startServer } from './harness.mjs';

const LOAD_TLS = path.join(BUILD, 'load_tls');

// A certificate of ECDSA P-256, the same for both.
export function makeCertificate() {
	const [key, certificate] = ['bench.key', 'bench.pem'].map((name) => path.join(BUILD, name));

	execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', '/CN=localhost',
		'-keyout', key, '-out', certificate], { stdio: 'ignore' });
	return { key, certificate };
}

const accepts = (port) => new Promise((done) => {
	const socket = net.connect(port, '127.0.0.1', () => done(true)).on('error', () => done(false)).on('close', () => socket.destroy());
	socket.end();
});

async function startTlsFloor({ key, certificate }) {
	const port = await freePort();
	const server = { name: 'SSL_accept floor', port, log: path.join(BUILD, 'bench-tls-floor.log') };
	const log = fs.openSync(server.log, 'w');

	server.child = start(0, path.join(BUILD, 'floor_tls'), [String(port), certificate, key], ['ignore', log, log]);
	fs.closeSync(log);
	while (!(await accepts(port)))
		await later(100);
	return server;
}

export async function startTlsHerold({ key, certificate }, ...more) {
	const tls = await freePort();
	const server = await startServer('herold tls', options.herold, heroldArgs(['workers=1', `tls_listen=127.0.0.1:${tls}`,
		`tls_certificate=${certificate}`, `tls_key=${key}`, ...more]), ['/echo']);

	return { ...server, port: tls };
}

async function handshakes(files) {
	const servers = [await startTlsHerold(files), await startTlsFloor(files)];
	const cells = [['full', 'Full'], ['resumed', 'Resumed']].flatMap(([mode, title]) => [[], ['--tls12']].map((args) => ({
		title: `${title} handshakes, TLS ${args.length > 0 ? '1.2' : '1.3'}, ECDSA P-256, 16 under way`, mode, args, servers, results: {}, load: LOAD_TLS,
	})));

	await compare(cells);
	for (const cell of cells)
		report(cell, 'SSL_accept floor');
	await Promise.all(servers.map(endServer));
}

async function tlsIdle(files) {
	const count = Math.min(Number(options.idle), 2000);

	say();
	say(`Server memory (PSS of all processes) per connection with TLS 1.3, ${grouped(count)}`);
	for (const [what, bytes, mode] of [['on /echo after 100 KB each', '100000', 'idle'], ['after the handshake alone', '0', 'idle'],
		['amid the handshake', '0', 'half'], ['nothing sent yet', '0', 'silent']]) {
		const server = await startTlsHerold(files, 'handshake_seconds=300');

		row(what, `${grouped(await idleBytes(server, count, LOAD_TLS, mode, `--bytes=${bytes}`))} B`);
		await endServer(server);
	}
}

export async function overTls() {
	const files = makeCertificate();

	await handshakes(files);
	await tlsIdle(files);
}
