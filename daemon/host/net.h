/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Addresses, interfaces and netfilter tables of this host. A part of daemon/host/host.h, used by
 * nobody else. */

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/config/check.h"
#include "common/plan/facts.h"

/* Loopback, addresses and what follows from them. */
int host_addresses(struct arena *arena, struct facts *facts, struct error *err) _must_check_;

/* What legacy netfilter offers. Makes no table. CHECK_RUN: a module that the unit would load
 * counts as there. */
int host_tables(enum check_purpose purpose, struct facts *facts, struct error *err) _must_check_;

/* The addresses of the host in an URL, where it is a literal or "localhost". */
void host_url_addresses(struct arena *arena, const char *url, struct ip_list *ret);
