/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/layers.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/base/array.h"
#include "common/base/parse.h"
#include "common/base/strbuf.h"
#include "common/config/quote.h"
#include "common/config/scalar.h"
#include "common/config/value.h"
#include "common/config/yaml.h"

#define MISTAKES_MAX 100 /* of one file; nobody reads more */
#define KUMACTL_ENV  "KUMA_TRANSPARENT_PROXY_"
#define OWN_ENV      "TPROXYD_"

struct merger {
	struct arena *arena;
	struct loaded *loaded;
	struct diag_list *diags;
	const char *file;   /* that is read now */
	size_t first_error; /* how many there were before this file */
};

static struct value_target target_for(struct merger *m, const struct setting *setting,
				      struct origin origin)
{
	return (struct value_target){
		.arena = m->arena,
		.config = &m->loaded->config,
		.setting = setting,
		.origin = origin,
		.diags = m->diags,
	};
}

/* A default, a variable or a flag; append: a flag that was given before. */
static void merge_text(struct merger *m, const struct setting *setting, struct origin origin,
		       const char *text, bool append)
{
	struct value_target target = target_for(m, setting, origin);

	target.append = append;
	if (value_from_text(&target, text))
		m->loaded->origins[setting - settings] = origin;
}

static struct origin origin_at(const struct merger *m, const struct yaml_node *node)
{
	return (struct origin){
		.kind = ORIGIN_FILE,
		.name = m->file,
		.line = node->line,
		.column = node->column,
	};
}

/* Whether the path begins with section and a dot; "" is the section of all. */
static bool is_in(const char *path, const char *section)
{
	size_t len = strlen(section);

	return len == 0 || (strncasecmp(path, section, len) == 0 && path[len] == '.');
}

static bool is_section(const char *path)
{
	for (size_t i = 0; i < n_settings; i++)
		if (*path && is_in(settings[i].path, path))
			return true;
	return false;
}

/* The first components of a known path, as many as path has. */
static const char *same_depth(struct arena *arena, const char *known, const char *path)
{
	size_t dots = 0, len = 0;

	for (; *path; path++)
		dots += *path == '.';
	for (; known[len] && (known[len] != '.' || dots--); len++)
		;
	return arena_strndup(arena, known, len);
}

/* The keys that a section may have, "a, b, c". */
static void add_known_keys(const char *section, struct strbuf *out)
{
	size_t len = strlen(section);
	const char *last = "";
	size_t last_len = 0;

	for (size_t i = 0; i < n_settings; i++) {
		const char *key = settings[i].path;
		size_t key_len;

		if ((settings[i].flags & SETTING_NO_YAML) || !is_in(key, section))
			continue;
		key += len ? len + 1 : 0;
		key_len = strcspn(key, ".");
		if (key_len == last_len && strncmp(key, last, key_len) == 0)
			continue;
		strbuf_add(out, last_len ? ", " : "");
		strbuf_add_len(out, key, key_len);
		last = key;
		last_len = key_len;
	}
}

static void unknown_key(struct merger *m, const char *section, const char *path,
			const struct yaml_node *key)
{
	const struct setting *nearest = setting_suggest(path);
	struct origin origin = origin_at(m, key);
	_strbuf_ struct strbuf hint = { 0 };
	const char *quoted = quote_text(m->arena, path);

	if (key->plain && strchr(key->text, ':')) {
		strbuf_add(&hint, "a blank is missing behind the colon");
	} else if (nearest) {
		const char *known = same_depth(m->arena, nearest->path, path);

		strbuf_addf(&hint, "did you mean %s?", known ? known : nearest->path);
	} else {
		strbuf_add(&hint, *section ? "known here are " : "known are ");
		add_known_keys(section, &hint);
	}
	diag_add(m->diags, SEVERITY_ERROR, &origin, NULL, "unknown key %s; %s", quoted,
		 strbuf_text(&hint));
}

/* Whether the mapping has this path already; if not, remembers it. */
static bool is_repeated(struct merger *m, struct string_list *seen, const char *path,
			const struct yaml_node *key)
{
	struct origin origin = origin_at(m, key);

	for (size_t i = 0; i < seen->n; i++) {
		if (strcasecmp(seen->items[i], path) == 0) {
			diag_add(m->diags, SEVERITY_ERROR, &origin, path, "the key is there twice");
			return true;
		}
	}
	array_push(m->arena, seen, path);
	return false;
}

static void merge_setting(struct merger *m, const struct setting *setting,
			  const struct yaml_entry *entry)
{
	struct value_target target = target_for(m, setting, origin_at(m, entry->value));
	struct origin at_key = origin_at(m, entry->key);

	if (setting->flags & SETTING_NO_YAML)
		diag_add(m->diags, SEVERITY_ERROR, &at_key, setting->path,
			 "can be set only by the environment variable %s", setting->env);
	else if (value_from_node(&target, entry->value))
		m->loaded->origins[setting - settings] = target.origin;
}

/* The key's text, or NULL after a mistake. */
static const char *key_text(struct merger *m, const struct yaml_node *key)
{
	struct origin origin = origin_at(m, key);
	enum scalar_type type = scalar_type(key);
	const char *why = NULL;

	if (type == SCALAR_NONE || type == SCALAR_NULL)
		why = "a key has to be the name of a setting";
	else if (key->plain && strcmp(key->text, "<<") == 0)
		why = "merge keys (<<) cannot be used: write the settings out";
	if (why)
		diag_add(m->diags, SEVERITY_ERROR, &origin, NULL, "%s", why);
	return why ? NULL : key->text;
}

static void merge_section(struct merger *m, const char *section, const struct yaml_node *node);

static void merge_entry(struct merger *m, const char *section, const struct yaml_entry *entry,
			struct string_list *seen)
{
	const char *key = key_text(m, entry->key), *path;
	const struct setting *setting;

	if (!key)
		return;
	path = arena_printf(m->arena, "%s%s%s", section, *section ? "." : "", key);
	if (!path)
		return;
	/* A dot in a key is no way to write a path. */
	setting = strchr(key, '.') ? NULL : setting_by_path(path);
	if (!setting && (strchr(key, '.') || !is_section(path)))
		unknown_key(m, section, path, entry->key);
	else if (is_repeated(m, seen, setting ? setting->path : path, entry->key))
		return;
	else if (setting)
		merge_setting(m, setting, entry);
	else
		merge_section(m, path, entry->value);
}

/* Recursion ends with the schema's sections, whatever the document shares. */
static void merge_section(struct merger *m, const char *section, const struct yaml_node *node)
{
	struct origin origin = origin_at(m, node);
	struct string_list seen = { 0 };

	if (node->kind != NODE_MAPPING && scalar_type(node) != SCALAR_NULL)
		diag_add(m->diags, SEVERITY_ERROR, &origin, *section ? section : NULL,
			 "%s is found where a mapping of settings is expected",
			 node->kind == NODE_SEQUENCE ? "a list" : quote_text(m->arena, node->text));
	else
		for (size_t i = 0; i < node->n && !m->arena->failed; i++)
			if (m->diags->n_errors - m->first_error < MISTAKES_MAX)
				merge_entry(m, section, &node->entries[i], &seen);
}

static void merge_file(struct merger *m, const struct layer_file *layer)
{
	struct origin origin = { .kind = ORIGIN_FILE };
	const struct yaml_node *root;

	m->file = origin.name = arena_strdup(m->arena, layer->name);
	m->first_error = m->diags->n_errors;
	if (!m->file || !yaml_load(m->arena, m->file, layer->text, layer->len, &root, m->diags) ||
	    !root)
		return;
	merge_section(m, "", root);
	if (m->diags->n_errors - m->first_error >= MISTAKES_MAX)
		diag_add(m->diags, SEVERITY_NOTICE, &origin, NULL,
			 "there may be more mistakes: only %d of a file are listed", MISTAKES_MAX);
}

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The known variable that is nearest to name, or NULL. */
static const char *nearest_variable(const char *name)
{
	enum { LIMIT = 2 };
	unsigned best_distance = LIMIT + 1;
	const char *best = NULL;

	for (size_t i = 0; i < n_settings; i++) {
		unsigned distance;

		if (!has_prefix(settings[i].env, OWN_ENV) != !has_prefix(name, OWN_ENV))
			continue;
		distance = edit_distance(name, settings[i].env, LIMIT);
		if (distance < best_distance) {
			best_distance = distance;
			best = settings[i].env;
		}
	}
	return best;
}

/* kumactl ignores what it does not know under its prefix, and others may use it; under ours nobody
 * else has anything to say. */
static void unknown_variable(struct merger *m, const struct origin *origin)
{
	bool own = has_prefix(origin->name, OWN_ENV);
	const char *nearest = nearest_variable(origin->name);

	diag_add(m->diags, own ? SEVERITY_WARNING : SEVERITY_NOTICE, origin, NULL,
		 "no setting has this name%s%s%s; it is ignored", nearest ? "; did you mean " : "",
		 nearest ? nearest : "", nearest ? "?" : "");
}

static void merge_variable(struct merger *m, const char *variable)
{
	const char *equals = strchr(variable, '=');
	struct origin origin = { .kind = ORIGIN_ENV };
	const struct setting *setting;

	if (!equals || (!has_prefix(variable, KUMACTL_ENV) && !has_prefix(variable, OWN_ENV)))
		return;
	origin.name = arena_strndup(m->arena, variable, (size_t)(equals - variable));
	if (!origin.name || strcmp(origin.name, OWN_ENV "CONFIG_FILE") == 0)
		return;
	setting = setting_by_env(origin.name);
	if (setting)
		merge_text(m, setting, origin, equals + 1, false);
	else
		unknown_variable(m, &origin);
}

static void merge_flags(struct merger *m, const struct layer_flag *flags, size_t n)
{
	bool *seen = arena_alloc(m->arena, n_settings * sizeof(*seen));

	for (size_t i = 0; seen && i < n; i++) {
		const struct setting *setting = setting_by_flag(flags[i].flag);
		struct origin origin = {
			.kind = ORIGIN_FLAG,
			.name = arena_strdup(m->arena, flags[i].flag),
		};

		if (!setting) {
			diag_add(m->diags, SEVERITY_ERROR, &origin, NULL, "unknown option");
			continue;
		}
		merge_text(m, setting, origin, flags[i].value, seen[setting - settings]);
		seen[setting - settings] = true;
	}
}

int layers_load(struct arena *arena, const struct layers *layers, struct loaded *ret,
		struct diag_list *diags)
{
	struct merger m = { .arena = arena, .loaded = ret, .diags = diags };

	*ret = (struct loaded){ 0 };
	ret->origins = arena_alloc(arena, n_settings * sizeof(*ret->origins));
	if (!ret->origins)
		return -ENOMEM;
	for (size_t i = 0; i < n_settings; i++)
		merge_text(&m, &settings[i], (struct origin){ .kind = ORIGIN_DEFAULT },
			   settings[i].dflt, false);
	for (size_t i = 0; i < layers->n_files; i++)
		merge_file(&m, &layers->files[i]);
	for (char *const *variable = layers->environ; variable && *variable; variable++)
		merge_variable(&m, *variable);
	merge_flags(&m, layers->flags, layers->n_flags);
	return arena->failed ? -ENOMEM : 0;
}

const struct origin *loaded_origin(const struct loaded *loaded, const char *path)
{
	const struct setting *setting = setting_by_path(path);

	assert(setting);
	return &loaded->origins[setting - settings];
}
