/* SPDX-License-Identifier: BSD-2-Clause */
/* The car park's chains, accounts and users, without a dataplane. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chain/clock.h"
#include "tests/unit/chain_driver.h"
#include "workloads/parking/parking.h"

struct park {
	struct application app;
	struct driver d;
	uint64_t random;
	char request[64 << 10];
};

static int open_park(void **state, bool coded)
{
	struct park *p = calloc(1, sizeof(*p));
	const struct workload *w;
	char why[256] = "";

	assert_non_null(p);
	p->random = 1;
	assert_int_equal(application_open(&p->app, &w, "parking", why, sizeof(why)), 0);
	if (p->app.prepare(&p->app, why, sizeof(why))) {
		print_message("%s\n", why);
		skip();
	}
	driver_open(&p->d, &p->app, 1, coded);
	*state = p;
	return 0;
}

static int setup(void **state)
{
	return open_park(state, false);
}

static int setup_coded(void **state)
{
	return open_park(state, true);
}

static int teardown(void **state)
{
	struct park *p = *state;

	driver_close(&p->d);
	workload_parking.release(&p->app);
	free(p);
	return 0;
}

static void ask(struct park *p, const char *query, const void *body, size_t n)
{
	int head = snprintf(p->request, sizeof(p->request), "POST /snapshot?%s HTTP/1.1\r\n"
			    "Host: p\r\nContent-Length: %zu\r\n\r\n", query, n);

	memcpy(p->request + head, body, n);
	driver_request(&p->d, p->request, (size_t)head + n);
}

static void snapshot(struct park *p, const char *plate, unsigned spot, const char *key)
{
	const struct parking_app *own = p->app.private;
	unsigned char jpeg[SNAPSHOT_BYTES_MAX];
	char query[128];
	ssize_t n = snapshot_draw(own->encoder, plate, &p->random, jpeg, sizeof(jpeg));

	assert_true(n > 0);
	snprintf(query, sizeof(query), "spot=%u&key=%s", spot, key);
	ask(p, query, jpeg, (size_t)n);
}

static void took(const struct park *p, const function_id *chain, unsigned length)
{
	assert_int_equal(p->d.logged, length);
	assert_memory_equal(p->d.log, chain, length * sizeof(*chain));
}

static struct ledger ledger_of(struct park *p)
{
	static const char get[] = "GET /ledger HTTP/1.1\r\nHost: p\r\n\r\n";
	struct ledger l = { 0 };

	driver_request(&p->d, get, strlen(get));
	assert_int_equal(p->d.status, 200);
	assert_int_equal(sscanf(p->d.body, "{\"charges\":%" SCNu64 ",\"cents\":%" SCNu64
				",\"vehicles\":%" SCNu64 ",\"digest\":\"%" SCNx64 "\"}",
				&l.charges, &l.cents, &l.vehicles, &l.digest), 4);
	return l;
}

static void an_unknown_plate_takes_ch1_and_a_known_one_ch2(void **state)
{
	static const function_id ch1[] = { DETECTION, SEARCH, INDEX, PERSIST, CHARGING };
	static const function_id ch2[] = { DETECTION, SEARCH, CHARGING };
	struct park *p = *state;

	snapshot(p, "ABC1234", 17, "k1");
	assert_int_equal(p->d.status, 200);
	assert_string_equal(p->d.body, "{\"plate\":\"ABC1234\",\"spot\":17,\"key\":\"k1\",\"receipt\":1,"
			    "\"vehicle\":1,\"cents\":35,\"chain\":\"ch1\"}\n");
	took(p, ch1, 5);
	snapshot(p, "ABC1234", 17, "k2");
	assert_non_null(strstr(p->d.body, "\"vehicle\":1,\"cents\":35,\"chain\":\"ch2\""));
	took(p, ch2, 3);
	snapshot(p, "XYZ9876", 17, "k3");
	took(p, ch1, 5);
}

static void a_repeated_request_gets_the_same_receipt_and_is_charged_once(void **state)
{
	struct park *p = *state;
	char first[256];

	snapshot(p, "ABC1234", 17, "k1");
	snprintf(first, sizeof(first), "%s", p->d.body);
	for (unsigned i = 0; i < 3; i++) {
		snapshot(p, "ABC1234", 17, "k1");
		assert_string_equal(p->d.body, first);
	}
	assert_int_equal(ledger_of(p).charges, 1);
	assert_int_equal(ledger_of(p).cents, 35);
	snapshot(p, "ABC1234", 18, "k1");
	assert_int_equal(p->d.status, 409);
	snapshot(p, "ABC1235", 17, "k1");
	assert_int_equal(p->d.status, 409);
	assert_int_equal(ledger_of(p).charges, 1);
}

static void the_ledger_is_the_sum_of_the_receipts(void **state)
{
	struct park *p = *state;
	struct ledger own = { 0 }, l;

	for (unsigned i = 0; i < 300; i++) {
		char plate[PLATE_LENGTH + 1], key[KEY_BYTES], *cents;
		unsigned spot = 1 + i % SPOTS;
		uint64_t car = i % 50;

		plate_draw(plate, &car);
		snprintf(key, sizeof(key), "key-%u", i);
		snapshot(p, plate, spot, key);
		assert_int_equal(p->d.status, 200);
		cents = strstr(p->d.body, "\"cents\":");
		assert_non_null(cents);
		own.charges++;
		own.cents += (unsigned)atoi(cents + 8);
		own.digest += charge_digest(key, plate, spot, (uint32_t)atoi(cents + 8));
	}
	l = ledger_of(p);
	assert_int_equal(l.charges, own.charges);
	assert_int_equal(l.cents, own.cents);
	assert_int_equal(l.digest, own.digest);
	assert_int_equal(l.vehicles, 50);
}

static void requests_that_make_no_sense_are_refused_and_leave_no_trace(void **state)
{
	static const char *const queries[] = {
		"", "spot=17", "key=k", "spot=0&key=k", "spot=165&key=k", "spot=-1&key=k",
		"spot=1x&key=k", "spot=1&key=", "spot=99999999999&key=k",
		"spot=1&key=k'%3BDROP%20TABLE%20charges%3B--", "spot=1&key=%00", "spot=1&key=a%0Ab",
		"spot=1&key=0123456789012345678901234567890123456789",
	};
	struct park *p = *state;

	for (unsigned i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		ask(p, queries[i], "x", 1);
		assert_int_equal(p->d.status, 400);
	}
	ask(p, "spot=1&key=k", "not a picture", 13);
	assert_int_equal(p->d.status, 415);
	ask(p, "spot=1&key=k", "", 0);
	assert_int_equal(p->d.status, 405);
	assert_int_equal(ledger_of(p).charges, 0);
	assert_int_equal(ledger_of(p).vehicles, 0);
}

static void sql_in_a_plate_does_not_get_past_the_codec_and_is_text_to_the_store(void **state)
{
	static const char evil[] = "');DROP TABLE x;--";
	struct park *p = *state;
	const struct parking_app *own = p->app.private;
	struct sighting g = { .plate = "A1", .key = "k", .spot = 1 };
	struct store *s;
	unsigned char wire[256], *at;
	ssize_t n = parking_codec.encode(TYPE_SIGHTING, &g, sizeof(g), wire, sizeof(wire));

	assert_true(n > 0);
	at = memchr(wire, 'A', (size_t)n);
	assert_non_null(at);
	*at = '\'';
	assert_int_equal(parking_codec.decode(TYPE_SIGHTING, wire, (size_t)n, &g, sizeof(g)),
			 -EBADMSG);
	memcpy(g.plate, evil, sizeof(evil));
	assert_int_equal(sighting_check(&g, sizeof(g)), -EBADMSG);
	assert_int_equal(store_open(&s, own->store_fd), 0);
	assert_int_equal(store_search(s, &g), -ENOENT);
	assert_int_equal(store_index(s, &g), 0);
	assert_int_equal(store_persist(s, &g), 0);
	assert_int_equal(store_search(s, &g), 0);
	store_close(s);
	assert_int_equal(ledger_of(p).vehicles, 1);
}

/* A charge of somebody else, as fast as it goes, until it is killed. */
static void charge_forever(int fd)
{
	struct store *s;
	struct sighting g = { .plate = "A1", .spot = 1, .vehicle = 1, .tariff = 25 };
	struct receipt r;

	if (store_open(&s, fd))
		_exit(1);
	for (unsigned i = 0;; i++) {
		snprintf(g.key, sizeof(g.key), "child-%u-%u", (unsigned)getpid(), i);
		if (store_charge(s, &g, &r))
			_exit(2);
	}
}

static void a_writer_killed_midway_leaves_accounts_that_add_up(void **state)
{
	struct park *p = *state;
	const struct parking_app *own = p->app.private;

	for (unsigned i = 0; i < 12; i++) {
		uint64_t before = ledger_of(p).charges;
		struct ledger l;
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (!pid)
			charge_forever(own->store_fd);
		while (ledger_of(p).charges < before + 20 + i * 7)
			;
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status));
		l = ledger_of(p);
		assert_int_equal(l.cents, l.charges * 25);
	}
}

static void the_database_ends_with_its_last_descriptor_and_each_deployment_has_its_own(void **state)
{
	struct park *p = *state;
	struct parking_app *own = p->app.private;
	char path[64], why[256], target[64];
	ssize_t n;

	snapshot(p, "ABC1234", 17, "k1");
	assert_int_equal(ledger_of(p).charges, 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", own->store_fd);
	n = readlink(path, target, sizeof(target) - 1);
	assert_true(n > 0);
	target[n] = '\0';
	assert_string_equal(target, "/");       /* the root of a file system that is nowhere */
	driver_close(&p->d);
	assert_int_equal(p->app.prepare(&p->app, why, sizeof(why)), 0);
	driver_open(&p->d, &p->app, 1, false);
	assert_int_equal(ledger_of(p).charges, 0);
	assert_int_equal(access("/parking.db", F_OK), -1);
}

static void users_are_charged_for_what_they_show(void **state)
{
	struct park *p = *state;
	const struct user_model *model = p->app.users;
	uint64_t random = 5;
	unsigned ch1 = 0, ch2 = 0;
	void *user = calloc(1, model->user_bytes);

	for (unsigned i = 0; i < 300; i++) {
		struct user_request rq = { .out = p->request, .room = sizeof(p->request),
					   .app = &p->app };
		bool ok = false;

		assert_int_equal(model->next(user, &random, &rq), 0);
		driver_request(&p->d, rq.out, rq.length);
		model->response(user, "", 0, p->d.body, p->d.body_length, p->d.status, &ok);
		assert_true(ok);
		assert_int_equal(p->d.logged, rq.chain == CH1_UNKNOWN ? 5 : 3);
		ch1 += rq.chain == CH1_UNKNOWN;
		ch2 += rq.chain == CH2_KNOWN;
	}
	assert_in_range(ch2, 170, 250);         /* 70 percent of the cars stay */
	assert_int_equal(ledger_of(p).vehicles, ch1);
	free(user);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define CODED(test) cmocka_unit_test_setup_teardown(test, setup_coded, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(an_unknown_plate_takes_ch1_and_a_known_one_ch2),
		CODED(an_unknown_plate_takes_ch1_and_a_known_one_ch2),
		WITH(a_repeated_request_gets_the_same_receipt_and_is_charged_once),
		CODED(the_ledger_is_the_sum_of_the_receipts),
		WITH(requests_that_make_no_sense_are_refused_and_leave_no_trace),
		WITH(sql_in_a_plate_does_not_get_past_the_codec_and_is_text_to_the_store),
		WITH(a_writer_killed_midway_leaves_accounts_that_add_up),
		WITH(the_database_ends_with_its_last_descriptor_and_each_deployment_has_its_own),
		CODED(users_are_charged_for_what_they_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
