// certificates - made by openssl in a folder of their own, which goes with the test's process
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const folder = mkdtempSync(join(tmpdir(), 'herold-tls-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const openssl = (...args) => execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })

export const path = (name) => join(folder, name)
export const read = (name) => readFileSync(path(name))
export const write = (name, bytes) => writeFileSync(path(name), bytes)

/** NAME.pem and NAME.key, for these hosts; by: the name of who signs it, else itself. rsa: a key of that kind. Returns the paths. */
export function certificate(name, { hosts = ['localhost'], by, ca = false, rsa = false } = {}) {
	const key = rsa ? ['rsa:2048'] : ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']

	openssl('req', '-x509', '-newkey', ...key, '-nodes', '-days', '30', '-subj', `/CN=${hosts[0]}`, '-keyout', `${name}.key`, '-out', `${name}.pem`,
		'-addext', `subjectAltName=${hosts.map((host) => /^[\d.]+$/.test(host) ? `IP:${host}` : `DNS:${host}`).join()}`,
		'-addext', `basicConstraints=critical,CA:${ca ? 'TRUE' : 'FALSE'}`)
	if (by !== undefined) {
		openssl('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${hosts[0]}`, '-out', `${name}.csr`)
		openssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${by}.pem`, '-CAkey', `${by}.key`, '-CAcreateserial', '-days', '30', '-out', `${name}.pem`)
	}
	return { pem: path(`${name}.pem`), key: path(`${name}.key`) }
}

/** NAME.der: the word of who signed it that it is good. */
export function ocspResponse(name, by) {
	const serial = openssl('x509', '-in', `${name}.pem`, '-noout', '-serial').toString().trim().replace('serial=', '')

	write('index.txt', `V\t300101000000Z\t\t${serial}\tunknown\t/CN=any\n`)
	openssl('ocsp', '-index', 'index.txt', '-rsigner', `${by}.pem`, '-rkey', `${by}.key`, '-CA', `${by}.pem`, '-issuer', `${by}.pem`,
		'-cert', `${name}.pem`, '-ndays', '1', '-respout', `${name}.der`)
	return path(`${name}.der`)
}
