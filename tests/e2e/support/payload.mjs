// payload - messages for tests: the same for the same arguments, so that a failure can be had again

/** Numbers of [0, 1) from a seed (mulberry32). */
export function seeded(seed) {
	let state = seed >>> 0

	return () => {
		state = (state + 0x6d2b79f5) >>> 0
		let t = Math.imul(state ^ (state >>> 15), state | 1)

		t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
	}
}

/** So many bytes that no compressor makes smaller. */
export function binaryOf(size, seed = 1) {
	const words = new Uint32Array(Math.ceil(size / 4))
	let x = (Math.imul(seed, 0x9e3779b1) >>> 0) | 1

	for (let i = 0; i < words.length; i++) {
		x ^= x << 13
		x ^= x >>> 17
		x ^= x << 5
		words[i] = x
	}
	return Buffer.from(words.buffer, 0, size)
}

const WORDS = 'Grüße aus Köln 🙂 · κόσμε · здравствуй · 日本 · 0123456789 · '

/** UTF-8 of so many bytes, with characters of one to four. */
export function textOf(size) {
	const all = Buffer.from(WORDS.repeat(Math.ceil(size / Buffer.byteLength(WORDS))))
	let end = size

	while (end > 0 && end < all.length && (all[end] & 0xc0) === 0x80)
		end--
	return Buffer.concat([all.subarray(0, end), Buffer.alloc(size - end, '.')])
}
