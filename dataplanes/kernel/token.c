/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "dataplanes/kernel/token.h"

enum { BYTES = TOKEN_TEXT / 2 };

bool token_present(const struct message *m)
{
	static const uint8_t unsigned_tag[TOKEN_TAG];

	return memcmp(m->tag, unsigned_tag, TOKEN_TAG) != 0;
}

void token_write(char text[TOKEN_TEXT + 1], uint64_t id, const uint8_t tag[TOKEN_TAG])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t bytes[BYTES];

	for (unsigned i = 0; i < sizeof(id); i++)
		bytes[i] = (uint8_t)(id >> (56 - 8 * i));
	memcpy(bytes + sizeof(id), tag, TOKEN_TAG);
	for (unsigned i = 0; i < BYTES; i++) {
		text[2 * i] = hex[bytes[i] >> 4];
		text[2 * i + 1] = hex[bytes[i] & 15];
	}
	text[TOKEN_TEXT] = '\0';
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool token_read(struct slice text, uint64_t *id, uint8_t tag[TOKEN_TAG])
{
	uint8_t bytes[BYTES];

	if (text.length != TOKEN_TEXT)
		return false;
	for (unsigned i = 0; i < BYTES; i++) {
		const int high = digit(text.at[2 * i]), low = digit(text.at[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	*id = 0;
	for (unsigned i = 0; i < sizeof(*id); i++)
		*id = *id << 8 | bytes[i];
	memcpy(tag, bytes + sizeof(*id), TOKEN_TAG);
	return true;
}
