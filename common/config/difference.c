/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/difference.h"

#include <string.h>

#include "common/base/strbuf.h"
#include "common/config/schema.h"
#include "common/config/value.h"

#define SHOWN_MAX 100 /* bytes of a value */

static const char *shown(const struct strbuf *value)
{
	return value->len ? strbuf_text(value) : "nothing";
}

static void compare(struct arena *arena, const struct setting *setting, const struct config *former,
		    const struct config *next, struct string_list *ret)
{
	_strbuf_ struct strbuf before = { 0 }, after = { 0 };

	value_print(setting, former, &before);
	value_print(setting, next, &after);
	if (before.failed || after.failed)
		arena->failed = true;
	else if (strcmp(strbuf_text(&before), strbuf_text(&after)) == 0)
		return;
	else if ((setting->flags & SETTING_PRIVATE) || before.len + after.len > SHOWN_MAX)
		array_push(arena, ret, arena_printf(arena, "%s is another", setting->path));
	else
		array_push(arena, ret,
			   arena_printf(arena, "%s: %s instead of %s", setting->path, shown(&after),
					shown(&before)));
}

void difference_of_configs(struct arena *arena, const struct config *former,
			   const struct config *next, struct string_list *ret)
{
	for (size_t i = 0; i < n_settings; i++)
		compare(arena, &settings[i], former, next, ret);
}
