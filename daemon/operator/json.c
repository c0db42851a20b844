/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/operator/json.h"

#include <string.h>

#include "common/base/utf8.h"

json_t *json_text(const char *text)
{
	_strbuf_ struct strbuf clean = { 0 };

	utf8_add_clean(&clean, text, strlen(text));
	return clean.failed ? NULL : json_string(strbuf_text(&clean));
}

json_t *json_refusal(const char *sentence)
{
	return json_pack("{s:b,s:o}", "ok", 0, "error", json_text(sentence));
}
