// tokens - what an issuer does: keys, signed tokens, files of static tokens
import { createHmac, createSign, generateKeyPairSync, sign as signWith, constants } from 'node:crypto'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const directory = mkdtempSync(join(tmpdir(), 'herold-tokens-'))

process.once('exit', () => rmSync(directory, { recursive: true, force: true }))

/** A file of that name, for Herold, which may be started by root; its path. In place of what was there, whole. */
export function file(name, content) {
	const path = join(directory, name)

	writeFileSync(`${path}.new`, typeof content === 'string' ? content : JSON.stringify(content))
	renameSync(`${path}.new`, path)
	return path
}
export const read = (name) => readFileSync(join(directory, name), 'utf8')

export const SECRET = 'a secret of as many bytes as a digest of SHA-512 has, and some more'
export const PAIRS = {
	rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
	rsa2: generateKeyPairSync('rsa', { modulusLength: 2048 }),
	p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
	p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
	ed: generateKeyPairSync('ed25519'),
}
export const publicPem = (pair) => pair.publicKey.export({ type: 'spki', format: 'pem' })
export const jwk = (pair, more) => ({ ...pair.publicKey.export({ format: 'jwk' }), ...more })

export const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
export const now = () => Math.floor(Date.now() / 1000)

const hash = (alg) => `sha${alg.slice(2)}`

/** The signature of an algorithm: by the secret (a text), or by a pair. */
export function signature(alg, key, input) {
	if (alg.startsWith('HS'))
		return createHmac(hash(alg), key).update(input).digest()
	if (alg === 'EdDSA')
		return signWith(null, Buffer.from(input), key.privateKey)
	if (alg.startsWith('ES'))
		return signWith(hash(alg), Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' })
	if (alg.startsWith('PS'))
		return signWith(hash(alg), Buffer.from(input), { key: key.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST })
	return createSign(hash(alg)).update(input).sign(key.privateKey)
}

/** A token. claims: over { sub: 'u1', exp: in an hour }, or a text that is to be the payload; header: over { alg, typ }. */
export function jwt(claims = {}, { alg = 'HS256', key = SECRET, header = {} } = {}) {
	const payload = typeof claims === 'string' ? claims : JSON.stringify({ sub: 'u1', exp: now() + 3600, ...claims })
	const input = `${encode(typeof header === 'string' ? header : { alg, typ: 'JWT', ...header })}.${encode(payload)}`

	return `${input}.${signature(alg, key, input).toString('base64url')}`
}
