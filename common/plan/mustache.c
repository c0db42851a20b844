/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/mustache.h"

#include <string.h>

#include "common/base/parse.h"
#include "common/base/strbuf.h"

#define DEPTH_MAX 32
#define BLANKS    " \t\n\v\f\r"
#define TAG_MAX   16 /* bytes of a delimiter, with NUL */

struct section {
	const char *name;
	struct origin origin; /* of its opening tag */
	bool silent;          /* it or one around it is off */
	const char *scope; /* prefix that names in it are tried with first; NULL: none of its own */
};

struct reader {
	struct arena *arena;
	const struct mustache *template;
	struct diag_list *diags;
	size_t pos;
	size_t counted; /* line and column are of this position */
	unsigned line, column;
	char open[TAG_MAX], close[TAG_MAX];
	struct section sections[DEPTH_MAX];
	size_t depth;
	struct strbuf out;
};

enum found {
	FOUND_NOTHING,
	FOUND_VALUE,
	FOUND_SCOPE, /* the name stands for what is inside it */
};

/* Line and column of a position that is not before the last one asked for. */
static struct origin origin_at(struct reader *r, size_t pos)
{
	for (; r->counted < pos; r->counted++) {
		r->column++;
		if (r->template->text[r->counted] == '\n') {
			r->line++;
			r->column = 1;
		}
	}
	return (struct origin){
		.kind = ORIGIN_FILE,
		.name = r->template->path,
		.line = r->line,
		.column = r->column,
	};
}

/* Position of the next mark, or the text's length. */
static size_t find(const struct reader *r, size_t from, const char *mark)
{
	const char *text = r->template->text;
	const char *hit = memmem(text + from, r->template->len - from, mark, strlen(mark));

	return hit ? (size_t)(hit - text) : r->template->len;
}

static bool silent(const struct reader *r)
{
	return r->depth && r->sections[r->depth - 1].silent;
}

/* Looks up the first len bytes of key. */
static enum found find_key(const struct reader *r, const char *key, size_t len,
			   const char **ret_value)
{
	const struct pair_list *vars = r->template->vars;
	enum found found = FOUND_NOTHING;

	for (size_t i = 0; i < vars->n; i++) {
		if (strncmp(vars->items[i].key, key, len) != 0)
			continue;
		if (!vars->items[i].key[len]) {
			*ret_value = vars->items[i].value;
			return FOUND_VALUE;
		}
		if (vars->items[i].key[len] == '.')
			found = FOUND_SCOPE;
	}
	return found;
}

struct finding {
	enum found found;
	const char *key, *value;
};

/* The innermost scope that has the name's first part decides: what it does not have below that part
 * is not looked for further out. */
static struct finding look_up(struct reader *r, const char *name)
{
	struct finding ret = { .found = FOUND_NOTHING };

	for (size_t i = r->depth + 1; i-- > 0;) {
		const char *scope = i ? r->sections[i - 1].scope : "";
		size_t head = strcspn(name, ".");

		if (!scope)
			continue;
		ret.key = *scope ? arena_printf(r->arena, "%s.%s", scope, name) : name;
		if (!ret.key)
			break;
		head += strlen(ret.key) - strlen(name);
		if (find_key(r, ret.key, head, &ret.value) == FOUND_NOTHING)
			continue;
		ret.found = find_key(r, ret.key, strlen(ret.key), &ret.value);
		break;
	}
	return ret;
}

static bool refuse(struct reader *r, const struct origin *origin, const char *problem,
		   const char *name)
{
	diag_add(r->diags, SEVERITY_ERROR, origin, NULL, "template: %s%s%s%s", problem,
		 name ? " '" : "", name ? name : "", name ? "'" : "");
	return false;
}

static bool put_variable(struct reader *r, const struct origin *origin, const char *name,
			 bool escaped)
{
	struct finding finding;

	if (silent(r))
		return true;
	finding = look_up(r, name);
	switch (finding.found) {
	case FOUND_VALUE:
		if (escaped)
			strbuf_add_escaped(&r->out, finding.value);
		else
			strbuf_add(&r->out, finding.value);
		return true;
	case FOUND_SCOPE:
		return refuse(r, origin, "only names below it have a value:", name);
	case FOUND_NOTHING:
		break;
	}
	diag_add(r->diags, r->template->unknown, origin, NULL, "template: no variable '%s'%s", name,
		 r->template->unknown == SEVERITY_ERROR ? "" : ", nothing is put in its place");
	return r->template->unknown != SEVERITY_ERROR;
}

static bool open_section(struct reader *r, const struct origin *origin, const char *name,
			 bool inverted)
{
	const char *text = r->template->text + r->pos;
	size_t rest = r->template->len - r->pos;
	struct finding finding = look_up(r, name);
	struct section section = {
		.name = name,
		.origin = *origin,
		.silent = silent(r) || (finding.found != FOUND_NOTHING) == inverted,
		.scope = finding.found == FOUND_SCOPE && !inverted ? finding.key : NULL,
	};

	if (r->depth == DEPTH_MAX)
		return refuse(r, origin, "sections are nested too deep at", name);
	r->sections[r->depth++] = section;
	/* One line break behind the opening tag belongs to the tag; hoisie/mustache does so. */
	if (rest >= 1 && text[0] == '\n')
		r->pos += 1;
	else if (rest >= 2 && text[0] == '\r' && text[1] == '\n')
		r->pos += 2;
	return true;
}

static bool close_section(struct reader *r, const struct origin *origin, const char *name)
{
	if (!r->depth)
		return refuse(r, origin, "closing tag without a section:", name);
	if (strcmp(r->sections[r->depth - 1].name, name) != 0)
		return refuse(r, origin, "closing tag of another section:", name);
	r->depth--;
	return true;
}

/* {{=OPEN CLOSE=}} */
static bool set_delimiters(struct reader *r, const struct origin *origin, const char *tag)
{
	size_t len = strlen(tag);
	const char *open = tag + 1 + strspn(tag + 1, " ");
	size_t open_len = strcspn(open, " =");
	const char *close = open + open_len + strspn(open + open_len, " ");
	size_t close_len = strcspn(close, " =");

	if (len < 2 || tag[len - 1] != '=' || !open_len || !close_len || open_len >= TAG_MAX ||
	    close_len >= TAG_MAX || strspn(close + close_len, " ") + 1 != strlen(close + close_len))
		return refuse(r, origin, "invalid delimiter tag", tag);
	memcpy(r->open, open, open_len);
	r->open[open_len] = 0;
	memcpy(r->close, close, close_len);
	r->close[close_len] = 0;
	return true;
}

/* What stands between the delimiters; NULL when the arena has failed. */
static bool do_tag(struct reader *r, const struct origin *origin, char *tag)
{
	const char *name;
	size_t len;

	if (!tag)
		return false;
	tag = trim(tag, BLANKS);
	len = strlen(tag);
	if (!len)
		return refuse(r, origin, "empty tag", NULL);
	name = tag + 1 + strspn(tag + 1, " \t\r\n");
	switch (tag[0]) {
	case '!':
		return true;
	case '#':
		return open_section(r, origin, name, false);
	case '^':
		return open_section(r, origin, name, true);
	case '/':
		return close_section(r, origin, name);
	case '=':
		return set_delimiters(r, origin, tag);
	case '>':
		return refuse(r, origin, "partials are not supported:", name);
	case '&':
		return put_variable(r, origin, name, false);
	case '{':
		if (tag[len - 1] != '}')
			return refuse(r, origin, "unmatched brace in", tag);
		tag[len - 1] = 0;
		return put_variable(r, origin, trim(tag + 1, BLANKS), false);
	default:
		return put_variable(r, origin, tag, true);
	}
}

/* Copies text up to the next tag and does the tag. Returns false after an error. */
static bool step(struct reader *r)
{
	const struct mustache *t = r->template;
	size_t tag = find(r, r->pos, r->open), end;
	struct origin origin;
	char raw_close[TAG_MAX + 1] = "}";

	if (!silent(r))
		strbuf_add_len(&r->out, t->text + r->pos, tag - r->pos);
	r->pos = tag;
	if (tag == t->len)
		return true;
	origin = origin_at(r, tag);
	tag += strlen(r->open);
	if (tag < t->len && t->text[tag] == '{') {
		memcpy(raw_close + 1, r->close, sizeof(r->close));
		end = find(r, tag, raw_close);
		end += end < t->len;
	} else {
		end = find(r, tag, r->close);
	}
	if (end == t->len)
		return refuse(r, &origin, "tag is not closed", NULL);
	r->pos = end + strlen(r->close);
	return do_tag(r, &origin, arena_strndup(r->arena, t->text + tag, end - tag));
}

char *mustache_render(struct arena *arena, const struct mustache *template, struct diag_list *diags)
{
	struct reader r = {
		.arena = arena,
		.template = template,
		.diags = diags,
		.line = 1,
		.column = 1,
		.open = "{{",
		.close = "}}",
	};
	char *text = NULL;
	bool ok = true;

	while (ok && r.pos < template->len)
		ok = step(&r);
	if (ok && r.depth) {
		const struct section *section = &r.sections[r.depth - 1];

		ok = refuse(&r, &section->origin, "section is not closed:", section->name);
	}
	if (r.out.failed)
		arena->failed = true;
	else if (ok)
		text = arena_strndup(arena, strbuf_text(&r.out), r.out.len);
	strbuf_done(&r.out);
	return text;
}
