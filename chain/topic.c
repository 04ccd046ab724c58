/* SPDX-License-Identifier: BSD-2-Clause */
#include "chain/topic.h"

bool topic_name_valid(struct slice name)
{
	return name.length && !memchr(name.at, '+', name.length) &&
	       !memchr(name.at, '#', name.length) && !memchr(name.at, '\0', name.length);
}

bool topic_filter_valid(struct slice f)
{
	if (!f.length)
		return false;
	for (size_t i = 0; i < f.length; i++) {
		const bool first = !i || f.at[i - 1] == '/';
		const bool last = i + 1 == f.length;

		if (!f.at[i])
			return false;
		if (f.at[i] == '+' && (!first || (!last && f.at[i + 1] != '/')))
			return false;
		if (f.at[i] == '#' && (!first || !last))
			return false;
	}
	return true;
}

/* Bytes of the level that begins at `at`. */
static size_t level(struct slice s, size_t at)
{
	const char *end = at < s.length ? memchr(s.at + at, '/', s.length - at) : NULL;

	return end ? (size_t)(end - s.at) - at : s.length - at;
}

bool topic_matches(struct slice f, struct slice n)
{
	size_t i = 0, k = 0;

	if (n.length && n.at[0] == '$' && f.length && (f.at[0] == '+' || f.at[0] == '#'))
		return false;
	for (;;) {
		const size_t a = level(f, i), b = level(n, k);

		if (a == 1 && f.at[i] == '#')
			return true;
		if (!(a == 1 && f.at[i] == '+') && (a != b || memcmp(f.at + i, n.at + k, a)))
			return false;
		i += a + 1;
		k += b + 1;
		if (k > n.length)       /* "a/#" takes "a" too */
			return i > f.length || (f.length - i == 1 && f.at[i] == '#');
		if (i > f.length)
			return false;
	}
}
