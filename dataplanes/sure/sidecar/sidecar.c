/* SPDX-License-Identifier: BSD-2-Clause */
/* SHA256_Update and friends: OpenSSL 3 prefers EVP, whose copies of a state allocate. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/crypto.h>

#include "dataplanes/sure/sidecar/sidecar.h"

#define NS_IN_S UINT64_C(1000000000)

enum { EWMA_SHIFT = 4, RATE_BURST = 64 };

static const char *const names[SIDECAR_HANDLERS] = {
	"metrics", "trace", "auth", "rate", "timeout", "retry", "breaker", "log",
};

const char *sidecar_name(enum sidecar_handler h)
{
	return names[h];
}

static int add_handler(struct sidecar_config *c, const char *name, size_t n)
{
	for (unsigned h = 0; h < SIDECAR_HANDLERS; h++) {
		if (strlen(names[h]) != n || memcmp(names[h], name, n))
			continue;
		if (c->has & 1u << h)
			return -EINVAL;
		c->has |= 1u << h;
		c->order[c->n++] = (uint8_t)h;
		return 0;
	}
	return -EINVAL;
}

int sidecar_parse(struct sidecar_config *c, const char *text)
{
	int err = 0;

	c->n = c->has = 0;
	if (!strcmp(text, "none"))
		return 0;
	if (!strcmp(text, "all"))
		text = "metrics+trace+auth+rate+timeout+retry+breaker+log";
	for (;;) {
		size_t n = strcspn(text, "+");

		err = add_handler(c, text, n);
		if (err || !text[n])
			return err;
		text += n + 1;
	}
}

/* ---- Tokens ----------------------------------------------------------------------------------- */

/* HMAC's two inner states once the padded key has gone through: a token costs two compressions. */
static void absorb_key(SHA256_CTX *ctx, const uint8_t *key, uint8_t pad)
{
	uint8_t block[SHA256_CBLOCK];

	memset(block, pad, sizeof(block));
	for (unsigned i = 0; i < SIDECAR_KEY_BYTES; i++)
		block[i] ^= key[i];
	SHA256_Init(ctx);
	SHA256_Update(ctx, block, sizeof(block));
	OPENSSL_cleanse(block, sizeof(block));
}

void sidecar_tag(const struct sidecar *s, uint64_t id, uint16_t topic, uint8_t tag[SIDECAR_TAG_BYTES])
{
	uint8_t text[sizeof(id) + sizeof(topic)], digest[SHA256_DIGEST_LENGTH];
	SHA256_CTX ctx = s->inner;

	memcpy(text, &id, sizeof(id));
	memcpy(text + sizeof(id), &topic, sizeof(topic));
	SHA256_Update(&ctx, text, sizeof(text));
	SHA256_Final(digest, &ctx);
	ctx = s->outer;
	SHA256_Update(&ctx, digest, sizeof(digest));
	SHA256_Final(digest, &ctx);
	memcpy(tag, digest, SIDECAR_TAG_BYTES);         /* truncation: RFC 2104, section 5 */
}

void sidecar_open(struct sidecar *s, const struct sidecar_config *c, struct sidecar_stats *stats)
{
	*s = (struct sidecar){ .config = *c, .stats = stats };
	absorb_key(&s->inner, c->key, 0x36);
	absorb_key(&s->outer, c->key, 0x5c);
	if (c->rate)
		s->rate_ns = NS_IN_S / c->rate;
	s->rate_burst_ns = RATE_BURST * s->rate_ns;
	if (s->rate_burst_ns < NS_IN_S / 100)           /* what a second's rate may bunch up in 10 ms */
		s->rate_burst_ns = NS_IN_S / 100;
}

/* ---- Handlers: before ------------------------------------------------------------------------- */

static uint16_t auth(const struct sidecar *s, const struct sidecar_request *r, const char **why)
{
	uint8_t tag[SIDECAR_TAG_BYTES];

	sidecar_tag(s, r->id, r->topic, tag);
	if (!CRYPTO_memcmp(tag, r->tag, sizeof(tag)))
		return 0;
	*why = "the request has no valid token";
	return 401;
}

/* The generic cell rate algorithm: a token bucket in one number, the time when it will be full again. */
static uint16_t rate(struct sidecar *s, uint64_t now, const char **why)
{
	uint64_t at = s->rate_at_ns > now ? s->rate_at_ns : now;

	if (at - now > s->rate_burst_ns) {
		*why = "the function's rate limit is reached";
		return 429;
	}
	s->rate_at_ns = at + s->rate_ns;
	return 0;
}

static uint16_t timeout(const struct sidecar *s, const struct sidecar_request *r, uint64_t now,
			const char **why)
{
	if (!r->born_ns || now < r->born_ns || now - r->born_ns <= s->config.timeout_ns)
		return 0;
	*why = "the request came too late to this function";
	return 504;
}

/* Closed, open for a while, then one trial: its outcome (breaker_after) closes or opens it again. */
static uint16_t breaker(struct sidecar *s, uint64_t now, const char **why)
{
	if (s->failures < s->config.breaker_failures)
		return 0;
	if (now >= s->open_until_ns) {
		s->open_until_ns = now + s->config.breaker_ns;
		return 0;
	}
	*why = "the function fails; its circuit breaker is open";
	return 503;
}

static uint16_t before(struct sidecar *s, enum sidecar_handler h, const struct sidecar_request *r,
		       uint64_t now, const char **why)
{
	switch (h) {
	case SIDECAR_AUTH:
		return auth(s, r, why);
	case SIDECAR_RATE:
		return rate(s, now, why);
	case SIDECAR_TIMEOUT:
		return timeout(s, r, now, why);
	case SIDECAR_BREAKER:
		return breaker(s, now, why);
	default:
		return 0;
	}
}

/* A counter that only its instance writes needs no locked instruction. */
static void count(_Atomic uint64_t *v, uint64_t by)
{
	atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + by,
			      memory_order_relaxed);
}

uint16_t sidecar_before(struct sidecar *s, const struct sidecar_request *r, uint64_t now,
			const char **why)
{
	for (unsigned i = 0; i < s->config.n; i++) {
		uint16_t status = before(s, s->config.order[i], r, now, why);

		if (!status)
			continue;
		count(&s->stats->refused[s->config.order[i]], 1);
		return status;
	}
	return 0;
}

/* ---- Handlers: after -------------------------------------------------------------------------- */

static void metrics_after(struct sidecar_stats *t, uint64_t ns, uint16_t status)
{
	uint64_t mean = atomic_load_explicit(&t->ewma_ns, memory_order_relaxed);

	count(&t->invocations, 1);
	count(&t->ns, ns);
	if (status >= 500)
		count(&t->failed, 1);
	mean = mean ? mean + (ns >> EWMA_SHIFT) - (mean >> EWMA_SHIFT) : ns;
	atomic_store_explicit(&t->ewma_ns, mean, memory_order_relaxed);
}

static void breaker_after(struct sidecar *s, uint64_t now, uint16_t status)
{
	bool open;

	s->failures = status < 500 ? 0 : s->failures + (s->failures < UINT32_MAX);
	open = s->failures >= s->config.breaker_failures;
	if (open)
		s->open_until_ns = now + s->config.breaker_ns;
	atomic_store_explicit(&s->stats->breaker_open, open, memory_order_relaxed);
}

static void enter(struct sidecar_ring *ring, const struct sidecar_request *r, uint64_t begin,
		  uint64_t now, uint16_t status)
{
	uint64_t n = atomic_load_explicit(&ring->next, memory_order_relaxed);

	ring->at[n % SIDECAR_ENTRIES] = (struct sidecar_entry){
		.id = r->id, .begin_ns = begin, .ns = now - begin, .topic = r->topic,
		.function = r->function, .status = status, .depth = r->depth,
		.position = r->position,
	};
	atomic_store_explicit(&ring->next, n + 1, memory_order_release);
}

void sidecar_after(struct sidecar *s, const struct sidecar_request *r, uint64_t begin, uint64_t now,
		   uint16_t status)
{
	for (unsigned i = s->config.n; i-- > 0;) {
		switch (s->config.order[i]) {
		case SIDECAR_METRICS:
			metrics_after(s->stats, now - begin, status);
			break;
		case SIDECAR_TRACE:
			enter(&s->stats->spans, r, begin, now, status);
			break;
		case SIDECAR_TIMEOUT:
			if (r->born_ns && now - r->born_ns > s->config.timeout_ns)
				count(&s->stats->late, 1);
			break;
		case SIDECAR_BREAKER:
			breaker_after(s, now, status);
			break;
		case SIDECAR_LOG:
			enter(&s->stats->log, r, begin, now, status);
			break;
		default:
			break;
		}
	}
}

/* ---- What others see -------------------------------------------------------------------------- */

static uint64_t get(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

void sidecar_page(FILE *f, const struct sidecar_stats *stats, unsigned n,
		  const char *(*function)(void *arg, unsigned i), void *arg)
{
	static const struct {
		const char *name, *type, *help;
	} columns[] = {
		{ "perhop_sidecar_invocations_total", "counter", "Invocations let in and ended." },
		{ "perhop_sidecar_failed_total", "counter", "Of these, with a status of 500 or more." },
		{ "perhop_sidecar_seconds_total", "counter", "Time from start to end of invocations." },
		{ "perhop_sidecar_latency_seconds", "gauge", "The same, exponentially weighted mean." },
		{ "perhop_sidecar_retried_total", "counter", "Hops tried again." },
		{ "perhop_sidecar_late_total", "counter", "Invocations that ended after the timeout." },
		{ "perhop_sidecar_breaker_open", "gauge", "1 while the circuit breaker is open." },
	};

	for (unsigned k = 0; k < sizeof(columns) / sizeof(columns[0]); k++) {
		fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", columns[k].name, columns[k].help,
			columns[k].name, columns[k].type);
		for (unsigned i = 0; i < n; i++) {
			const struct sidecar_stats *t = &stats[i];
			const double values[] = {
				(double)get(&t->invocations), (double)get(&t->failed),
				(double)get(&t->ns) / 1e9, (double)get(&t->ewma_ns) / 1e9,
				(double)get(&t->retried), (double)get(&t->late),
				atomic_load_explicit(&t->breaker_open, memory_order_relaxed),
			};

			fprintf(f, "%s{function=\"%s\",instance=\"%u\"} %.15g\n", columns[k].name,
				function(arg, i), i + 1, values[k]);
		}
	}
	fprintf(f, "# HELP perhop_sidecar_refused_total Invocations refused, by handler.\n"
		"# TYPE perhop_sidecar_refused_total counter\n");
	for (unsigned i = 0; i < n; i++)
		for (unsigned h = 0; h < SIDECAR_HANDLERS; h++)
			if (get(&stats[i].refused[h]))
				fprintf(f, "perhop_sidecar_refused_total{function=\"%s\",instance=\"%u\","
					"handler=\"%s\"} %" PRIu64 "\n", function(arg, i), i + 1, names[h],
					get(&stats[i].refused[h]));
}

static void dump_ring(FILE *f, const struct sidecar_ring *ring, const char *kind,
		      const char *function, unsigned instance)
{
	uint64_t n = atomic_load_explicit(&ring->next, memory_order_acquire);

	for (uint64_t i = n > SIDECAR_ENTRIES ? n - SIDECAR_ENTRIES : 0; i < n; i++) {
		const struct sidecar_entry *e = &ring->at[i % SIDECAR_ENTRIES];

		fprintf(f, "{\"kind\":\"%s\",\"trace\":\"%016" PRIx64 "\",\"function\":\"%s\","
			"\"instance\":%u,\"topic\":%u,\"depth\":%u,\"position\":%u,\"begin_ns\":%" PRIu64
			",\"ns\":%" PRIu64 ",\"status\":%u}\n",
			kind, e->id, function, instance, e->topic, e->depth, e->position, e->begin_ns,
			e->ns, e->status);
	}
}

void sidecar_dump(FILE *f, const struct sidecar_stats *stats, const char *function, unsigned instance)
{
	dump_ring(f, &stats->spans, "span", function, instance);
	dump_ring(f, &stats->log, "access", function, instance);
}
