/* SPDX-License-Identifier: BSD-2-Clause */
/* The workload `parking`: its chains, functions and options; parking.h explains it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workloads/parking/parking.h"

/* Table 6. Ch-2 is Ch-1 with two functions passed over: which it is, turns out on the way. */
static const function_id ch1[] = { DETECTION, SEARCH, INDEX, PERSIST, CHARGING };
static const function_id ch2[] = { DETECTION, SEARCH, CHARGING };
static const function_id accounts[] = { CHARGING };

static const struct chain chains[PARKING_CHAINS] = {
	[CH1_UNKNOWN] = { "ch1-unknown", "/snapshot", ch1, 5 },
	/* No request starts here: the gateway takes the first of a path. For results per chain. */
	[CH2_KNOWN] = { "ch2-known", "/snapshot", ch2, 3 },
	[CH_LEDGER] = { "ledger", "/ledger", accounts, 1 },
};

/* Service times: Table 5. */
static const struct function functions[PARKING_FUNCTIONS] = {
	[DETECTION] = { .name = "plate-detection", .service_ns = 435000000,
			.state_bytes = sizeof(struct detection_state), .start = detection_start,
			.stop = detection_stop, .handle = detection_handle },
	[SEARCH] = { .name = "plate-search", .service_ns = 20000000, .single = 1,
		     .state_bytes = sizeof(struct accounts_state), .stop = accounts_stop,
		     .handle = search_handle },
	[INDEX] = { .name = "plate-index", .service_ns = 1000000, .single = 1,
		    .state_bytes = sizeof(struct accounts_state), .stop = accounts_stop,
		    .handle = index_handle },
	[CHARGING] = { .name = "charging", .service_ns = 50000000, .single = 1,
		       .state_bytes = sizeof(struct accounts_state), .stop = accounts_stop,
		       .handle = charging_handle },
	[PERSIST] = { .name = "persist-metadata", .service_ns = 10000000, .single = 1,
		      .state_bytes = sizeof(struct accounts_state), .stop = accounts_stop,
		      .handle = persist_handle },
};

static const struct option_spec options[] = {
	{ "stay", "0..100", "70", "percent of cars that are still there at the next snapshot" },
	{ "images", "TEXT", "", "directory of JPEGs to post (CNRPark+EXT: those with a car); else they are drawn. "
	  "Pictures without a legible plate get one from their content" },
	{ 0 },
};

/* Every deployment begins with an empty database. */
static int prepare(const struct application *app, char *why, size_t why_bytes)
{
	struct parking_app *p = app->private;

	if (p->store_fd >= 0)
		close(p->store_fd);
	p->store_fd = store_create(why, why_bytes);
	return p->store_fd < 0 ? p->store_fd : 0;
}

static void release(struct application *app)
{
	struct parking_app *p = app->private;

	if (!p)
		return;
	if (p->store_fd >= 0)
		close(p->store_fd);
	if (p->encoder)
		tjDestroy(p->encoder);
	images_close(p->images);
	free(p);
	app->private = NULL;
}

static int configure(struct application *app, char *why, size_t why_bytes)
{
	const char *directory = spec_value(&app->spec, options, "images");
	struct parking_app *p = calloc(1, sizeof(*p));
	int err = 0;

	app->private = p;
	if (p) {
		p->store_fd = -1;
		p->encoder = tjInitCompress();
	}
	if (!p || !p->encoder) {
		release(app);
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	p->stay = (unsigned)spec_number(&app->spec, options, "stay");
	if (*directory)
		err = images_open(&p->images, directory, why, why_bytes);
	if (err) {
		release(app);
		return err;
	}
	for (unsigned i = 0; i < PARKING_FUNCTIONS; i++) {
		p->function[i] = functions[i];
		p->function[i].config = p;
		p->functions[i] = &p->function[i];
	}
	app->functions = p->functions;
	app->n_functions = PARKING_FUNCTIONS;
	app->chains = chains;
	app->n_chains = PARKING_CHAINS;
	app->codec = &parking_codec;
	app->users = &parking_users;
	app->prepare = prepare;
	return 0;
}

const struct workload workload_parking = {
	.name = "parking",
	.summary = "snapshots of parking spots: plate detection, a database, charging (SPRIGHT §4.1)",
	.modes = "",
	.options = options,
	.configure = configure,
	.release = release,
};
