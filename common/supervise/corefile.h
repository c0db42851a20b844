/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The built-in Corefile, a template for common/plan/mustache.h. For command.c. */

/* The same text as conf/Corefile.in, which a test compares. */
extern const char corefile_template[];
