/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The manual page of the settings, tproxyd.yaml(5), in mdoc(7): one of describe.h's formats. */

#include "common/base/strbuf.h"

void describe_man(struct strbuf *out);
