/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The state that one binary hands to another: each may be broken. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/supervise/carry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct handover *handover)
{
	struct carry carry = { 0 }, back = { 0 };
	struct strbuf out = { 0 };
	struct handover again = { 0 };
	struct error err = { 0 };

	if (carry_take(handover, &carry, &err) == 0) {
		handover_begin(&out);
		carry_print(&carry, &out);
		handover_end(&out);
		if (handover_parse(out.text, out.len, &again, &err) < 0 ||
		    carry_take(&again, &back, &err) < 0 || handover_all_taken(&again, &err) < 0)
			abort();
	} else if (!err.text[0]) {
		abort();
	}
	handover_done(&again);
	strbuf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct handover handover = { 0 };
	struct error err = { 0 };
	char *text = malloc(size); /* exactly as long: reading on is seen */

	if (!text && size)
		return 0;
	if (size)
		memcpy(text, data, size);
	if (handover_parse(text, size, &handover, &err) == 0)
		take(&handover);
	else if (!err.text[0])
		abort();
	handover_done(&handover);
	free(text);
	return 0;
}
