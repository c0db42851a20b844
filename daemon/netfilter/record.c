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

#define HEADER     "tproxyd-record 1"
#define BOOT_MAX   64
#define LINE_BYTES 256
#define UNKNOWN    "-"

static const char *const family_words[FAMILY_COUNT] = {
	[FAMILY_V4] = "ipv4",
	[FAMILY_V6] = "ipv6",
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

static bool parse_family(const char *text, enum family *ret)
{
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		if (strcmp(text, family_words[f]) == 0) {
			*ret = f;
			return true;
		}
	}
	return false;
}

static bool parse_table(const char *text, enum table *ret)
{
	for (enum table t = 0; t < TABLE_COUNT; t++) {
		if (strcmp(text, table_name(t)) == 0) {
			*ret = t;
			return true;
		}
	}
	return false;
}

/* Takes the next word from *rest; "" at the end. */
static const char *next_word(char **rest)
{
	const char *word = strsep(rest, " ");

	return word ? word : "";
}

static bool parse_item(char *rest, bool is_rule, struct record_item *ret)
{
	const char *family = next_word(&rest), *table = next_word(&rest);
	const char *chain = next_word(&rest), *digest = next_word(&rest);

	*ret = (struct record_item){ .is_rule = is_rule };
	if (!parse_family(family, &ret->family) || !parse_table(table, &ret->table))
		return false;
	if (!chain[0] || strlen(chain) >= sizeof(ret->chain))
		return false;
	memcpy(ret->chain, chain, strlen(chain) + 1);
	ret->appended = strcmp(next_word(&rest), "append") == 0;
	if (!is_rule && !digest[0])
		return true;
	return parse_digest(digest, ret->digest);
}

/* Returns 0, -EBADMSG for a line that cannot be read, -ESTALE for another place, -ENOMEM. Lines
 * that begin with an unknown word are a later version's and mean nothing here. */
static int parse_line(char *line, const struct place *here, struct record *record)
{
	char *rest = line;
	const char *key = next_word(&rest);
	struct record_item item;
	uint64_t netns;

	if (strcmp(key, "boot") == 0) {
		const char *boot = next_word(&rest);

		if (strcmp(boot, UNKNOWN) == 0 || strcmp(here->boot, UNKNOWN) == 0)
			return 0;
		return strcmp(boot, here->boot) == 0 ? 0 : -ESTALE;
	}
	if (strcmp(key, "netns") == 0) {
		if (!parse_decimal(next_word(&rest), UINT64_MAX, &netns))
			return -EBADMSG;
		return netns == here->netns ? 0 : -ESTALE;
	}
	if (strcmp(key, "address") == 0) {
		const char *address = next_word(&rest), *iface = next_word(&rest);

		if (strcmp(address, "::6/128") != 0 || !iface[0] ||
		    strlen(iface) >= sizeof(record->address_iface))
			return -EBADMSG;
		memcpy(record->address_iface, iface, strlen(iface) + 1);
		record->address = true;
		return 0;
	}
	if (strcmp(key, "rule") != 0 && strcmp(key, "chain") != 0)
		return 0;
	if (!parse_item(rest, key[0] == 'r', &item))
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
		if (r < 0)
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
	if (r == -ESTALE)
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
	strbuf_addf(out, "%s %s %s %s %016" PRIx64 "%016" PRIx64 "%s\n",
		    item->is_rule ? "rule" : "chain", family_words[item->family],
		    table_name(item->table), item->chain, be64toh(halves[0]), be64toh(halves[1]),
		    item->is_rule ? place : "");
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

	if (fd < 0)
		return error_sys(err, -errno, "open %s", path);
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_sys(err, -errno, "write %s", path);
		text += n;
		len -= (size_t)n;
	}
	return 0;
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
