/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* ::6/128 on the loopback interface, the source address of Envoy's inbound IPv6 connections, by
 * rtnetlink(7). */

#include <stdbool.h>

#include "common/base/attr.h"
#include "common/base/error.h"

/* Whether the interface has it. */
int loopback_v6_present(const char *iface, bool *ret, struct error *err) _must_check_;

/* Whether it is not there although IPv6 is: ::1 goes where IPv6 is switched off. */
int loopback_v6_missing(const char *iface, bool *ret, struct error *err) _must_check_;

/* Adds it; *ret_added is false where it was there already, or IPv6 is switched off. */
int loopback_v6_add(const char *iface, bool *ret_added, struct error *err) _must_check_;

/* Removes it; that it is not there is no error. */
int loopback_v6_remove(const char *iface, struct error *err) _must_check_;
