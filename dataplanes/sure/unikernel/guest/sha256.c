/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SHA-256 (FIPS 180-4) behind the few names of OpenSSL that the sidecar calls: libcrypto does not
 * fit in here. The context is OpenSSL's: h the state, data the block, num the bytes in it, Nl and
 * Nh the bits.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

static const uint32_t constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

static uint32_t rotate(uint32_t v, unsigned n)
{
	return v >> n | v << (32 - n);
}

static void compress(uint32_t h[8], const uint8_t block[SHA256_CBLOCK])
{
	uint32_t w[64], s[8];

	for (unsigned i = 0; i < 16; i++) {
		memcpy(&w[i], block + 4 * i, 4);
		w[i] = __builtin_bswap32(w[i]);
	}
	for (unsigned i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		       (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(s, h, sizeof(s));
	for (unsigned i = 0; i < 64; i++) {
		uint32_t t = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
			     ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[i] + w[i];
		uint32_t u = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
			     ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

		memmove(s + 1, s, 7 * sizeof(*s));
		s[4] += t;
		s[0] = t + u;
	}
	for (unsigned i = 0; i < 8; i++)
		h[i] += s[i];
}

int SHA256_Init(SHA256_CTX *c)
{
	static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

	memset(c, 0, sizeof(*c));
	memcpy(c->h, start, sizeof(start));
	c->md_len = SHA256_DIGEST_LENGTH;
	return 1;
}

int SHA256_Update(SHA256_CTX *c, const void *data, size_t bytes)
{
	uint64_t bits = ((uint64_t)c->Nh << 32 | c->Nl) + bytes * 8;
	const uint8_t *at = data;

	c->Nl = (uint32_t)bits;
	c->Nh = (uint32_t)(bits >> 32);
	for (size_t i = 0; i < bytes; i++) {
		((uint8_t *)c->data)[c->num++] = at[i];
		if (c->num == SHA256_CBLOCK) {
			compress(c->h, (const uint8_t *)c->data);
			c->num = 0;
		}
	}
	return 1;
}

int SHA256_Final(unsigned char *digest, SHA256_CTX *c)
{
	uint64_t bits = __builtin_bswap64((uint64_t)c->Nh << 32 | c->Nl);
	uint32_t word;

	SHA256_Update(c, "\x80", 1);
	while (c->num != SHA256_CBLOCK - 8)
		SHA256_Update(c, "", 1);
	SHA256_Update(c, &bits, sizeof(bits));
	for (unsigned i = 0; i < 8; i++) {
		word = __builtin_bswap32(c->h[i]);
		memcpy(digest + 4 * i, &word, 4);
	}
	return 1;
}

/* In a time that does not depend on where they differ. */
int CRYPTO_memcmp(const void *a, const void *b, size_t n)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t differ = 0;

	for (size_t i = 0; i < n; i++)
		differ |= x[i] ^ y[i];
	return differ;
}

void OPENSSL_cleanse(void *at, size_t n)
{
	memset(at, 0, n);
	__asm__ volatile("" : : "r"(at) : "memory");
}
