/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* In which order what was said about a configuration is shown. */

#include "common/config/layers.h"

/* Sorts: files that could not be read; what has a place in one of files (those that were read, in
 * their order), by line; then all else, in the order of the settings, which is that of the
 * shipped file. What is equal in that stays as it was. */
void order_diags(struct diag_list *diags, const struct layer_file_list *files);
