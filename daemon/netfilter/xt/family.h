/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * libiptc for either family under one set of names, and the tables that exist. For the modules of
 * this folder, and for who only looks at the legacy tables.
 */

#include <libiptc/libiptc.h>

#include "common/base/attr.h"
#include "common/base/error.h"
#include "common/base/ip.h"

struct xt_family {
	const char *module;
	const char *names_path; /* lists the tables that exist; is there while the module is */
	const struct xtc_ops *ops;

	const void *(*first_rule)(const char *chain, struct xtc_handle *handle);
	const void *(*next_rule)(const void *entry, struct xtc_handle *handle);
	const char *(*get_target)(const void *entry, struct xtc_handle *handle);
	int (*insert)(const xt_chainlabel chain, const void *entry, unsigned position,
		      struct xtc_handle *handle);
	int (*append)(const xt_chainlabel chain, const void *entry, struct xtc_handle *handle);
	int (*delete_at)(const xt_chainlabel chain, unsigned position, struct xtc_handle *handle);
	int (*delete_chain)(const xt_chainlabel chain, struct xtc_handle *handle);
};

extern const struct xt_family xt_families[FAMILY_COUNT];

/* Which tables exist: a bit 1 << enum table for each. (Opening one to look would make it.) Returns 1, 0
 * without the module, or a negative errno. */
int xt_tables(enum family family, unsigned *ret, struct error *err) _must_check_;

/* Whether the module is there: 1, 0, or a negative errno. */
int xt_loaded(enum family family, struct error *err) _must_check_;

/* Negative errno of what libiptc has just failed at, never 0. */
int xt_errno(void);
