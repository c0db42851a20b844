/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Attributes, under short names. Knows nothing else; everybody includes it. */

#define _printf_(fmt_index, first) __attribute__((format(printf, fmt_index, first)))
#define _cleanup_(fn)              __attribute__((cleanup(fn)))
#define _unused_                   __attribute__((unused))
#define _must_check_               __attribute__((warn_unused_result))

/* A large buffer that is written before it is read: -ftrivial-auto-var-init leaves it alone. */
#define _unset_ __attribute__((uninitialized))

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))
