/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A transaction over the socket that is kept for changes: closing one that has changed rules takes 20 ms,
 * and the tables that it owns go with it. */

#include "common/rules/encode_nft.h"
#include "daemon/netfilter/netfilter.h"

#define NFT_UNANSWERED 1 /* whether it was done has to be looked up */

/* Opens the socket where it is not, and makes it ready for one more transaction. */
int nft_channel_open(struct netfilter_channel *channel, struct error *err) _must_check_;

/* Sends the batch up to `len`. Returns 0: every message was taken; NFT_UNANSWERED, with a sentence; or
 * what the first one was refused with: then nothing has changed. */
int nft_transact(struct netfilter_channel *channel, const struct nft_batch *batch, size_t len,
		 struct error *err) _must_check_;
