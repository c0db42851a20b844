/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Whose a table of our name is that is not ours: the kernel lets nobody else change it. */

#include "common/base/error.h"
#include "common/base/strbuf.h"
#include "daemon/netfilter/nft/look.h"

/* NETFILTER_BUSY, with the sentence. */
int nft_owner_refuse(enum family family, const struct nft_seen *seen, struct error *err)
	_must_check_;

/* As struct netfilter_backend has it. */
void nft_owner_tell(struct strbuf *out);
