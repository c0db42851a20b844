/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/record.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/base/parse.h"
#include "common/base/strbuf.h"
#include "common/rules/ruleset.h"
#include "daemon/os/fd.h"
#include "daemon/os/io.h"

#define HEADER     "tproxyd-record 1"
#define BOOT_MAX   64
#define LINE_BYTES 256
#define UNKNOWN    "-"

static const char *const family_words[FAMILY_COUNT] = {
	[FAMILY_V4] = "ipv4",
	[FAMILY_V6] = "ipv6",
};

static const char *const kind_words[RECORD_KIND_COUNT] = {
	[RECORD_XT_CHAIN] = "chain",
	[RECORD_XT_RULE] = "rule",
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

static bool parse_digest(const char *text, uint8_t ret[static 16])
{
	if (strlen(text) != 32 || strspn(text, "0123456789abcdef") != 32)
		return false;
	for (size_t i = 0; i < 16; i++) {
		char byte[3] = { text[2 * i], text[2 * i + 1], '\0' };

		ret[i] = (uint8_t)strtoul(byte, NULL, 16);
	}
	return true;
}

/* The number of a word in a list. */
static bool parse_word(const char *const *words, unsigned n, const char *text, unsigned *ret)
{
	for (*ret = 0; *ret < n; (*ret)++)
		if (strcmp(text, words[*ret]) == 0)
			return true;
	return false;
}

/* Takes the next word from *rest; "" at the end. */
static const char *next_word(char **rest)
{
	const char *word = strsep(rest, " ");

	return word ? word : "";
}

static bool parse_item(char *rest, enum record_kind kind, struct record_item *ret)
{
	static const char *const tables[TABLE_COUNT] = { "raw", "nat", "mangle" };
	const char *family = next_word(&rest), *table = next_word(&rest);
	const char *chain = next_word(&rest), *digest = next_word(&rest);
	unsigned f, t;

	*ret = (struct record_item){ .kind = kind };
	if (!parse_word(family_words, FAMILY_COUNT, family, &f) ||
	    !parse_word(tables, TABLE_COUNT, table, &t))
		return false;
	ret->family = (enum family)f;
	ret->table = (enum table)t;
	if (!chain[0] || strlen(chain) >= sizeof(ret->chain))
		return false;
	memcpy(ret->chain, chain, strlen(chain) + 1);
	ret->appended = strcmp(next_word(&rest), "append") == 0;
	if (kind == RECORD_XT_CHAIN && !digest[0])
		return true;
	return parse_digest(digest, ret->digest);
}

#define RECORD_ELSEWHERE 1 /* it claims nothing: it is of another boot or namespace */

static int parse_address(char *rest, struct record *record)
{
	const char *address = next_word(&rest), *iface = next_word(&rest);

	if (strcmp(address, "::6/128") != 0 || !iface[0] ||
	    strlen(iface) >= sizeof(record->address_iface))
		return -EBADMSG;
	memcpy(record->address_iface, iface, strlen(iface) + 1);
	record->address = true;
	return 0;
}

/* Lines that begin with an unknown word are a later version's and mean nothing here. */
static int parse_line(char *line, const struct place *here, struct record *record)
{
	char *rest = line;
	const char *key = next_word(&rest);
	struct record_item item;
	uint64_t netns;
	unsigned kind;

	if (strcmp(key, "boot") == 0) {
		const char *boot = next_word(&rest);

		if (strcmp(boot, UNKNOWN) == 0 || strcmp(here->boot, UNKNOWN) == 0)
			return 0;
		return strcmp(boot, here->boot) == 0 ? 0 : RECORD_ELSEWHERE;
	}
	if (strcmp(key, "netns") == 0) {
		if (!parse_decimal(next_word(&rest), UINT64_MAX, &netns))
			return -EBADMSG;
		return netns == here->netns ? 0 : RECORD_ELSEWHERE;
	}
	if (strcmp(key, "address") == 0)
		return parse_address(rest, record);
	if (!parse_word(kind_words, RECORD_KIND_COUNT, key, &kind))
		return 0;
	if (!parse_item(rest, (enum record_kind)kind, &item))
		return -EBADMSG;
	return record_add(record, &item);
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
	struct place here;
	int r;

	*ret = record;
	if (!path)
		return 0;
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? 0 : error_sys(err, -errno, "open %s", path);
	r = place_init(&here, err);
	if (r < 0)
		return r;

	r = load_lines(f, &here, &record);
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
	uint64_t halves[2];

	memcpy(halves, item->digest, sizeof(halves));
	strbuf_addf(out, "%s %s %s %s %016" PRIx64 "%016" PRIx64 "%s\n", kind_words[item->kind],
		    family_words[item->family], table_name(item->table), item->chain,
		    be64toh(halves[0]), be64toh(halves[1]),
		    item->kind == RECORD_XT_RULE ? place : "");
}

static int print_record(const struct record *record, struct strbuf *out, struct error *err)
{
	struct place here;
	int r = place_init(&here, err);

	if (r < 0)
		return r;
	strbuf_addf(out, HEADER "\nboot %s\nnetns %" PRIu64 "\n", here.boot, here.netns);
	if (record->address)
		strbuf_addf(out, "address ::6/128 %s\n", record->address_iface);
	for (size_t i = 0; i < record->n; i++)
		print_item(&record->items[i], out);
	if (out->failed)
		return error_sys(err, -ENOMEM, "write %s", record->path);
	return 0;
}

static int make_parent(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	_free_ char *parent = slash ? strndup(path, (size_t)(slash - path)) : NULL;

	if (!slash || slash == path)
		return 0;
	if (!parent)
		return error_sys(err, -ENOMEM, "make the directory of %s", path);
	if (mkdir(parent, 0755) < 0 && errno != EEXIST)
		return error_sys(err, -errno, "make directory %s", parent);
	return 0;
}

static int write_file(const char *path, const char *text, size_t len, struct error *err)
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return error_sys(err, -errno, "open %s", path);
	r = io_write_all(fd, text, len);
	return r < 0 ? error_sys(err, r, "write %s", path) : 0;
}

static int remove_file(const char *path, struct error *err)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return error_sys(err, -errno, "remove %s", path);
	/* Nobody else uses this directory. (The daemon's is systemd's RuntimeDirectory.) */
	if (strcmp(path, RECORD_INSTALL) == 0) {
		_free_ char *parent = strndup(path, (size_t)(strrchr(path, '/') - path));

		if (parent)
			(void)rmdir(parent);
	}
	return 0;
}

int record_save(const struct record *record, struct error *err)
{
	_strbuf_ struct strbuf text = { 0 };
	_free_ char *temporary = NULL;
	int r;

	if (!record->path)
		return 0;
	if (record_empty(record))
		return remove_file(record->path, err);
	r = print_record(record, &text, err);
	if (r < 0)
		return r;
	r = make_parent(record->path, err);
	if (r < 0)
		return r;
	if (asprintf(&temporary, "%s.new", record->path) < 0)
		return error_sys(err, -ENOMEM, "write %s", record->path);

	r = write_file(temporary, text.text, text.len, err);
	if (r == 0 && rename(temporary, record->path) < 0)
		r = error_sys(err, -errno, "replace %s", record->path);
	if (r < 0)
		(void)unlink(temporary);
	return r;
}

int record_add(struct record *record, const struct record_item *item)
{
	size_t n = record->n;

	/* Full exactly when the count is 0 or a power of two. */
	if ((n & (n - 1)) == 0) {
		struct record_item *items =
			reallocarray(record->items, n ? n * 2 : 1, sizeof(*items));

		if (!items)
			return -ENOMEM;
		record->items = items;
	}
	record->items[record->n++] = *item;
	return 0;
}

static int compare_items(const void *a, const void *b)
{
	const struct record_item *x = *(const struct record_item *const *)a;
	const struct record_item *y = *(const struct record_item *const *)b;
	int r = memcmp(x->digest, y->digest, sizeof(x->digest));

	r = r ? r : (int)x->kind - (int)y->kind;
	r = r ? r : (int)x->family - (int)y->family;
	r = r ? r : (int)x->table - (int)y->table;
	return r ? r : strcmp(x->chain, y->chain);
}

static const struct record_item **sorted_items(const struct record *record)
{
	const size_t size = sizeof(const struct record_item *);
	const struct record_item **sorted = calloc(record->n + 1, size);

	for (size_t i = 0; sorted && i < record->n; i++)
		sorted[i] = &record->items[i];
	if (sorted)
		qsort(sorted, record->n, size, compare_items);
	return sorted;
}

/* Marks in `known` which items of `more` have their equal in the record. */
static int find_known(const struct record *record, const struct record *more, bool *known)
{
	_free_ const struct record_item **have = sorted_items(record), **add = sorted_items(more);

	if (!have || !add)
		return -ENOMEM;
	for (size_t i = 0, k = 0; i < record->n && k < more->n;) {
		int order = compare_items(&have[i], &add[k]);

		if (order == 0)
			known[add[k] - more->items] = true;
		i += order <= 0;
		k += order >= 0;
	}
	return 0;
}

int record_merge(struct record *record, const struct record *more)
{
	_free_ bool *known = calloc(more->n + 1, sizeof(*known));
	int r = known ? 0 : -ENOMEM;

	if (r == 0 && record->n && more->n)
		r = find_known(record, more, known);
	/* In their own order, which is the kernel's. */
	for (size_t k = 0; k < more->n && r == 0; k++)
		r = known[k] ? 0 : record_add(record, &more->items[k]);
	return r;
}

bool record_empty(const struct record *record)
{
	return record->n == 0 && !record->address;
}

void record_done(struct record *record)
{
	free(record->items);
	record->items = NULL;
	record->n = 0;
	record->address = false;
}
