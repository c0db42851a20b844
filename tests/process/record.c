/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is written down of what was put into the kernel; false records are told in tests/netns. */

#include "daemon/netfilter/record.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"

struct place {
	char dir[32];
	char path[64];
};

static void place_init(struct place *p)
{
	strcpy(p->dir, "/tmp/record.XXXXXX");
	cr_assert_not_null(mkdtemp(p->dir));
	(void)snprintf(p->path, sizeof(p->path), "%s/run/record", p->dir);
}

static void place_done(struct place *p)
{
	char parent[64];

	cr_expect_eq(record_save(&(struct record){ .path = p->path }, NULL), 0);
	(void)snprintf(parent, sizeof(parent), "%s/run", p->dir);
	(void)rmdir(parent);
	cr_expect_eq(rmdir(p->dir), 0, "something else was left in %s", p->dir);
}

static void save(const struct record *record)
{
	struct error err = { 0 };

	cr_assert_eq(record_save(record, &err), 0, "%s", err.text);
}

static struct record load(const char *path)
{
	struct record record;
	struct error err = { 0 };

	cr_assert_eq(record_load(path, &record, &err), 0, "%s", err.text);
	return record;
}

static struct record sample(const char *path)
{
	struct record record = { .path = path };

	array_push(&record.arena, &record,
		   (struct record_item){
			   .family = FAMILY_V6,
			   .kind = RECORD_XT_RULE,
			   .table = TABLE_MANGLE,
			   .chain = "PREROUTING",
			   .appended = true,
			   .digest = "ab010200000000000000000000000000",
		   });
	array_push(&record.arena, &record,
		   (struct record_item){
			   .family = FAMILY_V4,
			   .table = TABLE_NAT,
			   .chain = "KUMA_MESH_INBOUND",
			   .digest = "000000000000000000000000000000ff",
		   });
	for (unsigned n = 0; n < 40; n++) {
		struct record_item item = { .table = TABLE_RAW,
					    .chain = "OUTPUT",
					    .kind = RECORD_XT_RULE };

		(void)snprintf(item.digest, sizeof(item.digest), "%032x", n);
		array_push(&record.arena, &record, item);
	}
	cr_assert_not(record.arena.failed);
	return record;
}

Test(record, what_is_saved_is_loaded)
{
	struct place p;
	struct record saved, loaded;

	place_init(&p);
	saved = sample(p.path);
	saved.address = true;
	strcpy(saved.address_iface, "lo");
	saved.stored = LEVEL_NO_DNS;
	save(&saved);
	loaded = load(p.path);
	cr_expect_eq(loaded.n, 42);
	for (size_t i = 0; i < loaded.n; i++) {
		const struct record_item *a = &saved.items[i], *b = &loaded.items[i];

		cr_expect_eq(a->family, b->family);
		cr_expect_eq(a->table, b->table);
		cr_expect_str_eq(a->chain, b->chain);
		cr_expect_eq(a->kind, b->kind);
		cr_expect_eq(a->appended, b->appended);
		cr_expect_str_eq(a->digest, b->digest);
	}
	cr_expect(loaded.address);
	cr_expect_str_eq(loaded.address_iface, "lo");
	cr_expect_eq(loaded.stored, LEVEL_NO_DNS);
	cr_expect_eq(loaded.path, p.path);
	record_done(&saved);
	record_done(&loaded);
	place_done(&p);
}

Test(record, is_for_its_owner_only_and_leaves_nothing_beside_it)
{
	struct place p;
	struct record saved;
	struct stat st;

	place_init(&p);
	saved = sample(p.path);
	save(&saved);
	save(&saved);
	cr_assert_eq(stat(p.path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	record_done(&saved);
	place_done(&p);
}

Test(record, an_empty_one_is_no_file)
{
	struct place p;
	struct record saved, loaded;

	place_init(&p);
	loaded = load(p.path);
	cr_expect(record_empty(&loaded));
	save(&loaded);
	saved = sample(p.path);
	save(&saved);
	cr_expect_eq(access(p.path, F_OK), 0);
	record_done(&saved);
	save(&saved);
	cr_expect_neq(access(p.path, F_OK), 0);
	place_done(&p);
}

Test(record, the_address_alone_keeps_the_file)
{
	struct place p;
	struct record saved = { .address = true, .address_iface = "lo" }, loaded;

	place_init(&p);
	saved.path = p.path;
	cr_expect_not(record_empty(&saved));
	save(&saved);
	loaded = load(p.path);
	cr_expect(loaded.address);
	cr_expect_eq(loaded.n, 0);
	record_done(&loaded);
	place_done(&p);
}

Test(record, that_a_table_is_stored_goes_with_the_table)
{
	struct place p;
	struct record saved = { .stored = LEVEL_FULL }, begun, loaded;
	_free_ char *command = NULL;

	place_init(&p);
	saved.path = p.path;
	cr_expect(record_empty(&saved));
	array_push(&saved.arena, &saved,
		   (struct record_item){ .kind = RECORD_NFT_TABLE, .table = TABLE_COUNT });
	save(&saved);
	loaded = load(p.path);
	cr_expect_eq(loaded.stored, LEVEL_FULL);
	record_begin(&loaded, RECORD_NFT_KINDS, &begun);
	cr_expect_eq(begun.stored, LEVEL_FULL);
	record_done(&loaded);
	cr_expect_eq(loaded.stored, LEVEL_NONE);
	cr_assert_geq(asprintf(&command, "sed -i 's/^stored .*/stored much/' %s", p.path), 0);
	cr_assert_eq(system(command), 0);
	cr_expect_eq(record_load(p.path, &loaded, NULL), -EBADMSG);
	record_done(&saved);
	record_done(&begun);
	place_done(&p);
}

Test(record, without_a_path_it_is_kept_in_memory)
{
	struct record record = load(NULL);

	cr_expect(record_empty(&record));
	array_push(&record.arena, &record, (struct record_item){ .chain = "OUTPUT" });
	save(&record);
	cr_expect_not(record_empty(&record));
	record_done(&record);
}

Test(record, a_boot_that_nobody_could_tell_is_taken_for_this_one)
{
	struct place p;
	struct record saved, loaded;
	_free_ char *command = NULL;

	place_init(&p);
	saved = sample(p.path);
	save(&saved);
	cr_assert_geq(asprintf(&command, "sed -i 's/^boot .*/boot -/' %s", p.path), 0);
	cr_assert_eq(system(command), 0);
	loaded = load(p.path);
	cr_expect_eq(loaded.n, saved.n);
	record_done(&saved);
	record_done(&loaded);
	place_done(&p);
}
