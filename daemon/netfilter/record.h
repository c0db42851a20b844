/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What this instance has put into the kernel, written before the first change: claims, which are
 * checked against the kernel before they are used; a stale one does no harm. A text file, replaced
 * atomically:
 *
 *     tproxyd-record 1
 *     boot BOOT_ID
 *     netns INODE
 *     address ::6/128 lo
 *     chain ipv4 nat KUMA_MESH_INBOUND DIGEST
 *     rule ipv4 nat OUTPUT DIGEST append
 *     table ipv4 tproxyd
 *     stored full
 *
 * Blank lines behind it keep room: writing it anew needs no space on the disk.
 *
 * A rule in a built-in chain is known by the digest of its normalised entry (counters zero, jumps
 * by name), a chain by its name and the digest of its rules. A record of another boot or network
 * namespace claims nothing. In the unit's sandbox the boot ID cannot be read and "-" stands for it;
 * /run itself does not outlive a boot.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/base/array.h"
#include "common/base/error.h"
#include "common/base/ip.h"
#include "common/plan/level.h"
#include "common/rules/rule.h"

/* It outlives the service: systemd removes RuntimeDirectory= whether rules are left or not. */
#define STATE_DIR          "/run/tproxyd-state"
#define RECORD_RUN         STATE_DIR "/record"
#define RECORD_INSTALL_DIR "/run/tproxyd-install"
#define RECORD_INSTALL     RECORD_INSTALL_DIR "/record"

/* Each kind is one backend's, which understands its own and leaves those of others alone. */
enum record_kind {
	RECORD_XT_CHAIN,  /* "chain": one of ours; digest of all its rules */
	RECORD_XT_RULE,   /* "rule": one in a built-in chain; digest of the rule */
	RECORD_NFT_TABLE, /* "table": that of a family */
	RECORD_KIND_COUNT,
};

struct record_item {
	enum record_kind kind;
	enum family family;
	enum table table; /* TABLE_COUNT where the kind has none */
	char chain[32];
	bool appended;   /* a rule behind those of others, not before them */
	char digest[33]; /* hexadecimal; a chain of an early record may have none */
};

struct record {
	const char *path; /* borrowed for the record's life; NULL: kept in memory only */
	struct arena arena;
	struct record_item *items; /* array_push() adds to them; look at arena.failed */
	size_t n;
	/* we added ::6/128 to the interface below */
	bool address;
	char address_iface[16];
	/* systemd keeps the descriptor by which the tables live, at this level, for the daemon that it
	 * starts next; LEVEL_NONE: it does not */
	enum level stored;
};

/* Reads the record at path. A missing file, and one of another boot or namespace, gives an empty
 * record and 0; a damaged one an empty record and -EBADMSG. */
int record_load(const char *path, struct record *ret, struct error *err) _must_check_;

/* Writes it atomically (mode 0600; the directory is made where it is missing); removes the file
 * when the record is empty. A record that was saved can be saved again on a disk that is full, as
 * long as it is no more than twice as long. */
int record_save(const struct record *record, struct error *err) _must_check_;

/* Adds the items of `more`; of those that have an equal in the record (the place among the rules of
 * others aside), each equal one stands for one. */
void record_merge(struct record *record, const struct record *more);

/* Begins a record of the same place, address and store with the items whose kind is not among these (a bit
 * each): they are another backend's. */
#define RECORD_XT_KINDS  (1U << RECORD_XT_CHAIN | 1U << RECORD_XT_RULE)
#define RECORD_NFT_KINDS (1U << RECORD_NFT_TABLE)
void record_begin(const struct record *record, unsigned kinds, struct record *ret);

bool record_empty(const struct record *record);
void record_done(struct record *record);
