/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For probe.c: the wire formats of its questions. Values and bytes only, no sockets. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"

#define DNS_QUERY_MAX 64

/* Writes a query for the address of a name into buf and returns its length. The DNS port is asked with operation code STATUS (RFC 1035 4.1.1): the DNS library of CoreDNS and
 * of kuma-dp's embedded proxy answers NOTIMP to it by itself, before any plugin, so that the answer
 * depends on no other server and no packet leaves the host. (A question in the CHAOS class is
 * passed on to the resolver wherever a Corefile has "forward"; an unknown name is, too.) A server
 * that does not look at the code takes it for an ordinary question. Envoy's DNS filter answers any
 * name by itself. */
size_t dns_query(uint16_t id, bool to_envoy, uint8_t buf[static DNS_QUERY_MAX]);

/* Whether it is a response to the query with that id; what it says does not matter. */
bool dns_is_reply(uint16_t id, const uint8_t *buf, size_t len);

#define HTTP_GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
#define READY_REQUEST  HTTP_GET("/ready")
#define STATE_REQUEST  HTTP_GET("/stats?filter=%5Econtrol_plane.connected_state%24")

/* Reads a response to READY_REQUEST (NUL-terminated). Returns whether it is complete enough to
 * judge; *ret_status is then the code, and body the first word of the body, chunked (RFC 9112 7.1)
 * or not. */
bool http_parse(const char *response, unsigned *ret_status, char body[static 32]);

/* Reads a response to STATE_REQUEST (NUL-terminated). Returns whether Envoy says whether it is connected
 * to the control plane; *ret_connected then has what it says. */
bool http_connected_state(const char *response, bool *ret_connected);
