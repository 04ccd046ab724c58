/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chunked bodies (RFC 9112 §7.1), decoded as they arrive:
 *
 *     5;ext CRLF hello CRLF   0 CRLF   Trailer: x CRLF   CRLF
 *     SIZE  EXT  DATA  ....   SIZE     TRAILER           END
 *
 * Extensions and trailers are checked, bounded and dropped.
 */
#include "chain/http.h"
#include "chain/http_chars.h"

enum {
	SIZE_LINE_MAX = 256,        /* a size and its extensions, bytes */
	TRAILER_MAX = 4 << 10,      /* all trailer fields, bytes */
};

/* clang-format off */
enum state {
	SIZE_FIRST, SIZE, EXT, SIZE_LF,
	DATA, DATA_CR, DATA_LF,
	TRAILER_FIRST, TRAILER, TRAILER_LF, END_LF, DONE
};
/* clang-format on */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte outside of chunk data. 0, 1 at the end, or minus a status. */
static int step(struct http_chunks *c, char b, uint64_t limit)
{
	int digit;

	switch ((enum state)c->state) {
	case SIZE_FIRST:
	case SIZE:
		digit = hex(b);
		if (digit >= 0) {
			if (c->left > (UINT64_MAX >> 4))
				return -413;
			c->left = c->left << 4 | (uint64_t)digit;
			if (c->left > limit - c->total)
				return -413;
			c->state = SIZE;
			break;
		}
		if (c->state == SIZE_FIRST || (b != ';' && b != '\r'))
			return -400;
		c->state = b == ';' ? EXT : SIZE_LF;
		break;
	case EXT:
		if (b == '\r')
			c->state = SIZE_LF;
		else if (!http_is(b, CHAR_VALUE))
			return -400;
		break;
	case SIZE_LF:
		if (b != '\n')
			return -400;
		c->state = c->left ? DATA : TRAILER_FIRST;
		c->line = 0;
		return 0;
	case DATA_CR:
		if (b != '\r')
			return -400;
		c->state = DATA_LF;
		return 0;
	case DATA_LF:
		if (b != '\n')
			return -400;
		c->state = SIZE_FIRST;
		return 0;
	case TRAILER_FIRST:
		if (b == '\r') {
			c->state = END_LF;
			return 0;
		}
		if (!http_is(b, CHAR_TOKEN))
			return -400;
		c->state = TRAILER;
		break;
	case TRAILER:
		if (b == '\r')
			c->state = TRAILER_LF;
		else if (!http_is(b, CHAR_VALUE))
			return -400;
		break;
	case TRAILER_LF:
		if (b != '\n')
			return -400;
		c->state = TRAILER_FIRST;
		break;
	case END_LF:
		if (b != '\n')
			return -400;
		c->state = DONE;
		return 1;
	case DATA:
	case DONE:
		break;
	}
	c->line++;
	if (c->state <= SIZE_LF)
		return c->line > SIZE_LINE_MAX ? -400 : 0;
	return c->line > TRAILER_MAX ? -431 : 0;
}

int http_dechunk(struct http_chunks *c, const char *in, size_t length, char *out, size_t *used,
		 size_t *made, uint64_t limit)
{
	int rc = c->state == DONE;

	*used = *made = 0;
	if (c->total > limit)
		return -413;
	while (!rc && *used < length) {
		size_t n = length - *used;

		if (c->state != DATA) {
			rc = step(c, in[(*used)++], limit);
			continue;
		}
		if (n > c->left)
			n = (size_t)c->left;
		memmove(out + *made, in + *used, n);
		*used += n;
		*made += n;
		c->total += n;
		c->left -= n;
		if (!c->left)
			c->state = DATA_CR;
	}
	return rc;
}
