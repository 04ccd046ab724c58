/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "audit/segment.h"

void plan_init(struct plan *p)
{
	memset(p, 0, sizeof(*p));
	p->components = AUDIT_CLIENT + 1;
	strcpy(p->component[AUDIT_NOBODY].name, "elsewhere");
	strcpy(p->component[AUDIT_CLIENT].name, "client");
	p->segments = 1;
}

int plan_add(struct plan *p, const char *name, enum component_kind kind)
{
	struct plan_component *c;

	for (unsigned i = AUDIT_CLIENT + 1; i < p->components; i++)
		if (p->component[i].kind == kind && !strcmp(p->component[i].name, name))
			return (int)i;
	if (p->components == AUDIT_COMPONENTS)
		return -ENOSPC;
	c = &p->component[p->components];
	memset(c, 0, sizeof(*c));
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->kind = kind;
	c->order = p->components;
	return (int)p->components++;
}

unsigned plan_find_pid(const struct plan *p, pid_t pid)
{
	for (unsigned i = AUDIT_CLIENT; i < p->components; i++)
		for (unsigned k = 0; k < p->component[i].pids; k++)
			if (p->component[i].pid[k] == pid)
				return i;
	return AUDIT_NOBODY;
}

int plan_add_pid(struct plan *p, unsigned component, pid_t pid)
{
	struct plan_component *c = &p->component[component];

	if (plan_find_pid(p, pid))
		return -EEXIST;
	if (c->pids == PLAN_PIDS)
		return -ENOSPC;
	c->pid[c->pids++] = pid;
	return 0;
}

int plan_add_link(struct plan *p, const struct audit_link_key *key, unsigned client, unsigned server)
{
	struct plan_link *l;

	for (unsigned i = 0; i < p->links; i++)
		if (p->link[i].client == client && p->link[i].server == server &&
		    !memcmp(&p->link[i].key, key, sizeof(*key)))
			return 0;
	if (p->links == PLAN_LINKS)
		return -ENOSPC;
	l = &p->link[p->links++];
	*l = (struct plan_link){ .key = *key, .client = client, .server = server };
	return 0;
}

/* ---- Numbering -------------------------------------------------------------------------------- */

/* Add a segment after all others. Its index; 0 (not attributed) when there are too many. */
static unsigned segment_add(struct plan *p, unsigned from, unsigned to)
{
	struct plan_segment *s;

	if (p->segments == AUDIT_SEGMENTS)
		return 0;
	s = &p->segment[p->segments];
	s->from = from;
	s->to = to;
	return p->segments++;
}

/* Walks the tree of components. */
struct walk {
	struct plan *p;
	bool seen[AUDIT_COMPONENTS];
	unsigned last_down;         /* segment of the last step down */
	unsigned depth[AUDIT_SEGMENTS];     /* of the upper end of each segment */
	unsigned hub_depth;
};

/* Give both ways of every link client → server their segments, when they have none. */
static void mark_links(struct plan *p, unsigned client, unsigned server, unsigned down, unsigned up)
{
	for (unsigned i = 0; i < p->links; i++) {
		struct plan_link *l = &p->link[i];

		if (l->client != client || l->server != server)
			continue;
		if (down)
			l->segment[0] = down;
		if (up)
			l->segment[1] = up;
	}
	if (down)
		p->pair[client][server] = (uint8_t)down;
	if (up)
		p->pair[server][client] = (uint8_t)up;
}

/* The servers that `from` connects to and nobody has visited, in order. Returns how many. */
static unsigned children(const struct walk *w, unsigned from, unsigned *out)
{
	const struct plan *p = w->p;
	unsigned n = 0;

	for (unsigned id = AUDIT_CLIENT + 1; id < p->components; id++) {
		bool linked = false;
		unsigned at = n;

		for (unsigned i = 0; i < p->links && !linked; i++)
			linked = p->link[i].client == from && p->link[i].server == id;
		if (!linked || w->seen[id])
			continue;
		while (at && p->component[out[at - 1]].order > p->component[id].order) {
			out[at] = out[at - 1];
			at--;
		}
		out[at] = id;
		n++;
	}
	return n;
}

static void visit(struct walk *w, unsigned id, unsigned depth);

/*
 * A step from `from` down to `to` and back. Through a sidecar it goes on to the function behind:
 * one segment down for both links, one up.
 */
static void step(struct walk *w, unsigned from, unsigned to, unsigned depth)
{
	struct plan *p = w->p;
	unsigned via[AUDIT_COMPONENTS], behind[AUDIT_COMPONENTS], n = 0, end = to, down, up;

	via[n++] = from;
	w->seen[to] = true;
	while (p->component[end].kind == COMPONENT_SIDECAR && children(w, end, behind) == 1) {
		via[n++] = end;
		end = behind[0];
		w->seen[end] = true;
	}
	via[n++] = end;
	down = segment_add(p, from, end);
	w->depth[down] = depth;
	w->last_down = down;
	for (unsigned i = 0; i + 1 < n; i++)
		mark_links(p, via[i], via[i + 1], down, 0);
	visit(w, end, depth + 1);
	up = segment_add(p, end, from);
	w->depth[up] = depth;
	for (unsigned i = 0; i + 1 < n; i++)
		mark_links(p, via[i], via[i + 1], 0, up);
}

static void visit(struct walk *w, unsigned id, unsigned depth)
{
	unsigned next[AUDIT_COMPONENTS], n = children(w, id, next);

	for (unsigned i = 0; i < n; i++)
		if (!w->seen[next[i]])
			step(w, id, next[i], depth);
}

/*
 * The hub: the broker or gateway if one is known, else the first component with more than one child,
 * else (a straight line) the second component when a third follows, else the entry.
 */
static unsigned find_hub(const struct plan *p, unsigned *depth)
{
	struct walk w = { .p = (struct plan *)(uintptr_t)p };
	unsigned next[AUDIT_COMPONENTS], at = p->entry, n, second = 0, second_has_child = 0;

	for (*depth = 1; *depth < AUDIT_COMPONENTS; (*depth)++) {
		w.seen[at] = true;
		if (p->component[at].kind == COMPONENT_BROKER ||
		    p->component[at].kind == COMPONENT_GATEWAY)
			return at;
		n = children(&w, at, next);
		if (n > 1)
			return at;
		if (*depth == 2) {
			second = at;
			second_has_child = n;
		}
		if (!n)
			break;
		at = next[0];
	}
	*depth = second && second_has_child ? 2 : 1;
	return *depth == 2 ? second : p->entry;
}

/* Numbers and classes: within begins at 3, as published, when at most two segments are external. */
static void classify(struct plan *p, const unsigned *depth, unsigned hub_depth, unsigned last_down)
{
	unsigned external = 0, number;

	for (unsigned i = 1; i < p->segments && depth[i] < hub_depth && i <= last_down; i++)
		external++;
	for (unsigned i = 1; i < p->segments; i++) {
		struct plan_segment *s = &p->segment[i];

		number = i <= external || external >= 2 ? i : i + (2 - external);
		s->number = number;
		if (i <= external)
			s->class = SEGMENT_EXTERNAL;
		else if (i <= last_down)
			s->class = SEGMENT_WITHIN;
		else
			s->class = depth[i] < hub_depth ? SEGMENT_RETURN_EXTERNAL :
							  SEGMENT_RETURN_CHAIN;
	}
}

int plan_segments(struct plan *p)
{
	struct walk w = { .p = p };

	p->segments = 1;
	memset(p->pair, 0, sizeof(p->pair));
	p->entry = 0;
	for (unsigned i = 0; i < p->links; i++) {
		p->link[i].segment[0] = p->link[i].segment[1] = 0;
		if (p->link[i].client == AUDIT_CLIENT && !p->entry)
			p->entry = p->link[i].server;
	}
	if (!p->entry)
		return -ENOENT;
	p->hub = find_hub(p, &w.hub_depth);
	w.seen[AUDIT_CLIENT] = true;
	visit(&w, AUDIT_CLIENT, 0);
	classify(p, w.depth, w.hub_depth, w.last_down);
	return 0;
}

/* Are there functions that the path does not name? Then they are CALLed. */
static bool has_others(const struct plan *p, const unsigned *path, unsigned length)
{
	for (unsigned i = AUDIT_CLIENT + 1; i < p->components; i++) {
		bool named = p->component[i].kind != COMPONENT_FUNCTION;

		for (unsigned k = 0; k < length && !named; k++)
			named = path[k] == i;
		if (!named)
			return true;
	}
	return false;
}

/* Hand-overs between functions that no step of the path explains: all one segment. */
static void mark_calls(struct plan *p, unsigned segment)
{
	for (unsigned a = AUDIT_CLIENT + 1; a < p->components; a++)
		for (unsigned b = AUDIT_CLIENT + 1; b < p->components; b++)
			if (a != b && a != p->entry && b != p->entry && !p->pair[a][b])
				p->pair[a][b] = (uint8_t)segment;
}

/* The way to the other node and back, where calls take it. Returns the last of the two segments. */
static unsigned add_crossing(struct plan *p, unsigned here, unsigned beyond, unsigned *depth)
{
	unsigned out = segment_add(p, here, beyond), back = segment_add(p, beyond, here);

	depth[out] = depth[back] = 1;
	p->pair[here][beyond] = (uint8_t)out;
	p->pair[beyond][here] = (uint8_t)back;
	return back;
}

int plan_sequence(struct plan *p, const unsigned *path, unsigned length)
{
	unsigned depth[AUDIT_SEGMENTS] = { 0 }, s, last_down = 0;

	if (length < 2 || length + 2 > AUDIT_SEGMENTS)
		return -EINVAL;
	for (unsigned i = 0; i < length; i++)
		if (path[i] <= AUDIT_CLIENT || path[i] >= p->components)
			return -EINVAL;
	p->segments = 1;
	memset(p->pair, 0, sizeof(p->pair));
	p->entry = p->hub = path[0];
	s = segment_add(p, AUDIT_CLIENT, path[0]);
	mark_links(p, AUDIT_CLIENT, path[0], s, 0);
	for (unsigned i = 0; i + 1 < length; i++) {
		s = segment_add(p, path[i], path[i + 1]);
		depth[s] = 1;
		last_down = s;
		/* A hop taken twice keeps the number of its first time: a wake-up cannot tell them. */
		if (!p->pair[path[i]][path[i + 1]])
			p->pair[path[i]][path[i + 1]] = (uint8_t)s;
	}
	if (p->beyond && !p->pair[path[0]][p->beyond])
		last_down = add_crossing(p, path[0], p->beyond, depth);
	if (has_others(p, path, length)) {
		s = segment_add(p, AUDIT_NOBODY, AUDIT_NOBODY);
		depth[s] = 1;
		last_down = s;
		mark_calls(p, s);
	}
	s = segment_add(p, path[length - 1], path[0]);
	depth[s] = 1;
	if (!p->pair[path[length - 1]][path[0]])
		p->pair[path[length - 1]][path[0]] = (uint8_t)s;
	if (p->beyond)
		mark_links(p, path[0], p->beyond, p->pair[path[0]][p->beyond], p->pair[p->beyond][path[0]]);
	s = segment_add(p, path[0], AUDIT_CLIENT);
	mark_links(p, AUDIT_CLIENT, path[0], 0, s);
	classify(p, depth, 1, last_down);
	return 0;
}

unsigned plan_segment_number(const struct plan *p, unsigned number)
{
	for (unsigned i = 1; i < p->segments; i++)
		if (p->segment[i].number == number)
			return i;
	return 0;
}

void plan_segment_text(const struct plan *p, unsigned segment, char *out, size_t room)
{
	const struct plan_segment *s = &p->segment[segment];

	if (segment && segment < p->segments && !s->from)
		snprintf(out, room, "calls among functions");
	else if (segment && segment < p->segments)
		snprintf(out, room, "%s -> %s", p->component[s->from].name,
			 p->component[s->to].name);
	else
		snprintf(out, room, "not attributed");
}

const char *segment_class_name(enum segment_class class)
{
	switch (class) {
	case SEGMENT_EXTERNAL: return "external";
	case SEGMENT_WITHIN: return "within";
	case SEGMENT_RETURN_CHAIN: return "return_chain";
	case SEGMENT_RETURN_EXTERNAL: return "return_external";
	}
	return "?";
}
