/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What kumactl's rules, and ours, are known by: the same words and numbers for who writes the rules
 * and for who recognises them, in the kernel's bytes, in text, in netlink messages and in
 * firewalld's file.
 */

#include <stdbool.h>
#include <string.h>

#include "common/plan/plan.h"

#define COMMENT_PREFIX    "kuma/mesh/transparent/proxy/"
#define DOCKER_OUTPUT     "DOCKER_OUTPUT"
#define STRICT_CHAIN      KUMA_MESH_PREFIX "STRICT_INBOUND"
#define LOG_PREROUTING    "PREROUTING:"
#define LOG_OUTPUT        "OUTPUT:"
#define ZONE_SERVERS      1 /* what lies between the DNS proxy and the servers */
#define ZONE_APPLICATIONS 2 /* what lies between the applications and the DNS proxy */

/* "KUMA_MESH_...": kumactl's prefix is fixed. */
static inline bool mesh_chain(const char *chain)
{
	return strncmp(chain, KUMA_MESH_PREFIX, strlen(KUMA_MESH_PREFIX)) == 0;
}

static inline bool mesh_comment(const char *comment)
{
	return strncmp(comment, COMMENT_PREFIX, strlen(COMMENT_PREFIX)) == 0;
}
