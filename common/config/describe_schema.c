/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The settings as a JSON schema, of draft 7, which editors know. It says of a file what the loader
 * says, as far as a schema can: tests/golden/schema lists what it cannot. */

#include <ctype.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/config/describe.h"

/* clang-format off */
#define BLANKS "[ \\\\t\\\\n\\\\v\\\\f\\\\r]*"
#define PORT   "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
#define PIECE  BLANKS "(" PORT ")?" BLANKS
/* As Go writes it. */
#define DURATION "[-+]?(0|(([0-9]+(\\\\.[0-9]*)?|\\\\.[0-9]+)(ns|us|\\u00b5s|\\u03bcs|ms|s|m|h))+)"
/* Control characters and what YAML cannot carry, but for `\t\n` where lines can be broken. */
#define NOT_IN_A_LINE "[\\\\u0000-\\\\u001f\\\\u007f-\\\\u009f\\\\u2028\\\\u2029\\\\ufeff\\\\ufffe\\\\uffff]"
#define NOT_IN_LINES \
	"[\\\\u0000-\\\\u0008\\\\u000b-\\\\u001f\\\\u007f-\\\\u009f\\\\u2028\\\\u2029\\\\ufeff\\\\ufffe\\\\uffff]"
#define SCALAR(without) "{ \"type\": [\"string\", \"number\", \"boolean\", \"null\"],\n" \
	"      \"not\": { \"type\": \"string\", \"pattern\": \"" without "\" } }"
#define WORD(without) "{ \"not\": { \"pattern\": \"" without "\" } }"

static const char head[] =
	"{\n"
	"  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
	"  \"$comment\": \"SPDX-License-Identifier: GPL-2.0-or-later\",\n"
	"  \"title\": \"tproxyd.yaml\",\n"
	"  \"description\": \"The configuration of tproxyd, made by \\\"tproxyd describe json-schema\\\".\",\n"
	"  \"definitions\": {\n"
	"    \"text\": " SCALAR(NOT_IN_A_LINE) ",\n"
	"    \"lines\": " SCALAR(NOT_IN_LINES) ",\n"
	"    \"switch\": { \"type\": [\"boolean\", \"null\"] },\n"
	"    \"number16\": { \"type\": [\"integer\", \"null\"], \"minimum\": 0, \"maximum\": 65535 },\n"
	"    \"number32\": { \"type\": [\"integer\", \"null\"], \"minimum\": 0, \"maximum\": 4294967295 },\n"
	"    \"port\": { \"type\": \"integer\", \"minimum\": 1, \"maximum\": 65535 },\n"
	"    \"portOrText\": { \"anyOf\": [ { \"$ref\": \"#/definitions/port\" },\n"
	"      { \"type\": \"string\", \"pattern\": \"^" PIECE "(," PIECE ")*$\" } ] },\n"
	"    \"ports\": { \"anyOf\": [ { \"$ref\": \"#/definitions/portOrText\" },\n"
	"      { \"type\": \"array\", \"items\": { \"$ref\": \"#/definitions/portOrText\" }, \"maxItems\": 4096 } ] },\n"
	"    \"texts\": { \"type\": [\"array\", \"null\"], \"items\": { \"$ref\": \"#/definitions/text\" },"
		" \"maxItems\": 4096 },\n"
	"    \"pairs\": { \"type\": [\"object\", \"null\"], \"maxProperties\": 4096,\n"
	"      \"propertyNames\": " WORD(NOT_IN_LINES) ",\n"
	"      \"additionalProperties\": { \"$ref\": \"#/definitions/lines\" } },\n"
	"    \"programs\": { \"type\": [\"object\", \"null\"], \"maxProperties\": 4096,\n"
	"      \"propertyNames\": { \"pattern\":"
		" \"^[iI][pP]6?[tT][aA][bB][lL][eE][sS](-([sS][aA][vV][eE]|[rR][eE][sS][tT][oO][rR][eE]))?$\" },\n"
	"      \"additionalProperties\": { \"$ref\": \"#/definitions/text\" } },\n"
	"    \"nanoseconds\": { \"type\": \"number\", \"minimum\": -9223372036854775807,"
		" \"maximum\": 9223372036854775807 },\n"
	"    \"durationText\": { \"type\": \"string\", \"pattern\": \"^" DURATION "$\" },\n"
	"    \"duration\": { \"anyOf\": [ { \"$ref\": \"#/definitions/durationText\" }, { \"const\": 0 } ] },\n"
	"    \"kumactlDuration\": { \"anyOf\": [ { \"$ref\": \"#/definitions/durationText\" },\n"
	"      { \"$ref\": \"#/definitions/nanoseconds\" } ] },\n"
	"    \"hold\": { \"anyOf\": [ { \"$ref\": \"#/definitions/duration\" },\n"
	"      { \"type\": \"string\", \"pattern\": \"^[iI][nN][fF][iI][nN][iI][tT][yY]$\" } ] }\n"
	"  },\n"
	"  ";
/* clang-format on */

static void add_quoted(struct strbuf *out, const char *text)
{
	strbuf_addc(out, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			strbuf_addc(out, '\\');
		strbuf_addc(out, *text);
	}
	strbuf_addc(out, '"');
}

/* A regular expression for the word in capital and small letters. */
static void add_any_case(struct strbuf *out, const char *word)
{
	for (; *word; word++) {
		if (isalpha((unsigned char)*word))
			strbuf_addf(out, "[%c%c]", tolower((unsigned char)*word),
				    toupper((unsigned char)*word));
		else
			strbuf_addc(out, *word);
	}
}

/* One of the words; true and false also as switches; nothing is the default. */
static void add_words(struct strbuf *out, const char *const *names)
{
	bool switches = false;

	strbuf_add(out, "\"anyOf\": [ { \"enum\": [");
	for (size_t i = 0; names[i]; i++) {
		strbuf_add(out, i ? ", " : "");
		add_quoted(out, names[i]);
		switches = switches || strcmp(names[i], "true") == 0;
	}
	strbuf_addf(out, "] }, { \"type\": %s },\n",
		    switches ? "[\"boolean\", \"null\"]" : "\"null\"");
	strbuf_add(out, "{ \"type\": \"string\", \"pattern\": \"^(");
	for (size_t i = 0; names[i]; i++) {
		add_any_case(out, names[i]);
		strbuf_addc(out, '|');
	}
	strbuf_add(out, ")$\" } ]");
}

static const char *definition_of(const struct setting *setting)
{
	static const char *const names[SETTING_TYPE_COUNT] = {
		[SETTING_STRING] = "text",     [SETTING_BOOL] = "switch",
		[SETTING_UINT16] = "number16", [SETTING_UINT32] = "number32",
		[SETTING_PORT] = "port",       [SETTING_PORTS] = "ports",
		[SETTING_STRINGS] = "texts",   [SETTING_PAIRS] = "pairs",
		[SETTING_HOLD] = "hold",       [SETTING_EXECUTABLES] = "programs",
	};

	if (setting->type == SETTING_DURATION)
		return setting->kumactl ? "kumactlDuration" : "duration";
	return names[setting->type];
}

static void add_default(struct strbuf *out, const struct setting *setting)
{
	const bool bare = setting->type == SETTING_BOOL || setting->type == SETTING_UINT16 ||
			  setting->type == SETTING_UINT32 || setting->type == SETTING_PORT;

	if (!*setting->dflt)
		return;
	strbuf_add(out, "\"default\": ");
	if (bare)
		strbuf_add(out, setting->dflt);
	else
		add_quoted(out, setting->dflt);
	strbuf_add(out, ", ");
}

static void add_setting(struct strbuf *out, const struct setting *setting, const char *key)
{
	add_quoted(out, key);
	strbuf_add(out, ": { \"description\": ");
	add_quoted(out, setting->help);
	strbuf_add(out, ",\n");
	add_default(out, setting);
	if (setting->type == SETTING_ENUM)
		add_words(out, setting->names);
	else
		strbuf_addf(out, "\"$ref\": \"#/definitions/%s\"", definition_of(setting));
	strbuf_add(out, " }");
}

/* What is in the section that the first len bytes of this setting's path name, which goes on to the
 * setting returned. Recursion ends with the sections of the table. */
static const struct setting *add_section(struct strbuf *out, const struct setting *setting,
					 size_t len)
{
	const char *prefix = setting->path, *separator = "";

	strbuf_add(out, "\"type\": [\"object\", \"null\"],\n\"additionalProperties\": false,\n"
			"\"properties\": {\n");
	while (setting < settings + n_settings && strncmp(setting->path, prefix, len) == 0) {
		const char *key = setting->path + len, *dot = strchr(key, '.');

		if (setting->flags & SETTING_NO_YAML) {
			setting++;
			continue;
		}
		strbuf_add(out, separator);
		separator = ",\n";
		if (!dot) {
			add_setting(out, setting++, key);
			continue;
		}
		strbuf_addc(out, '"');
		strbuf_add_len(out, key, (size_t)(dot - key));
		strbuf_add(out, "\": {\n");
		setting = add_section(out, setting, (size_t)(dot + 1 - setting->path));
		strbuf_add(out, "\n}");
	}
	strbuf_add(out, "\n}");
	return setting;
}

void describe_json_schema(struct strbuf *out)
{
	strbuf_add(out, head);
	(void)add_section(out, settings, 0);
	strbuf_add(out, "\n}\n");
}
