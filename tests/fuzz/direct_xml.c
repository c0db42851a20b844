/* SPDX-License-Identifier: GPL-2.0-or-later */

/* firewalld's direct.xml: what was put in comes out again, and leaves what was there. */

#include "daemon/firewalld/direct_xml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Replaces what is ours in a text; how many entries were cut out, -1 where it cannot be read. */
static long replace(struct arena *arena, const char *text, size_t len,
		    const struct firewalld_entries *entries, struct strbuf *out, bool *root_empty)
{
	struct direct_document document;
	struct error err = { 0 };
	int r = direct_parse(arena, text, len, &document, &err);

	if (r < 0 && (err.code != r || !err.text[0]))
		abort(); /* refused without a reason */
	if (r < 0)
		return -1;
	*root_empty = document.root_empty;
	return (long)direct_replace(text, len, &document, entries, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct firewalld_entry items[] = {
		{ .chain = "KUMA_MESH_X", .table = TABLE_NAT },
		{ .chain = "KUMA_MESH_X", .table = TABLE_NAT, .args = "-p tcp -j RETURN" },
		{ .chain = "OUTPUT",
		  .table = TABLE_NAT,
		  .args = "-m comment --comment \"kuma/mesh/transparent/proxy/<&>\" -j KUMA_MESH_X",
		  .priority = FIREWALLD_INSERTED },
	};
	const struct firewalld_entries ours = { items, ELEMENTS(items) }, none = { 0 };
	struct strbuf without = { 0 }, with = { 0 }, again = { 0 };
	struct arena arena = { 0 };
	const char *text = (const char *)data;
	bool empty, still_empty;
	long old = replace(&arena, text, size, &none, &without, &empty);

	if (old >= 0) {
		if (replace(&arena, text, size, &ours, &with, &empty) != old)
			abort();
		if (replace(&arena, strbuf_text(&with), with.len, &none, &again, &still_empty) !=
			    (long)ours.n ||
		    still_empty)
			abort();
		if (!empty && (again.len != without.len ||
			       memcmp(strbuf_text(&again), strbuf_text(&without), again.len) != 0))
			abort();
	}
	strbuf_done(&without);
	strbuf_done(&with);
	strbuf_done(&again);
	arena_done(&arena);
	return 0;
}
