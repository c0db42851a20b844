/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "common/base/arena.h"

/* The file that makes a table of ours where nftables.service loads /etc/nftables.conf (Debian) or
 * /etc/sysconfig/nftables.conf (Fedora and its kin), which may include it; NULL: there is none, or it cannot
 * be read. Lives as long as the arena. */
const char *host_nft_boot_file(struct arena *arena);
