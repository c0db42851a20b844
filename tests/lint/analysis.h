/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What analyzers cannot see across files, included before every file that they read: error_set()
 * and its relatives return the code that they are given, and it is negative. Without that, every
 * "return error_sys(…)" also returns zero to them, with nothing set.
 */

#include "common/base/error.h"

#define ERROR_RETURNS(function, err, code, ...)            \
	({                                                 \
		int code_ = (code);                        \
		(void)(function)(err, code_, __VA_ARGS__); \
		code_ < 0 ? code_ : -1;                    \
	})
#define error_set(err, code, ...)  ERROR_RETURNS(error_set, err, code, __VA_ARGS__)
#define error_sys(err, code, ...)  ERROR_RETURNS(error_sys, err, code, __VA_ARGS__)
#define error_wrap(err, code, ...) ERROR_RETURNS(error_wrap, err, code, __VA_ARGS__)
