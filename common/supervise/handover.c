/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/handover.h"

#include <errno.h>
#include <string.h>

#include "common/base/array.h"
#include "common/base/parse.h"

#define FORM     "tproxyd-state "
#define VERSION  1
#define LAST     "end"
#define NAME_MAX 63

void handover_begin(struct strbuf *out)
{
	strbuf_addf(out, FORM "%d\n", VERSION);
}

void handover_end(struct strbuf *out)
{
	strbuf_add(out, LAST "\n");
}

void handover_add_number(struct strbuf *out, const char *prefix, const char *name, uint64_t value)
{
	strbuf_addf(out, "%s%s %llu\n", prefix, name, (unsigned long long)value);
}

void handover_add_text(struct strbuf *out, const char *prefix, const char *name, const char *text)
{
	strbuf_addf(out, "%s%s \"", prefix, name);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == '"' || c == '\\' || c == 0x7f)
			strbuf_addf(out, "\\%02x", c);
		else
			strbuf_addc(out, *text);
	}
	strbuf_add(out, "\"\n");
}

static uint64_t load(const struct handover_fact *fact, const void *base)
{
	const void *at = (const char *)base + fact->offset;

	if (fact->size == sizeof(bool))
		return *(const bool *)at;
	return fact->size == sizeof(uint32_t) ? *(const uint32_t *)at : *(const uint64_t *)at;
}

static void store(const struct handover_fact *fact, uint64_t value, void *base)
{
	void *at = (char *)base + fact->offset;

	if (fact->size == sizeof(bool))
		*(bool *)at = value;
	else if (fact->size == sizeof(uint32_t))
		*(uint32_t *)at = (uint32_t)value;
	else
		*(uint64_t *)at = value;
}

void handover_add_facts(struct strbuf *out, const char *prefix, const struct handover_table *table,
			const void *base)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct handover_fact *fact = &table->items[i];

		if (fact->optional)
			strbuf_addc(out, '+');
		if (fact->text)
			handover_add_text(out, prefix, fact->name,
					  (const char *)base + fact->offset);
		else
			handover_add_number(out, prefix, fact->name, load(fact, base));
	}
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes the text out of its quotes, in place; returns whether it was one. */
static bool unquote(char *text, size_t len)
{
	char *to = text;

	if (len < 2 || text[len - 1] != '"')
		return false;
	for (size_t i = 1; i < len - 1; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\\') {
			int high = i + 3 < len ? digit(text[i + 1]) : -1;
			int low = i + 3 < len ? digit(text[i + 2]) : -1;

			if (high < 0 || low < 0 || high + low == 0)
				return false;
			*to++ = (char)(high * 16 + low);
			i += 2;
		} else if (c < ' ' || c == '"' || c == 0x7f) {
			return false;
		} else {
			*to++ = (char)c;
		}
	}
	*to = '\0';
	return true;
}

/* Whether it is a line of a fact; takes it apart in place. */
static bool parse_line(char *line, size_t len, struct handover_line *ret)
{
	size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789.-");
	uint64_t unused;

	if (name == 0 || name > NAME_MAX || line[name] != ' ')
		return false;
	line[name] = '\0';
	ret->name = line;
	ret->value = line + name + 1;
	ret->text = *ret->value == '"';
	return ret->text ? unquote(line + name + 1, len - name - 1)
			 : parse_decimal(ret->value, UINT64_MAX, &unused);
}

static int check_form(const char *line, struct error *err)
{
	uint64_t version;

	if (strncmp(line, FORM, strlen(FORM)) != 0 ||
	    !parse_decimal(line + strlen(FORM), UINT32_MAX, &version) || version == 0)
		return error_set(err, -EBADMSG, "this is not the state of a tproxyd");
	if (version > VERSION)
		return error_set(err, -EBADMSG,
				 "the state has form %llu, of which only those up to %d are "
				 "known here",
				 (unsigned long long)version, VERSION);
	return 0;
}

/* Whether that was the last one. */
static int take_line(struct handover *handover, char *text, size_t len, unsigned number,
		     struct error *err)
{
	struct handover_line line = { .number = number, .optional = *text == '+' };

	if (number == 1)
		return check_form(text, err);
	if (!parse_line(text + line.optional, len - line.optional, &line))
		return error_set(err, -EBADMSG, "line %u of the state is not a fact", number);
	array_push(&handover->arena, handover, line);
	return 0;
}

static int take_lines(struct handover *handover, char *text, struct error *err)
{
	int r = 0;

	for (unsigned number = 1; r == 0; number++) {
		char *end = strchr(text, '\n');

		if (!end)
			return error_set(err, -EBADMSG, "the state is cut off in line %u", number);
		*end = '\0';
		if (number > 1 && strcmp(text, LAST) == 0)
			return end[1] ? error_set(err, -EBADMSG, "the state goes on after its end")
				      : 0;
		r = take_line(handover, text, (size_t)(end - text), number, err);
		text = end + 1;
	}
	return r;
}

int handover_parse(const char *text, size_t len, struct handover *ret, struct error *err)
{
	struct handover handover = { 0 };
	char *copy;
	int r;

	if (len > HANDOVER_MAX)
		return error_set(err, -EFBIG, "the state is longer than %zu bytes", HANDOVER_MAX);
	copy = arena_strndup(&handover.arena, text, len);
	if (copy && strlen(copy) != len)
		r = error_set(err, -EBADMSG, "there is a zero byte in the state");
	else
		r = copy ? take_lines(&handover, copy, err) : 0;
	if (r == 0 && handover.arena.failed)
		r = error_sys(err, -ENOMEM, "read the state");
	if (r < 0)
		handover_done(&handover);
	else
		*ret = handover;
	return r;
}

void handover_done(struct handover *handover)
{
	arena_done(&handover->arena);
	*handover = (struct handover){ 0 };
}

/* NULL: it is not there, or was taken. */
static struct handover_line *find(const struct handover *handover, const char *prefix,
				  const char *name)
{
	size_t len = strlen(prefix);

	for (size_t i = 0; i < handover->n; i++) {
		struct handover_line *line = &handover->items[i];

		if (!line->taken && strncmp(line->name, prefix, len) == 0 &&
		    strcmp(line->name + len, name) == 0)
			return line;
	}
	return NULL;
}

bool handover_has(const struct handover *handover, const char *prefix, const char *name)
{
	return find(handover, prefix, name) != NULL;
}

int handover_take_number(struct handover *handover, const char *prefix, const char *name,
			 uint64_t max, uint64_t *ret)
{
	struct handover_line *line = find(handover, prefix, name);

	if (!line || line->text || !parse_decimal(line->value, max, ret))
		return -EBADMSG;
	line->taken = true;
	return 0;
}

const char *handover_take_text(struct handover *handover, const char *prefix, const char *name)
{
	struct handover_line *line = find(handover, prefix, name);

	if (!line || !line->text)
		return NULL;
	line->taken = true;
	return line->value;
}

static int take_fact(struct handover *handover, const char *prefix,
		     const struct handover_fact *fact, void *base)
{
	const char *text;
	uint64_t value;

	if (!fact->text) {
		if (handover_take_number(handover, prefix, fact->name, fact->max, &value) < 0)
			return -EBADMSG;
		store(fact, value, base);
		return 0;
	}
	text = handover_take_text(handover, prefix, fact->name);
	if (!text || strlen(text) >= fact->size)
		return -EBADMSG;
	memcpy((char *)base + fact->offset, text, strlen(text) + 1);
	return 0;
}

int handover_take_facts(struct handover *handover, const char *prefix,
			const struct handover_table *table, void *base, struct error *err)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct handover_fact *fact = &table->items[i];
		const struct handover_line *line = find(handover, prefix, fact->name);

		if (!line && fact->optional)
			continue;
		if (!line)
			return error_set(err, -EBADMSG, "the state lacks %s%s", prefix, fact->name);
		if (take_fact(handover, prefix, fact, base) < 0)
			return error_set(err, -EBADMSG,
					 "line %u of the state: %s%s cannot be \"%.60s\"",
					 line->number, prefix, fact->name, line->value);
	}
	return 0;
}

int handover_all_taken(const struct handover *handover, struct error *err)
{
	for (size_t i = 0; i < handover->n; i++) {
		const struct handover_line *line = &handover->items[i];

		if (!line->taken && !line->optional)
			return error_set(err, -EBADMSG,
					 "line %u of the state: \"%s\" is there twice, or not "
					 "known to this version",
					 line->number, line->name);
	}
	return 0;
}
