/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Topic names and filters as MQTT defines them (3.1.1 and 5, §4.7): levels between '/', '+' for any
 * one level, '#' last for all that follows, the level above included. Names that begin with '$' are
 * not matched by a filter that begins with a wildcard.
 */
#ifndef PERHOP_CHAIN_TOPIC_H
#define PERHOP_CHAIN_TOPIC_H

#include <stdbool.h>

#include "chain/http.h"

/* May something be published to it: not empty, no wildcard, no NUL? */
bool topic_name_valid(struct slice name);

/* May it be subscribed to: not empty, no NUL, wildcards only as whole levels, '#' only last? */
bool topic_filter_valid(struct slice filter);

/* Does a valid filter match a valid name? */
bool topic_matches(struct slice filter, struct slice name);

#endif
