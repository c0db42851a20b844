/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Memory that ends with its scope. Variables with a cleanup attribute are initialised on the line
 * that declares them. (Descriptors: daemon/os/fd.h.)
 */

#include <stdlib.h>

#include "common/base/attr.h"

/* Defines FNp(), to be named in _cleanup_(): calls fn on the variable unless it is null. */
#define DEFINE_CLEANUP(type, fn, null)    \
	static inline void fn##p(type *p) \
	{                                 \
		if (*p != (null))         \
			fn(*p);           \
	}                                 \
	struct cleanup_##fn##_needs_a_semicolon

static inline void freep(void *p)
{
	free(*(void **)p);
}
#define _free_ _cleanup_(freep)

/* Hands a pointer over: the variable is NULL afterwards. */
#define take_ptr(p)                     \
	({                              \
		typeof(p) taken_ = (p); \
		(p) = NULL;             \
		taken_;                 \
	})
