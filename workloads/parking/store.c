/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The car park's database: SQLite, WAL, one connection per process, in a tmpfs that is mounted
 * nowhere. Processes reach it through the descriptor that they inherit (/proc/self/fd/N/…); when the
 * last of them is gone, kill -9 or not, so are the file system and all in it.
 *
 *   plates    plate → vehicle                      index
 *   vehicles  vehicle → plate, spot, tariff        persist
 *   charges   key → what was charged               charging; a key is charged once
 *   ledger    sums over charges                    charging, in the same transaction
 *
 * synchronous=OFF: there is no disk to wait for, and a process that is killed leaves whole pages and
 * a log that the next one recovers.
 */
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/parking/parking.h"
#include "workloads/parking/private_fs.h"

enum {
	STORE_MB = 256,
	BUSY_MS = 50,               /* a writer holds the database for microseconds */
};

enum { SQL_SEARCH, SQL_PLATE, SQL_INDEX, SQL_VEHICLE, SQL_PERSIST, SQL_CHARGED, SQL_CHARGE, SQL_SUM,
       SQL_LEDGER, SQL_BEGIN, SQL_COMMIT, SQL_ROLLBACK, STATEMENTS };

static const char *const sql[STATEMENTS] = {
	[SQL_SEARCH] = "SELECT v.id, v.tariff FROM plates p JOIN vehicles v ON v.id = p.id "
		       "WHERE p.plate = ?1",
	[SQL_PLATE] = "SELECT id FROM plates WHERE plate = ?1",
	[SQL_INDEX] = "INSERT OR IGNORE INTO plates(plate) VALUES (?1)",
	[SQL_VEHICLE] = "SELECT tariff FROM vehicles WHERE id = ?1",
	[SQL_PERSIST] = "INSERT OR IGNORE INTO vehicles(id, spot, tariff) VALUES (?1, ?2, ?3)",
	[SQL_CHARGED] = "SELECT number, vehicle, cents, fresh, plate, spot FROM charges WHERE key = ?1",
	[SQL_CHARGE] = "INSERT INTO charges(key, plate, spot, vehicle, cents, fresh) "
		       "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[SQL_SUM] = "UPDATE ledger SET charges = charges + 1, cents = cents + ?1, digest = ?2",
	[SQL_LEDGER] = "SELECT charges, cents, digest, (SELECT count(*) FROM vehicles) FROM ledger",
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
};

static const char schema[] =
	"PRAGMA journal_mode = WAL;"
	"CREATE TABLE plates(id INTEGER PRIMARY KEY AUTOINCREMENT, plate TEXT NOT NULL UNIQUE);"
	"CREATE TABLE vehicles(id INTEGER PRIMARY KEY, spot INTEGER NOT NULL,"
	" tariff INTEGER NOT NULL);"
	"CREATE TABLE charges(number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,"
	" plate TEXT NOT NULL, spot INTEGER NOT NULL, vehicle INTEGER NOT NULL,"
	" cents INTEGER NOT NULL, fresh INTEGER NOT NULL);"
	"CREATE TABLE ledger(charges INTEGER, cents INTEGER, digest INTEGER);"
	"INSERT INTO ledger VALUES (0, 0, 0);";

struct store {
	sqlite3 *db;
	sqlite3_stmt *statement[STATEMENTS];
};

static int error_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/* ---- Opening ---------------------------------------------------------------------------------- */

/* SQLite would follow /proc/self/fd/N as a symbolic link; it means something only as it is. */
static int as_it_is(sqlite3_vfs *vfs, const char *name, int room, char *out)
{
	(void)vfs;
	return snprintf(out, (size_t)room, "%s", name) < room ? SQLITE_OK : SQLITE_CANTOPEN;
}

static sqlite3_vfs inherited;       /* SQLite keeps its address; written once, by the line below */

static void register_vfs(void)
{
	const sqlite3_vfs *standard = sqlite3_vfs_find("unix");

	if (!standard)
		return;
	inherited = *standard;
	inherited.zName = "perhop-inherited";
	inherited.xFullPathname = as_it_is;
	inherited.pNext = NULL;
	sqlite3_vfs_register(&inherited, 0);
}

static int connect_to(sqlite3 **db, int fd, int flags)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char path[64];
	int rc;

	pthread_once(&once, register_vfs);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/parking.db", fd);
	rc = sqlite3_open_v2(path, db, flags | SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
			     "perhop-inherited");
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(*db, BUSY_MS);
	return rc;
}

int store_create(char *why, size_t why_bytes)
{
	sqlite3 *db = NULL;
	char *message = NULL;
	int rc, fd = private_fs(STORE_MB, why, why_bytes);

	if (fd < 0)
		return fd;
	rc = connect_to(&db, fd, SQLITE_OPEN_CREATE);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, schema, NULL, NULL, &message);
	if (rc != SQLITE_OK)
		snprintf(why, why_bytes, "parking cannot make its database: %s",
			 message ? message : sqlite3_errstr(rc));
	sqlite3_free(message);
	sqlite3_close(db);
	if (rc != SQLITE_OK) {
		close(fd);
		return error_of(rc);
	}
	return fd;
}

int store_open(struct store **out, int fd)
{
	struct store *s = calloc(1, sizeof(*s));
	int rc;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	rc = connect_to(&s->db, fd, 0);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(s->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
	for (unsigned i = 0; i < STATEMENTS && rc == SQLITE_OK; i++)
		rc = sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
					&s->statement[i], NULL);
	if (rc != SQLITE_OK) {
		store_close(s);
		return error_of(rc);
	}
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(s->statement[i]);
	sqlite3_close(s->db);
	free(s);
}

/* ---- Statements ------------------------------------------------------------------------------- */

static void bind_text(sqlite3_stmt *q, int at, const char *text)
{
	sqlite3_bind_text(q, at, text, -1, SQLITE_STATIC);
}

/* Step once; a row is left for the caller to read and reset. 0; 1 with a row; or -errno. */
static int step(sqlite3_stmt *q)
{
	int rc = sqlite3_step(q);

	if (rc == SQLITE_ROW)
		return 1;
	sqlite3_reset(q);
	return error_of(rc);
}

static int run(struct store *s, unsigned which)
{
	int n = step(s->statement[which]);

	if (n == 1)
		sqlite3_reset(s->statement[which]);
	return n < 0 ? n : 0;
}

int store_search(struct store *s, struct sighting *g)
{
	sqlite3_stmt *q = s->statement[SQL_SEARCH];
	int n;

	bind_text(q, 1, g->plate);
	n = step(q);
	if (n <= 0)
		return n ? n : -ENOENT;
	g->vehicle = (uint64_t)sqlite3_column_int64(q, 0);
	g->tariff = (uint32_t)sqlite3_column_int(q, 1);
	sqlite3_reset(q);
	return 0;
}

int store_index(struct store *s, struct sighting *g)
{
	sqlite3_stmt *q = s->statement[SQL_INDEX];
	int n;

	bind_text(q, 1, g->plate);
	n = step(q);
	if (n < 0)
		return n;
	q = s->statement[SQL_PLATE];
	bind_text(q, 1, g->plate);
	n = step(q);
	if (n <= 0)
		return n ? n : -EIO;
	g->vehicle = (uint64_t)sqlite3_column_int64(q, 0);
	sqlite3_reset(q);
	return 0;
}

int store_persist(struct store *s, struct sighting *g)
{
	/* Cents per snapshot, by the plate's last character: the fleets of our car park. */
	static const uint32_t tariffs[] = { 25, 35, 50 };
	uint32_t tariff = tariffs[(unsigned char)g->plate[strlen(g->plate) - 1] % 3];
	sqlite3_stmt *q = s->statement[SQL_PERSIST];
	int n;

	sqlite3_bind_int64(q, 1, (sqlite3_int64)g->vehicle);
	sqlite3_bind_int64(q, 2, g->spot);
	sqlite3_bind_int64(q, 3, tariff);
	n = step(q);
	if (n < 0)
		return n;
	q = s->statement[SQL_VEHICLE];
	sqlite3_bind_int64(q, 1, (sqlite3_int64)g->vehicle);
	n = step(q);
	if (n <= 0)
		return n ? n : -EIO;
	g->tariff = (uint32_t)sqlite3_column_int(q, 0);
	sqlite3_reset(q);
	return 0;
}

/* ---- Charging --------------------------------------------------------------------------------- */

static uint64_t fnv(uint64_t h, const void *bytes, size_t n)
{
	for (const unsigned char *p = bytes; n--; p++)
		h = (h ^ *p) * UINT64_C(0x100000001b3);
	return h;
}

uint64_t charge_digest(const char *key, const char *plate, uint32_t spot, uint32_t cents)
{
	uint64_t h = fnv(UINT64_C(0xcbf29ce484222325), key, strlen(key) + 1);

	h = fnv(h, plate, strlen(plate) + 1);
	h = fnv(h, &spot, sizeof(spot));
	return fnv(h, &cents, sizeof(cents));
}

/* The receipt of `g->key`, when there is one. 1; 0: none; or -errno. */
static int charged(struct store *s, const struct sighting *g, struct receipt *r)
{
	sqlite3_stmt *q = s->statement[SQL_CHARGED];
	const char *plate;
	int n;

	bind_text(q, 1, g->key);
	n = step(q);
	if (n <= 0)
		return n;
	*r = (struct receipt){
		.number = (uint64_t)sqlite3_column_int64(q, 0),
		.vehicle = (uint64_t)sqlite3_column_int64(q, 1),
		.cents = (uint32_t)sqlite3_column_int(q, 2),
		.fresh = (uint32_t)sqlite3_column_int(q, 3),
	};
	plate = (const char *)sqlite3_column_text(q, 4);
	if (!plate)
		n = -ENOMEM;
	else if (strcmp(plate, g->plate) || sqlite3_column_int64(q, 5) != g->spot)
		n = -EEXIST;
	sqlite3_reset(q);
	return n;
}

static int add_to_ledger(struct store *s, const struct sighting *g)
{
	sqlite3_stmt *q = s->statement[SQL_SUM];
	struct ledger l;
	int n = store_ledger(s, &l);

	if (n)
		return n;
	l.digest += charge_digest(g->key, g->plate, g->spot, g->tariff);
	sqlite3_bind_int64(q, 1, g->tariff);
	sqlite3_bind_int64(q, 2, (sqlite3_int64)l.digest);
	return step(q);
}

static int charge_anew(struct store *s, const struct sighting *g, struct receipt *r)
{
	sqlite3_stmt *q = s->statement[SQL_CHARGE];
	int n;

	bind_text(q, 1, g->key);
	bind_text(q, 2, g->plate);
	sqlite3_bind_int64(q, 3, g->spot);
	sqlite3_bind_int64(q, 4, (sqlite3_int64)g->vehicle);
	sqlite3_bind_int64(q, 5, g->tariff);
	sqlite3_bind_int64(q, 6, g->fresh);
	n = step(q);
	if (n)
		return n;
	*r = (struct receipt){
		.number = (uint64_t)sqlite3_last_insert_rowid(s->db), .vehicle = g->vehicle,
		.cents = g->tariff, .fresh = g->fresh,
	};
	return add_to_ledger(s, g);
}

int store_charge(struct store *s, const struct sighting *g, struct receipt *r)
{
	int n = run(s, SQL_BEGIN);

	if (n)
		return n;
	n = charged(s, g, r);
	if (!n)
		n = charge_anew(s, g, r);
	if (n >= 0)
		n = run(s, SQL_COMMIT);
	if (n < 0 && !sqlite3_get_autocommit(s->db))
		run(s, SQL_ROLLBACK);
	return n;
}

int store_ledger(struct store *s, struct ledger *l)
{
	sqlite3_stmt *q = s->statement[SQL_LEDGER];
	int n = step(q);

	if (n <= 0)
		return n ? n : -EIO;
	*l = (struct ledger){
		.charges = (uint64_t)sqlite3_column_int64(q, 0),
		.cents = (uint64_t)sqlite3_column_int64(q, 1),
		.digest = (uint64_t)sqlite3_column_int64(q, 2),
		.vehicles = (uint64_t)sqlite3_column_int64(q, 3),
	};
	sqlite3_reset(q);
	return 0;
}
