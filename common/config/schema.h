/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The settings, one row each. The table is the specification: loader, help, man page, completions
 * and conf/tproxyd.yaml are derived from it or checked against it. Defaults are text and go through
 * the same parser as what users write.
 */

#include <stddef.h>

#include "common/base/attr.h"
#include "common/config/config.h"

enum setting_type {
	SETTING_STRING,
	SETTING_BOOL,
	SETTING_UINT16,
	SETTING_UINT32,
	SETTING_PORT,
	SETTING_PORTS,
	SETTING_STRINGS,
	SETTING_PAIRS,
	SETTING_EXECUTABLES, /* kumactl's name:path list; YAML: a mapping */
	SETTING_DURATION,    /* Go text; kumactl's files also take a number of nanoseconds */
	SETTING_HOLD,        /* a duration or "infinity" */
	SETTING_ENUM,        /* names in .names, value is the index */
	SETTING_TYPE_COUNT,
};

/* What a change of the setting leads to on reload: an upper bound, checked by a test. */
enum affects {
	AFFECTS_NOTHING = 0,
	AFFECTS_RULES = 1 << 0,
	AFFECTS_KUMA_DP = 1 << 1,
	AFFECTS_CORE_DNS = 1 << 2,
	AFFECTS_DAEMON = 1 << 3, /* the daemon itself, neither rules nor children */
	AFFECTS_START = 1 << 4,  /* refused on reload: restart the service */
};

enum setting_flags {
	SETTING_INSTALL = 1 << 0,   /* not of kumactl's, and an option of install */
	SETTING_UNINSTALL = 1 << 1, /* an option of uninstall */
	SETTING_IGNORED = 1 << 2,   /* accepted with a notice, means nothing here */
	SETTING_NO_YAML = 1 << 3,   /* environment only */
	SETTING_PRIVATE = 1 << 4,   /* a value may be a secret: not for the journal */
};

struct setting {
	const char *path; /* "redirect.inbound.port"; case-insensitive in files */
	const char *env;
	const char *flag;       /* without dashes; NULL: none */
	const char *flag_alias; /* a deprecated second spelling; NULL: none */
	bool kumactl;           /* one of kumactl install transparent-proxy's */
	enum setting_type type;
	unsigned flags;           /* enum setting_flags */
	unsigned affects;         /* enum affects */
	size_t offset;            /* in struct config */
	const char *const *names; /* of SETTING_ENUM, NULL-terminated */
	const char *dflt;
	const char *help; /* one or two full sentences */
};

/* The names of enum log_level, NULL-terminated. */
extern const char *const log_level_names[];

/* The names of enum backend_choice, NULL-terminated. */
extern const char *const backend_names[];

extern const struct setting settings[];
extern const size_t n_settings;

/* By path, without regard to case; NULL when there is none. */
const struct setting *setting_by_path(const char *path);
/* By flag name (without dashes), deprecated spellings included. */
const struct setting *setting_by_flag(const char *flag);
const struct setting *setting_by_env(const char *env);

/* The setting whose path, without regard to case, is nearest to path (edit distance <= 2 in one of
 * its components), or NULL. */
const struct setting *setting_suggest(const char *path);
