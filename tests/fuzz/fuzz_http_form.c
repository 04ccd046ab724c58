/* SPDX-License-Identifier: BSD-2-Clause */
/* Forms and cookies: a value fits its room, has its NUL, and none inside. */
#include "chain/http.h"
#include "tests/fuzz/fuzz.h"

static void check(ssize_t n, const char *out, size_t room)
{
	PROMISE(n >= 0 || n == -ENOENT || n == -EMSGSIZE || n == -EBADMSG);
	if (n >= 0)
		PROMISE((size_t)n < room && strlen(out) == (size_t)n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "a", "id", "name", "", "a b" };
	const char *text = (const char *)data;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		for (size_t room = 0; room <= 16; room += 8) {
			char *out = malloc(room + !room);

			if (!out)
				return 0;
			check(http_form_value(text, size, names[i], out, room), out, room);
			check(http_cookie_value(text, size, names[i], out, room), out, room);
			free(out);
		}
	}
	return 0;
}
