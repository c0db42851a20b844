/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What systemd is asked; outside of systemd nobody answers. */

#include <stdbool.h>

/* Whether its job for our unit is one that ends in a start: then we are asked to stop by a restart, or by
 * a start that took too long. Not where that cannot be told. */
bool manager_starts_again(void);
