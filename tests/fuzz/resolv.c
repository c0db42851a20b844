/* SPDX-License-Identifier: GPL-2.0-or-later */

/* resolv.conf is written by others: DHCP clients, network managers. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/plan/resolv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct diag_list diags = { .arena = &arena };
	struct ip_list servers[FAMILY_COUNT] = { 0 };
	char *text = malloc(size); /* exactly as long: reading on is seen */

	if (!text && size)
		return 0;
	if (size)
		memcpy(text, data, size);
	resolv_parse("resolv.conf", text, size, servers, &diags);
	(void)resolv_find_option(text, size, "use-vc", &(struct origin){ 0 });
	for (unsigned family = 0; family < FAMILY_COUNT; family++)
		for (size_t i = 0; i < servers[family].n; i++)
			if (servers[family].items[i].family != (enum family)family)
				abort();
	free(text);
	arena_done(&arena);
	return 0;
}
