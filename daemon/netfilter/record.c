/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "common/base/strbuf.h"
#include "common/rules/lower_nft.h"
#include "daemon/os/fd.h"
#include "daemon/os/io.h"

#define HEADER     "tproxyd-record 1"
#define BOOT_MAX   64
#define LINE_BYTES 256
#define UNKNOWN    "-"
#define PAGE_BYTES 4096

static const char *const family_words[FAMILY_COUNT] = {
	[FAMILY_V4] = "ipv4",
	[FAMILY_V6] = "ipv6",
};

static const char *const kind_words[RECORD_KIND_COUNT] = {
	[RECORD_XT_CHAIN] = "chain",
	[RECORD_XT_RULE] = "rule",
	[RECORD_NFT_TABLE] = "table",
};

/* This boot and this network namespace. */
struct place {
	char boot[BOOT_MAX]; /* "-": cannot be told here */
	uint64_t netns;
};

static int place_init(struct place *ret, struct error *err)
{
	_fclose_ FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	struct stat st;

	strcpy(ret->boot, UNKNOWN);
	if (f && fgets(ret->boot, sizeof(ret->boot), f))
		ret->boot[strcspn(ret->boot, "\n")] = '\0';
	if (stat("/proc/self/ns/net", &st) < 0)
		return error_sys(err, -errno, "stat /proc/self/ns/net");
	ret->netns = st.st_ino;
	return 0;
}

/* A process stays in its place: it is looked up once. */
static int place_here(const struct place **ret, struct error *err)
{
	static struct place process_place;
	int r = process_place.netns ? 0 : place_init(&process_place, err);

	*ret = &process_place;
	return r;
}

/* The number of a word in a list; -1: it is not there. */
static int find_word(const char *const *words, int n, const char *text)
{
	while (--n >= 0 && strcmp(text, words[n]) != 0)
		continue;
	return n;
}

static int add_table(const char *line, struct record *record)
{
	struct record_item item = { .kind = RECORD_NFT_TABLE, .table = TABLE_COUNT };
	char word[8];
	int end = 0, family;

	if (sscanf(line, "table %7s " NFT_TABLE "%n", word, &end) != 1 || end == 0 || line[end])
		return -EBADMSG;
	family = find_word(family_words, FAMILY_COUNT, word);
	if (family < 0)
		return -EBADMSG;
	item.family = (enum family)family;
	array_push(&record->arena, record, item);
	return record->arena.failed ? -ENOMEM : 0;
}

static int parse_item(const char *line, struct record *record)
{
	static const char *const tables[TABLE_COUNT] = { "raw", "nat", "mangle", "filter" };
	struct record_item item = { 0 };
	char words[3][8] = { 0 }, place[8] = "";
	int at = 0, end = 0;
	int n = sscanf(line, "%7s %7s %7s %31s%n %32[0-9a-f]%n %7s", words[0], words[1], words[2],
		       item.chain, &at, item.digest, &end, place);
	int kind = find_word(kind_words, RECORD_KIND_COUNT, words[0]);
	int family = find_word(family_words, FAMILY_COUNT, words[1]);
	int table = find_word(tables, TABLE_COUNT, words[2]);

	/* Lines that begin with an unknown word are a later version's and mean nothing here. */
	if (kind < 0)
		return 0;
	if (kind == RECORD_NFT_TABLE)
		return add_table(line, record);
	if (end < at)
		end = at; /* no digest, and so nothing else */
	end += line[end] == ' ';
	if (family < 0 || table < 0 || n < 4 || (n < 6 && line[end]) ||
	    (n == 6 && line[end - 1] != ' ') ||
	    (strlen(item.digest) != 32 && (n > 4 || kind == RECORD_XT_RULE)))
		return -EBADMSG;
	item.kind = (enum record_kind)kind;
	item.family = (enum family)family;
	item.table = (enum table)table;
	item.appended = strcmp(place, "append") == 0;
	array_push(&record->arena, record, item);
	return record->arena.failed ? -ENOMEM : 0;
}

static int parse_stored(const char *word, struct record *record)
{
	for (enum level level = LEVEL_NONE + 1; level < LEVEL_COUNT; level++)
		if (strcmp(word, level_name(level)) == 0)
			record->stored = level;
	return record->stored != LEVEL_NONE ? 0 : -EBADMSG;
}

#define RECORD_ELSEWHERE 1 /* it claims nothing: it is of another boot or namespace */

static int parse_line(const char *line, const struct place *here, struct record *record)
{
	uint64_t netns;
	int end = 0;

	if (strncmp(line, "boot ", 5) == 0)
		return strcmp(line + 5, UNKNOWN) == 0 || strcmp(here->boot, UNKNOWN) == 0 ||
				       strcmp(line + 5, here->boot) == 0
			       ? 0
			       : RECORD_ELSEWHERE;
	if (strncmp(line, "netns ", 6) == 0) {
		if (!parse_decimal(line + 6, UINT64_MAX, &netns))
			return -EBADMSG;
		return netns == here->netns ? 0 : RECORD_ELSEWHERE;
	}
	if (strncmp(line, "stored ", 7) == 0)
		return parse_stored(line + 7, record);
	if (strncmp(line, "address ", 8) != 0)
		return parse_item(line, record);
	record->address =
		sscanf(line, "address ::6/128 %15s%n", record->address_iface, &end) == 1 &&
		!line[end];
	return record->address ? 0 : -EBADMSG;
}

static int load_lines(FILE *f, const struct place *here, struct record *record)
{
	char line[LINE_BYTES];
	bool placed = false;

	if (!fgets(line, sizeof(line), f))
		return ferror(f) ? -EIO : -EBADMSG;
	if (strcmp(line, HEADER "\n") != 0)
		return -EBADMSG;
	while (fgets(line, sizeof(line), f)) {
		size_t len = strlen(line);
		int r;

		/* The file is replaced as a whole: a line without its end is not ours. */
		if (len == 0 || line[len - 1] != '\n')
			return -EBADMSG;
		line[len - 1] = '\0';
		placed = placed || strncmp(line, "netns ", 6) == 0;
		r = parse_line(line, here, record);
		if (r != 0)
			return r;
	}
	if (ferror(f))
		return -EIO;
	return placed ? 0 : -EBADMSG;
}

int record_load(const char *path, struct record *ret, struct error *err)
{
	struct record record = { .path = path };
	_fclose_ FILE *f = NULL;
	const struct place *here;
	int r;

	*ret = record;
	if (!path)
		return 0;
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? 0 : error_sys(err, -errno, "open %s", path);
	r = place_here(&here, err);
	if (r < 0)
		return r;

	r = load_lines(f, here, &record);
	if (r == 0) {
		*ret = record;
		return 0;
	}
	record_done(&record);
	if (r == RECORD_ELSEWHERE)
		return 0;
	if (r == -EBADMSG)
		return error_set(err, r, "%s is damaged", path);
	return error_sys(err, r, "read %s", path);
}

static void print_item(const struct record_item *item, struct strbuf *out)
{
	const char *place = item->appended ? " append" : " insert";

	if (item->kind == RECORD_NFT_TABLE) {
		strbuf_addf(out, "table %s " NFT_TABLE "\n", family_words[item->family]);
		return;
	}
	strbuf_addf(out, "%s %s %s %s %s%s\n", kind_words[item->kind], family_words[item->family],
		    table_name(item->table), item->chain, item->digest,
		    item->kind == RECORD_XT_RULE ? place : "");
}

static int print_record(const struct record *record, struct strbuf *out, struct error *err)
{
	const struct place *here;
	int r = place_here(&here, err);

	if (r < 0)
		return r;
	strbuf_addf(out, HEADER "\nboot %s\nnetns %" PRIu64 "\n", here->boot, here->netns);
	if (record->address)
		strbuf_addf(out, "address ::6/128 %s\n", record->address_iface);
	for (size_t i = 0; i < record->n; i++)
		print_item(&record->items[i], out);
	if (record->stored != LEVEL_NONE)
		strbuf_addf(out, "stored %s\n", level_name(record->stored));
	if (out->failed)
		return error_sys(err, -ENOMEM, "write %s", record->path);
	return 0;
}

static int make_parent(const char *path, struct error *err)
{
	_free_ char *copy = strdup(path);
	const char *parent = copy ? dirname(copy) : NULL;

	if (!parent)
		return error_sys(err, -ENOMEM, "make the directory of %s", path);
	if (mkdir(parent, 0700) < 0 && errno != EEXIST)
		return error_sys(err, -errno, "make directory %s", parent);
	return 0;
}

/* Writes the text and room behind it; no more where there is enough already. */
static int write_file(const char *path, struct strbuf *text, size_t room, struct error *err)
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	char line[LINE_BYTES];
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_sys(err, -errno, "open %s", path);
	if ((size_t)st.st_size >= text->len)
		room = (size_t)st.st_size;
	memset(line, ' ', sizeof(line));
	while (text->len < room && !text->failed) {
		size_t left = room - text->len;

		/* As long as a line may be: each is read again. */
		left = left < LINE_BYTES ? left : LINE_BYTES - 1;
		strbuf_add_len(text, line, left - 1);
		strbuf_addc(text, '\n');
	}
	r = text->failed ? -ENOMEM : io_write_all(fd, text->text, text->len);
	return r < 0 ? error_sys(err, r, "write %s", path) : 0;
}

static int remove_file(const char *path, const char *spare, struct error *err)
{
	if ((unlink(path) < 0 && errno != ENOENT) || (unlink(spare) < 0 && errno != ENOENT))
		return error_sys(err, -errno, "remove %s", path);
	/* Nobody else uses this directory. (The daemon's has the lock, too.) */
	if (strcmp(path, RECORD_INSTALL) == 0)
		(void)rmdir(RECORD_INSTALL_DIR);
	return 0;
}

/* The file and the one that takes its place next both exist at all times. */
static int replace_file(const char *path, const char *spare, struct strbuf *text, struct error *err)
{
	size_t room = (2 * text->len + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	int r = write_file(spare, text, room, err);

	if (r < 0)
		return r;
	if (renameat2(AT_FDCWD, spare, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
		return 0;
	if (rename(spare, path) < 0)
		return error_sys(err, -errno, "replace %s", path);
	r = write_file(spare, text, room, err);
	/* The first of all: nothing was done that it lists. */
	if (r < 0)
		(void)remove_file(path, spare, NULL);
	return r;
}

int record_save(const struct record *record, struct error *err)
{
	_strbuf_ struct strbuf text = { 0 };
	_free_ char *spare = NULL;
	int r;

	if (!record->path)
		return 0;
	if (asprintf(&spare, "%s.new", record->path) < 0)
		return error_sys(err, -ENOMEM, "write %s", record->path);
	if (record_empty(record))
		return remove_file(record->path, spare, err);
	r = print_record(record, &text, err);
	if (r == 0)
		r = make_parent(record->path, err);
	return r < 0 ? r : replace_file(record->path, spare, &text, err);
}

static bool same_item(const struct record_item *a, const struct record_item *b)
{
	return strcmp(a->digest, b->digest) == 0 && strcmp(a->chain, b->chain) == 0 &&
	       a->kind == b->kind && a->family == b->family && a->table == b->table;
}

void record_merge(struct record *record, const struct record *more)
{
	const size_t n = record->n;
	bool *taken = arena_alloc(&record->arena, n + 1);

	/* Both are mostly in the same order: each search begins behind what was found last. */
	for (size_t k = 0, at = 0; taken && k < more->n; k++) {
		size_t left = n;

		for (; left && (taken[at] || !same_item(&record->items[at], &more->items[k]));
		     left--)
			at = (at + 1) % n;
		if (left)
			taken[at] = true;
		else
			array_push(&record->arena, record, more->items[k]);
	}
}

void record_begin(const struct record *record, unsigned kinds, struct record *ret)
{
	*ret = (struct record){
		.path = record->path,
		.address = record->address,
		.stored = record->stored,
	};
	memcpy(ret->address_iface, record->address_iface, sizeof(ret->address_iface));
	for (size_t i = 0; i < record->n; i++)
		if (!(kinds & 1U << record->items[i].kind))
			array_push(&ret->arena, ret, record->items[i]);
}

bool record_empty(const struct record *record)
{
	return record->n == 0 && !record->address;
}

void record_done(struct record *record)
{
	arena_done(&record->arena);
	record->items = NULL;
	record->n = 0;
	record->address = false;
	record->stored = LEVEL_NONE;
}
